"""The simulation is only worth what it finds: bugs planted here must all be seen.

Each is a real mistake of a real Raft somewhere; the design's tables name them.
"""

from collections.abc import Sequence

import pytest

from raft import core, election, following, log, reads, replication, state
from raft.messages import AppendReject, VoteRequest
from raft.model import HardState, Persist
from raft.progress import Progress
from raft.quorum import agreed
from raft.state import Role, State
from raft.wal import Wal
from tests.simulation.disk import SimFile
from tests.simulation.report import SeedFailed
from tests.simulation.run import run_seed

SEEDS_MAX = 60
SECONDS = 12.0


def finds(invariant: str) -> None:
    """Some seed must fail, and by this invariant's name."""
    for seed in range(SEEDS_MAX):
        try:
            run_seed(f"planted {seed}", SECONDS)
        except SeedFailed as failure:
            assert invariant in str(failure), failure
            assert f"--seed 'planted {seed}'" in str(failure)
            return
    pytest.fail(f"{SEEDS_MAX} seeds did not find it")


def test_an_acknowledgement_before_its_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "send_when_durable", state.send)
    finds("11: an acknowledgement left")


def test_a_vote_before_its_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(election, "send_when_durable", state.send)
    finds("11: a vote left")


def test_a_vote_that_is_never_written(monkeypatch: pytest.MonkeyPatch) -> None:
    real = state.take_persist

    def forgetful(here: State) -> Persist | None:
        here.hard_state_dirty = False
        return real(here)

    monkeypatch.setattr(core, "take_persist", forgetful)
    finds("a vote left")


def test_a_leader_that_counts_itself_before_its_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    def hasty(here: State) -> None:
        if here.role is not Role.LEADER:
            return
        reached = {p.replica: p.match for p in here.progress.values()}
        reached[here.replica] = here.log.last
        index = agreed(here.membership, reached)
        if index > here.commit and here.log.term(index) == here.term:
            here.commit = index
            here.appends_due = True

    monkeypatch.setattr(replication, "commit_what_is_agreed", hasty)
    finds("5: committed without a majority")


def test_an_entry_of_an_older_term_committed_by_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paper 5.4.2, figure 8."""

    def counting(here: State) -> None:
        if here.role is not Role.LEADER:
            return
        reached = {p.replica: p.match for p in here.progress.values()}
        reached[here.replica] = here.log.durable
        index = agreed(here.membership, reached)
        if index > here.commit:
            here.commit = index
            here.appends_due = True

    monkeypatch.setattr(replication, "commit_what_is_agreed", counting)
    finds("5: an older term's entry")


def test_a_vote_for_a_shorter_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log.RaftLog, "is_covered_by", lambda *_: True)
    finds("")  # a lost entry shows under several names, and asserts of the core see it too


def test_a_second_vote_in_one_term(monkeypatch: pytest.MonkeyPatch) -> None:
    def fickle(here: State, term: int, vote: int) -> None:
        if (term, vote) != (here.term, here.vote):
            here.term, here.vote = term, vote
            here.hard_state_dirty = True

    def generous(here: State, request: VoteRequest) -> None:
        if not request.pre:
            fickle(here, here.term, 0)
        real(here, request)

    real = election.on_vote_request
    monkeypatch.setitem(core._HANDLERS, VoteRequest, generous)
    monkeypatch.setattr(election, "is_leader_alive", lambda _: False)
    finds("")


def test_a_read_without_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    def trusting(here: State) -> None:
        running = here.reads.running
        if running is not None:
            for progress in here.progress.values():
                progress.acked_round = running.number
        real(here)

    real = reads._finish_round
    monkeypatch.setattr(reads, "_finish_round", trusting)
    monkeypatch.setattr(reads, "_are_majority", lambda *_: False)  # or few reads need a round
    finds("stale read")


def test_a_read_before_the_first_commit_of_a_term(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "knows_commit", lambda here: here.role is Role.LEADER)
    finds("stale read")


def test_a_log_that_skips_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimFile, "sync_data", lambda _: None)
    finds("")


def test_a_log_that_forgets_to_truncate(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Wal.write

    def write(self: Wal, steps: Sequence[Persist]) -> None:
        real(self, [Persist(s.number, s.hard_state, None, s.entries, s.snapshot) for s in steps])

    monkeypatch.setattr(Wal, "write", write)
    finds("")


def test_a_log_that_forgets_its_hard_state(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Wal.__init__

    def init(self: Wal, *args: object, **named: object) -> None:
        real(self, *args, **named)  # type: ignore[arg-type]
        self.hard_state = HardState()

    monkeypatch.setattr(Wal, "__init__", init)
    finds("36: the log does not read back")


def test_a_follower_that_is_believed_too_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """d-engine 308: match goes up when something is sent instead of when it is acknowledged."""
    real = Progress.sent

    def sent(self: Progress, last: int, size: int) -> None:
        real(self, last, size)
        self.match = max(self.match, last)
        self.next = max(self.next, last + 1)

    monkeypatch.setattr(Progress, "sent", sent)
    finds("")


def test_a_leader_that_never_repairs_a_lost_append(monkeypatch: pytest.MonkeyPatch) -> None:
    """hashicorp/raft 612: a follower that is never replicated to again."""
    monkeypatch.setitem(core._HANDLERS, AppendReject, lambda here, reply: None)
    finds("34: no write went through")
