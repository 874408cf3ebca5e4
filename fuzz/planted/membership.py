"""Bugs of membership changes, snapshots and compaction, in raft/."""

from typing import Final

from fuzz.planted.mutant import Mutant

MUTANTS: Final = (
    Mutant(
        "two changes at once",
        "raft/membership.py",
        "        state.configs.active_index > state.commit or state.membership.is_joint,",
        "        False,",
        ("tests/raft/test_membership.py",),
    ),
    Mutant(
        "a change before the leader has committed in its term",
        "raft/membership.py",
        '        state.commit < state.term_start, "the leader',
        '        False, "the leader',
        ("tests/raft/test_membership.py",),
    ),
    Mutant(
        "a removed id comes back",
        "raft/membership.py",
        '    _refuse_if(bool(change.learners & membership.removed), "that replica was '
        'removed")  # (e)\n',
        "",
        ("tests/raft/test_membership.py",),
    ),
    Mutant(
        "voters left without a majority they can reach",
        "raft/membership.py",
        "        changes_voters and not change.force and not _is_reachable(state, after),",
        "        False,",
        ("tests/raft/test_membership.py",),
    ),
    Mutant(
        "a learner is promoted that has to catch up first",
        "raft/membership.py",
        "        not _is_heard(state, learner) or behind > state.config.promote_lag_max,",
        "        not _is_heard(state, learner),",
        ("tests/raft/test_membership.py",),
    ),
    Mutant(
        "a learner is promoted that is silent",
        "raft/membership.py",
        "        not _is_heard(state, learner) or behind > state.config.promote_lag_max,",
        "        behind > state.config.promote_lag_max,",
        ("tests/raft/test_membership.py",),
    ),
    Mutant(
        "voters change in one step",
        "raft/membership.py",
        "        return _append(state, _joint(state.membership, after))",
        "        return _append(state, after)",
        ("tests/raft/test_membership.py",),
    ),
    Mutant(
        "a joint change that nobody ends",
        "raft/membership.py",
        "        _append(state, left(state.membership))\n",
        "        pass\n",
        ("tests/raft/test_membership.py",),
    ),
    Mutant(
        "a removed leader leads on",
        "raft/membership.py",
        "        _resign(state)\n",
        "        pass\n",
        ("tests/raft/test_membership.py",),
    ),
    Mutant(
        "a removed replica still has a say",
        "raft/core.py",
        "        if type(message) is not TimeoutNow and membership.is_out(state, "
        "message.sender):\n"
        "            return\n",
        "",
        (
            "tests/raft/test_membership.py",
            "tests/raft/test_election.py",
        ),
    ),
    Mutant(
        "a removed leader may not finish its own removal",
        "raft/election.py",
        "    counts = state.configs.any_counts(state.replica, since=state.commit)",
        "    counts = state.membership.counts(state.replica)",
        ("tests/raft/test_membership.py",),
    ),
    Mutant(
        "a configuration outlives its truncation",
        "raft/following.py",
        "            state.configs.truncate(entries[0].index)\n",
        "",
        ("tests/raft/test_membership.py",),
    ),
    Mutant(
        "a configuration lost with the log that a snapshot replaced",
        "raft/snapshots.py",
        "        state.configs.install(meta.index, meta.membership)\n",
        "",
        ("tests/raft/test_snapshots.py",),
    ),
    Mutant(
        "a follower is believed when it is offered a snapshot",
        "raft/snapshots.py",
        "    progress.inflight_bytes = 0\n    log = state.log",
        "    progress.inflight_bytes = 0\n"
        "    progress.match = max(progress.match, state.log.start)\n"
        "    log = state.log",
        ("tests/raft/test_snapshots.py",),
    ),
    Mutant(
        "a snapshot is acknowledged before the log has it",
        "raft/following.py",
        "        reply = AppendReply(state.group, state.replica, message.sender, "
        "state.term, state.commit)\n"
        "        send_when_durable(state, reply)",
        "        reply = AppendReply(state.group, state.replica, message.sender, "
        "state.term, state.commit)\n"
        "        send(state, reply)",
        ("tests/raft/test_snapshots.py",),
    ),
    Mutant(
        "a snapshot that is offered is acknowledged at once",
        "raft/following.py",
        "        state.offered = max(state.offered, message.index)\n",
        "        state.offered = max(state.offered, message.index)\n"
        "        send(\n"
        "            state,\n"
        "            AppendReply(\n"
        "                state.group, state.replica, message.sender, state.term, "
        "message.index\n"
        "            ),\n"
        "        )\n",
        ("tests/raft/test_snapshots.py",),
    ),
    Mutant(
        "applied while a snapshot is put in place",
        "raft/state.py",
        "        return self.is_installing or self.applied < self.log.start",
        "        return self.applied < self.log.start",
        ("tests/raft/test_snapshots.py",),
    ),
    Mutant(
        "after a snapshot an older leader is followed",
        "raft/snapshots.py",
        "    if seen_term > state.term:\n",
        "    if False:\n",
        ("tests/raft/test_snapshots.py",),
    ),
    Mutant(
        "a follower that catches up is sent around in snapshots",
        "raft/transfers.py",
        "        if needed < point:\n",
        "        if False:\n",
        ("tests/raft/test_snapshots.py",),
    ),
    Mutant(
        "the log forgets what the state has not made durable",
        "raft/transfers.py",
        "        safe = min(safe, state.applied, state.log.durable)\n",
        "        safe = min(state.applied, state.log.durable)\n",
        (
            "tests/raft/test_snapshots.py",
            "tests/node/test_snapshots.py",
        ),
    ),
    Mutant(
        "a lone voter forgets its log",
        "raft/transfers.py",
        "        if len(state.membership.everyone) < 2:\n            return False\n",
        "",
        ("tests/raft/test_snapshots.py",),
    ),
    Mutant(
        "a log not told of the snapshot that a crash interrupted",
        "raft/transfers.py",
        "    if meta.index < start or _holds(storage, meta):",
        "    if True:",
        ("tests/raft/test_snapshots.py",),
    ),
)
