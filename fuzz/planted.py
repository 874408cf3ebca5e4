"""Bugs to plant: each a small change of one file, and the tests that ought to see it.

Every one is a mistake that some system of this kind has really made (the design's tables name
them). `old` must stand exactly once in its file, so a change of the code that makes a mutant
meaningless is noticed. Hunters are tried in order until one fails.
"""

from dataclasses import dataclass
from typing import Final

TIER_A: Final = "tier a"
TIER_B: Final = "tier b"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One planted bug. `hunters` are tiers, or paths for pytest."""

    name: str
    file: str
    old: str
    new: str
    hunters: tuple[str, ...] = (TIER_A, TIER_B)


MUTANTS: Final = (
    # --- votes and elections
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
    # --- the log
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
        "a log written without fsync",
        "raft/wal.py",
        "        self._file.sync_data()",
        "        pass",
    ),
    Mutant(
        "a segment that forgets the hard state",
        "raft/wal.py",
        "            hard_state=self.hard_state,",
        "            hard_state=HardState(),",
        (TIER_A, TIER_B, "tests/raft"),
    ),
    Mutant(
        "a configuration outlives its truncation",
        "raft/following.py",
        "            state.configs.truncate(entries[0].index)\n",
        "",
        (TIER_A, "tests/simulation/test_planted_membership.py", "tests/raft"),
    ),
    # --- reads
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
    Mutant(
        "a reader that does not wait for apply",
        "node/reads.py",
        "        self._machine.when_applied(index, lambda: _wake(readers))",
        "        _wake(readers)",
        (TIER_B, "tests/node/test_reads.py"),
    ),
    # --- proposals and rows
    Mutant(
        "no fence before an earlier process",
        "storage/apply.py",
        "        if origin is None or pid.epoch != origin.epoch:",
        "        if origin is None:",
        (TIER_B, "tests/storage/test_apply.py"),
    ),
    Mutant(
        "a proposal applied twice",
        "storage/apply.py",
        "        known = origin.outcomes.get(pid.sequence)\n",
        "        known = None\n",
        (TIER_B, "tests/storage/test_apply.py"),
    ),
    Mutant(
        "a late copy of what is settled is applied",
        "storage/apply.py",
        "        if pid.sequence < origin.low:",
        "        if pid.sequence < 0:",
        (TIER_B, "tests/storage/test_apply.py"),
    ),
    Mutant(
        "expectations are not looked at",
        "storage/apply.py",
        "        if not self._holds(asked):",
        "        if False:",
        (TIER_B,),
    ),
    Mutant(
        "a registration that is not above the last",
        "node/rounds.py",
        "                origin.replica, held + 1, origin.node, origin.identity, origin.nonce",
        "                origin.replica, max(held, 1), origin.node, origin.identity, origin.nonce",
        (TIER_B,),
    ),
    Mutant(
        "outcomes that are lost at a restart",
        "storage/apply.py",
        "        origins[replica].outcomes[sequence] = Outcome(outcome)\n",
        "",
        (TIER_B, "tests/storage/test_apply.py"),
    ),
    Mutant(
        "a checkpoint claimed before its blobs are synced",
        "storage/checkpoint.py",
        "        self._blobs.sync(checkpoint.segments)",
        "        pass",
        (TIER_B, "tests/storage/test_checkpoint.py"),
    ),
    Mutant(
        "blobs lost in a power cut are not written again",
        "node/foundation.py",
        "    _redo_blobs(foundation)\n    return foundation",
        "    return foundation",
        (TIER_B,),
    ),
    Mutant(
        "a hole in the rows is not noticed",
        "storage/checkpoint.py",
        "        if before != reached:",
        "        if before > reached + 10**9:",
        ("tests/storage/test_checkpoint.py", "tests/storage/test_opening.py"),
    ),
    Mutant(
        "an emptied disk votes as if it knew",
        "node/newcomer.py",
        "        if answer.registered.get(self._name) not in (None, self._disk):",
        "        if False:",
        ("tests/node/test_newcomer.py", "tests/node/test_house.py"),
    ),
    # --- gossip
    Mutant(
        "a claim of an older incarnation wins",
        "gossip/members.py",
        "        if (claim.incarnation, status) < (held.incarnation, held.status):",
        "        if status < held.status:",
        ("tests/gossip/test_members.py", "tests/gossip/test_village.py"),
    ),
    Mutant(
        "an incarnation that starts again",
        "gossip/driver.py",
        "    return max(stored + 1, wall_ms)",
        "    return wall_ms",
        ("tests/gossip/test_driver.py",),
    ),
)
