"""The invariants themselves: what they must let pass, and what not."""

from types import SimpleNamespace
from typing import Any

import pytest

from raft.config import RaftConfig
from raft.messages import VoteReply
from raft.model import Entry, EntryKind, HardState, Persist, SnapshotMeta
from raft.state import Role
from tests.simulation.checkers import Checker, Shadow, Violation

FOUNDERS = (1, 2, 3)


def leads(checker: Checker, replica: int, term: int, log: list[int], commit: int = 0) -> Any:
    """The state of a leader whose entries have these terms; 1 voted for it, and itself."""
    for voter in (1, replica):
        checker.shadows[voter].hard_state = HardState(term, replica)
    reply = VoteReply(0, 1, replica, term, granted=True, pre=False)
    checker.sent(SimpleNamespace(term=term), reply)  # type: ignore[arg-type]

    def matches(index: int, of_term: int) -> bool:
        return 0 < index <= len(log) and log[index - 1] == of_term

    def term_of(index: int) -> int:
        return log[index - 1] if index else 0

    last = len(log)
    known = SimpleNamespace(
        start=0, last=last, durable=last, handed=last, matches=matches, term=term_of
    )
    return SimpleNamespace(
        replica=replica,
        term=term,
        vote=replica,
        role=Role.LEADER,
        configs=SimpleNamespace(active=checker.memberships.founding),
        log=known,
        commit=commit,
        applied=0,
        lacks_state=False,
        config=RaftConfig(),
    )


def commit(checker: Checker, state: Any, terms: list[int]) -> None:
    """A leader commits its log, and applies all of it."""
    for replica in (1, state.replica):
        checker.shadows[replica].terms[:] = terms
    checker.after_event(state)
    entries = [Entry(index, term, EntryKind.NOOP, b"") for index, term in enumerate(terms, 1)]
    checker.apply(state.replica, entries[checker.applied_by[state.replica] :])


def test_a_leader_without_what_was_committed_before_its_term_is_found() -> None:
    checker = Checker(FOUNDERS)
    commit(checker, leads(checker, 2, 1, [1], commit=1), [1])
    with pytest.raises(Violation, match="3: a leader lacks a committed entry"):
        checker.after_event(leads(checker, 3, 2, [2]))


def test_a_leader_elected_late_need_not_have_what_a_later_term_has_committed() -> None:
    """Its last vote comes when somebody else has led the next term for a while (paper 5.4.3)."""
    checker = Checker(FOUNDERS)
    commit(checker, leads(checker, 2, 1, [1], commit=1), [1])
    commit(checker, leads(checker, 2, 3, [1, 3], commit=2), [1, 3])
    checker.after_event(leads(checker, 3, 2, [1]))
    other = Checker(FOUNDERS)
    commit(other, leads(other, 2, 1, [1], commit=1), [1])
    commit(other, leads(other, 2, 3, [1, 3], commit=2), [1, 3])
    with pytest.raises(Violation, match="3: a leader lacks a committed entry"):
        other.after_event(leads(other, 3, 2, [2]))


def opened(start: int, terms: list[int], *, in_doubt: bool) -> Any:
    """What a log says of itself when it is opened."""
    return SimpleNamespace(
        snapshot=SnapshotMeta(start, 1, Checker(FOUNDERS).memberships.founding) if start else None,
        hard_state=HardState(),
        term_runs=[(start + 1, 1)] if terms else [],
        configs=[],
        last=start + len(terms),
        head_in_doubt=in_doubt,
    )


def test_with_a_snapshots_record_what_it_stood_for_may_be_lost_but_not_untold() -> None:
    """Segments before the record go when it is durable; then its flush rots."""

    def damaged() -> Checker:
        checker = Checker(FOUNDERS)
        founding = checker.memberships.founding
        entries = tuple(Entry(index, 1, EntryKind.NOOP, b"") for index in range(1, 6))
        checker.apply(2, entries)
        checker.durable(1, [Persist(1, None, None, entries[:4])])
        checker.durable(1, [Persist(2, None, None, (), SnapshotMeta(5, 1, founding))])
        checker.head_damaged(1)
        return checker

    for log in ([1] * 4, []):
        damaged().restarted(1, opened(0, log, in_doubt=True), [])
        with pytest.raises(Violation, match="36: a lost end, untold"):
            damaged().restarted(1, opened(0, log, in_doubt=False), [])
    with pytest.raises(Violation, match="36: the log does not read back"):
        damaged().restarted(1, opened(0, [1] * 2, in_doubt=True), [])


def test_without_a_snapshots_record_only_the_last_flush_is_lost() -> None:
    checker = Checker(FOUNDERS)
    entries = tuple(Entry(index, 1, EntryKind.NOOP, b"") for index in range(1, 6))
    checker.durable(1, [Persist(1, None, None, entries[:4])])
    checker.durable(1, [Persist(2, None, None, entries[4:])])
    checker.head_damaged(1)
    with pytest.raises(Violation, match="36: the log does not read back"):
        checker.restarted(1, opened(0, [], in_doubt=True), [])
    checker.restarted(1, opened(0, [1] * 4, in_doubt=True), [])
    assert checker.shadows[1] == Shadow(checker.applied, HardState(), [1] * 4)
