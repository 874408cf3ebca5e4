"""Bugs of elections, replication, reads, membership and snapshots, in raft/."""

from typing import Final

from fuzz.planted.mutant import TIER_A, Mutant

MUTANTS: Final = (
    Mutant(
        "a vote leaves before its fsync",
        "raft/election.py",
        "    send_when_durable(state, _answer(state, request, state.term, granted))",
        "    send(state, _answer(state, request, state.term, granted))",
    ),
    Mutant(
        "a vote is never written",
        "raft/state.py",
        "hard_state = HardState(state.term, state.vote) if state.hard_state_dirty else None",
        "hard_state = None",
    ),
    Mutant(
        "a vote for a shorter log",
        "raft/election.py",
        "    granted = free and log_covers\n",
        "    granted = free\n",
    ),
    Mutant(
        "a second vote in one term",
        "raft/election.py",
        "    free = state.vote == request.sender or (",
        "    free = True or (",
    ),
    Mutant(
        "half is a majority",
        "raft/quorum.py",
        "    return size // 2 + 1\n",
        "    return max(1, size // 2)\n",
    ),
    Mutant(
        "an election won in one half of a joint change",
        "raft/quorum.py",
        "        return Vote.WON if result is other is Vote.WON else Vote.OPEN",
        "        return result",
    ),
    Mutant(
        "a term that does not make a leader follow",
        "raft/core.py",
        "            if message.term > state.term and not message.pre:\n"
        "                become_follower(state, message.term, NOBODY)\n",
        "            if message.term > state.term and not message.pre and (\n"
        "                state.role is not Role.LEADER\n"
        "            ):\n"
        "                become_follower(state, message.term, NOBODY)\n",
    ),
    Mutant(
        "an acknowledgement leaves before its fsync",
        "raft/following.py",
        "append.sender, state.term, match)\n    send_when_durable(state, reply)",
        "append.sender, state.term, match)\n    send(state, reply)",
    ),
    Mutant(
        "a leader counts what its own disk does not hold",
        "raft/replication.py",
        "    reached[state.replica] = state.log.durable\n",
        "    reached[state.replica] = state.log.last\n",
    ),
    Mutant(
        "an entry of an old term is committed by counting",
        "raft/replication.py",
        "    if index > state.commit and state.log.term(index) == state.term:",
        "    if index > state.commit:",
    ),
    Mutant(
        "committed by a minority",
        "raft/quorum.py",
        "    return numbers[len(numbers) // 2] if numbers else 0",
        "    return numbers[max(0, len(numbers) // 2 - 1)] if numbers else 0",
    ),
    Mutant(
        "committed by one half of a joint change",
        "raft/quorum.py",
        "        lowest = min(lowest, _agreed_of(membership.outgoing, reached))",
        "        lowest = max(lowest, 0)",
    ),
    Mutant(
        "a follower commits what it has not matched",
        "raft/following.py",
        "    state.commit = max(state.commit, min(append.commit, last))",
        "    state.commit = max(state.commit, min(append.commit, log.last))",
    ),
    Mutant(
        "an append is taken without a look at the entry before",
        "raft/following.py",
        "    if not log.matches(append.previous_index, append.previous_term):",
        "    if append.previous_index > log.last:",
    ),
    Mutant(
        "a heartbeat commits above a follower's match",
        "raft/replication.py",
        "    commit = min(state.commit, progress.match)\n"
        "    progress.told_commit = max(progress.told_commit, commit)",
        "    commit = state.commit\n    progress.told_commit = max(progress.told_commit, commit)",
    ),
    Mutant(
        "an old acknowledgement counts for an entry that was replaced",
        "raft/state.py",
        "            flush.durable = min(flush.durable, truncate_from - 1)",
        "            pass",
    ),
    Mutant(
        "applied before it is on the own disk",
        "raft/core.py",
        "        return min(self.state.commit, self.state.log.durable)",
        "        return self.state.commit",
    ),
    Mutant(
        "match goes up when a thing is sent",
        "raft/progress.py",
        "        self.next = max(self.next, self.match + 1)\n",
        "        self.match = max(self.match, self.next - 1)\n"
        "        self.next = max(self.next, self.match + 1)\n",
    ),
    Mutant(
        "a configuration outlives its truncation",
        "raft/following.py",
        "            state.configs.truncate(entries[0].index)\n",
        "",
        (TIER_A, "tests/simulation/test_planted_membership.py", "tests/raft"),
    ),
    Mutant(
        "a read round that needs no answers",
        "raft/reads.py",
        "    if agreed(state.membership, acked) < running.number:",
        "    if agreed(state.membership, acked) < 0:",
    ),
    Mutant(
        "a read before the first commit of a term",
        "raft/reads.py",
        "    return state.role is Role.LEADER and state.commit >= state.term_start",
        "    return state.role is Role.LEADER",
    ),
)
