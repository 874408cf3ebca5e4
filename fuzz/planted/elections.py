"""Bugs of votes, elections, leases and hand-overs, in raft/."""

from typing import Final

from fuzz.planted.mutant import Mutant

MUTANTS: Final = (
    Mutant(
        "a learner believes for ever in the leader it had",
        "raft/election.py",
        "    if not may_campaign(state):\n        # Who led",
        "    if not may_campaign(state):\n        draw_election_deadline(state)\n"
        "        return\n        # Who led",
        ("tests/raft/test_election.py",),
    ),
    Mutant(
        "a vote leaves before its fsync",
        "raft/election.py",
        "    send_when_durable(state, _answer(state, request, state.term, granted))",
        "    send(state, _answer(state, request, state.term, granted))",
        ("tests/raft/test_election.py",),
    ),
    Mutant(
        "a vote is never written",
        "raft/state.py",
        "hard_state = HardState(state.term, state.vote) if state.hard_state_dirty else None",
        "hard_state = None",
        ("tests/raft/test_election.py",),
    ),
    Mutant(
        "a vote for a shorter log",
        "raft/election.py",
        "    granted = free and log_covers\n",
        "    granted = free\n",
        ("tests/raft/test_election.py",),
    ),
    Mutant(
        "a second vote in one term",
        "raft/election.py",
        "    free = state.vote == request.sender or (",
        "    free = True or (",
        ("tests/raft/test_election.py",),
    ),
    Mutant(
        "half is a majority",
        "raft/quorum.py",
        "    return size // 2 + 1\n",
        "    return max(1, size // 2)\n",
        ("tests/raft/test_quorum.py",),
    ),
    Mutant(
        "an election won in one half of a joint change",
        "raft/quorum.py",
        "        return Vote.WON if result is other is Vote.WON else Vote.OPEN",
        "        return result",
        ("tests/raft/test_quorum.py",),
    ),
    Mutant(
        "a learner's vote counts",
        "raft/quorum.py",
        "    result = _vote_of(membership.voters, votes)\n",
        "    result = _vote_of(membership.voters | membership.learners, votes)\n",
        ("tests/raft/test_quorum.py",),
    ),
    Mutant(
        "a newer term does not make a leader follow",
        "raft/core.py",
        "        if message.term > state.term:\n            if isinstance(message, VoteReply)",
        "        if message.term > state.term and state.role is not Role.LEADER:\n"
        "            if isinstance(message, VoteReply)",
        ("tests/raft/test_election.py",),
    ),
    Mutant(
        "no pre-vote: a replica that was cut off unseats the leader",
        "raft/election.py",
        "    _ask_all(state, pre=True, handover=False)\n",
        "    campaign(state, handover=False)\n",
        ("tests/raft/test_election.py",),
    ),
    Mutant(
        "a pre-vote takes the term it asks about",
        "raft/core.py",
        "            if message.term > state.term and not message.pre:\n"
        "                become_follower",
        "            if message.term > state.term:\n                become_follower",
        ("tests/raft/test_election.py",),
    ),
    Mutant(
        "votes inside a leader's lease",
        "raft/core.py",
        "            if not message.handover and election.is_leader_alive(state):",
        "            if False:",
        ("tests/raft/test_election.py",),
    ),
    Mutant(
        "a request of an older term is never told ours",
        "raft/core.py",
        "                election.refuse_old_term(state, message)\n",
        "                pass\n",
        ("tests/raft/test_election.py",),
    ),
    Mutant(
        "a leader of an older term stays deaf",
        "raft/core.py",
        "            if isinstance(message, _LEADER_SAYS):\n",
        "            if False:\n",
        ("tests/raft/test_election.py",),
    ),
    Mutant(
        "a leader without a majority leads on",
        "raft/core.py",
        "        if silent_ms >= state.config.election_ms_max or state.is_disk_overtaken:",
        "        if state.is_disk_overtaken:",
        ("tests/raft/test_election.py",),
    ),
    Mutant(
        "a leader whose disk hangs leads on",
        "raft/core.py",
        "        if silent_ms >= state.config.election_ms_max or state.is_disk_overtaken:",
        "        if silent_ms >= state.config.election_ms_max:",
        (
            "tests/raft/test_election.py",
            "tests/raft/test_slow_disk.py",
        ),
    ),
    Mutant(
        "a replica whose disk hangs campaigns",
        "raft/election.py",
        "    if state.is_disk_silent:\n        draw_election_deadline(state)\n        return\n",
        "",
        ("tests/raft/test_election.py",),
    ),
    Mutant(
        "an answer of an election that is over is counted",
        "raft/election.py",
        "    if state.role is not asking or reply.term != term:",
        "    if state.role is not asking:",
        ("tests/raft/test_election.py",),
    ),
    Mutant(
        "a log that lost its end judges another's",
        "raft/election.py",
        "    log_covers = not state.log.head_in_doubt and state.log.is_covered_by(",
        "    log_covers = state.log.is_covered_by(",
        ("tests/raft/test_recovery.py",),
    ),
    Mutant(
        "a replica that lost its log's end campaigns",
        "raft/election.py",
        "    return counts and not state.is_installing and not state.log.head_in_doubt",
        "    return counts and not state.is_installing",
        ("tests/raft/test_recovery.py",),
    ),
    Mutant(
        "a hand-over outlives the role it belonged to",
        "raft/state.py",
        "    state.handover = None\n    state.appends_due = False",
        "    state.appends_due = False",
        ("tests/raft/test_election.py",),
    ),
    Mutant(
        "a hand-over that fails never ends",
        "raft/core.py",
        "            state.handover = None  # it failed; go on leading",
        "            pass",
        ("tests/raft/test_election.py",),
    ),
    Mutant(
        "a hand-over to a voter that is far behind",
        "raft/replication.py",
        "        or state.log.last - progress.match > state.config.transfer_lag_max\n",
        "",
        ("tests/raft/test_election.py",),
    ),
    Mutant(
        "whoever is handed over to has not everything yet",
        "raft/replication.py",
        "    if state.progress[handover.target].match == state.log.last:",
        "    if True:",
        (
            "tests/raft/test_election.py",
            "tests/raft/test_driver.py",
        ),
    ),
    Mutant(
        "anybody may ask for an election",
        "raft/election.py",
        "    if state.role is not Role.LEADER and message.sender == state.leader:",
        "    if state.role is not Role.LEADER:",
        ("tests/raft/test_election.py",),
    ),
)
