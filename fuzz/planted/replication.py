"""Bugs of appends, acknowledgements, commits and reads, in raft/."""

from typing import Final

from fuzz.planted.mutant import Mutant

MUTANTS: Final = (
    Mutant(
        "an acknowledgement leaves before its fsync",
        "raft/following.py",
        "append.sender, state.term, match)\n    send_when_durable(state, reply)",
        "append.sender, state.term, match)\n    send(state, reply)",
        ("tests/raft/test_replication.py",),
    ),
    Mutant(
        "a leader counts what its own disk does not hold",
        "raft/replication.py",
        "    reached[state.replica] = state.log.durable\n",
        "    reached[state.replica] = state.log.last\n",
        ("tests/raft/test_replication.py",),
    ),
    Mutant(
        "an entry of an old term is committed by counting",
        "raft/replication.py",
        "    if index > state.commit and state.log.term(index) == state.term:",
        "    if index > state.commit:",
        ("tests/raft/test_replication.py",),
    ),
    Mutant(
        "committed by a minority",
        "raft/quorum.py",
        "    return numbers[len(numbers) // 2] if numbers else 0",
        "    return numbers[max(0, len(numbers) // 2 - 1)] if numbers else 0",
        ("tests/raft/test_quorum.py",),
    ),
    Mutant(
        "committed by one half of a joint change",
        "raft/quorum.py",
        "        lowest = min(lowest, _agreed_of(membership.outgoing, reached))",
        "        lowest = max(lowest, 0)",
        ("tests/raft/test_quorum.py",),
    ),
    Mutant(
        "a learner is counted for a commit",
        "raft/quorum.py",
        "    lowest = _agreed_of(membership.voters, reached)\n",
        "    lowest = _agreed_of(membership.voters | membership.learners, reached)\n",
        (
            "tests/raft/test_quorum.py",
            "tests/raft/test_membership.py",
        ),
    ),
    Mutant(
        "a follower commits what it has not matched",
        "raft/following.py",
        "    state.commit = max(state.commit, min(append.commit, last))",
        "    state.commit = max(state.commit, min(append.commit, log.last))",
        ("tests/raft/test_replication.py",),
    ),
    Mutant(
        "an append is taken without a look at the entry before",
        "raft/following.py",
        "    if not log.matches(append.previous_index, append.previous_term):",
        "    if append.previous_index > log.last:",
        ("tests/raft/test_replication.py",),
    ),
    Mutant(
        "an append that comes late cuts the log short",
        "raft/following.py",
        "            if not log.matches(entry.index, entry.term):\n"
        "                break\n"
        "            known += 1\n",
        "            break\n",
        ("tests/raft/test_replication.py",),
    ),
    Mutant(
        "a heartbeat commits above a follower's match",
        "raft/replication.py",
        "    commit = min(state.commit, progress.match)\n"
        "    progress.told_commit = max(progress.told_commit, commit)",
        "    commit = state.commit\n    progress.told_commit = max(progress.told_commit, commit)",
        ("tests/raft/test_replication.py",),
    ),
    Mutant(
        "an old acknowledgement counts for an entry that was replaced",
        "raft/state.py",
        "            flush.durable = min(flush.durable, truncate_from - 1)",
        "            pass",
        ("tests/raft/test_replication.py",),
    ),
    Mutant(
        "applied before it is on the own disk",
        "raft/core.py",
        "        return min(self.state.commit, self.state.log.durable)",
        "        return self.state.commit",
        ("tests/raft/test_replication.py",),
    ),
    Mutant(
        "match goes up when a thing is sent",
        "raft/progress.py",
        "        self.next = max(self.next, self.match + 1)\n",
        "        self.match = max(self.match, self.next - 1)\n"
        "        self.next = max(self.next, self.match + 1)\n",
        (
            "tests/raft/test_progress.py",
            "tests/raft/test_replication.py",
        ),
    ),
    Mutant(
        "a follower that forgot is believed to have what it had",
        "raft/progress.py",
        "        self.match = 0\n        self.told_commit",
        "        self.told_commit",
        ("tests/raft/test_recovery.py",),
    ),
    Mutant(
        "a lost append is never sent again",
        "raft/replication.py",
        "            _send_append(state, progress, ())\n",
        "            pass\n",
        ("tests/raft/test_replication.py",),
    ),
    Mutant(
        "a refusal that never leads to agreement",
        "raft/progress.py",
        "        self.probe_from(max(self.match + 1, min(rejected, agreed_at_most + 1)))",
        "        self.probe_from(max(self.match + 1, rejected + 1))",
        (
            "tests/raft/test_progress.py",
            "tests/raft/test_replication.py",
        ),
    ),
    Mutant(
        "what was acknowledged counts though it is refused",
        "raft/progress.py",
        "            if rejected <= self.match:\n",
        "            if False:\n",
        ("tests/raft/test_recovery.py",),
    ),
    Mutant(
        "every refusal puts another window on its way",
        "raft/progress.py",
        "        elif rejected <= max(self.match, self.refused_upto):",
        "        elif rejected <= self.match:",
        ("tests/raft/test_progress.py",),
    ),
    Mutant(
        "what is refused after one loss never counts again",
        "raft/replication.py",
        "            progress.stands_still()\n",
        "",
        ("tests/raft/test_replication.py",),
    ),
    Mutant(
        "going back one entry at a time through a conflict",
        "raft/following.py",
        "    hint_index, hint_term = state.log.last_at_or_below(append.previous_index, "
        "append.previous_term)",
        "    hint_index = min(append.previous_index - 1, state.log.last)\n"
        "    hint_term = state.log.term(max(hint_index, state.log.start))",
        ("tests/raft/test_replication.py",),
    ),
    Mutant(
        "a window that never closes",
        "raft/progress.py",
        "                return len(self.inflight) < messages_max and "
        "self.inflight_bytes < bytes_max",
        "                return len(self.inflight) < messages_max",
        (
            "tests/raft/test_progress.py",
            "tests/raft/test_replication.py",
        ),
    ),
    Mutant(
        "an entry larger than a replica can read back",
        "raft/core.py",
        "    return len(payload) + ENTRY_HEADER_BYTES <= config.entry_bytes_max",
        "    return len(payload) <= config.entry_bytes_max",
        (
            "tests/raft/test_driver.py",
            "tests/raft/test_replication.py",
        ),
    ),
    Mutant(
        "without a majority the log grows for ever",
        "raft/core.py",
        "    if state.uncommitted_bytes >= state.config.uncommitted_bytes_max:\n        return\n",
        "",
        ("tests/raft/test_replication.py",),
    ),
    Mutant(
        "a read round that needs no answers",
        "raft/reads.py",
        "    if agreed(state.membership, acked) < running.number:",
        "    if agreed(state.membership, acked) < 0:",
        ("tests/raft/test_reads.py",),
    ),
    Mutant(
        "an answer to an earlier round confirms this one",
        "raft/replication.py",
        "    progress.acked_round = max(progress.acked_round, reply.round)",
        "    progress.acked_round = max(progress.acked_round, state.reads.round_number)",
        ("tests/raft/test_reads.py",),
    ),
    Mutant(
        "a reader is served by a round that began before it came",
        "raft/reads.py",
        "        _confirm(state, running.ticket, running.index)\n    for",
        "        _confirm(state, state.reads.ticket, running.index)\n    for",
        ("tests/raft/test_reads.py",),
    ),
    Mutant(
        "a read before the first commit of a term",
        "raft/reads.py",
        "    return state.role is Role.LEADER and state.commit >= state.term_start",
        "    return state.role is Role.LEADER",
        ("tests/raft/test_reads.py",),
    ),
    Mutant(
        "a follower of another term vouches for a leader",
        "raft/reads.py",
        "    if request.term == state.term and knows_commit(state)",
        "    if knows_commit(state)",
        ("tests/raft/test_follower_reads.py",),
    ),
    Mutant(
        "tickets that begin again with each boot",
        "raft/core.py",
        "        base = random.getrandbits(30) * _TICKETS_PER_BOOT + 1",
        "        base = 1",
        ("tests/raft/test_reads.py",),
    ),
)
