"""Nodes that write to one account let each other go first, in the order of the log."""

from node.turns import TURN_S, Turns
from storage.apply import Applied, Outcome
from storage.batch import Announce, ProposalId
from storage.ids import AccountId, Version

ALICE, BOB = AccountId(1), AccountId(2)
ME, OTHER, THIRD = 7, 8, 9


class Hands:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 1.0

    def now_ms(self) -> int:
        return int(self.now_s * 1000)

    def monotonic_s(self) -> float:
        return self.now_s


def conflict(replica: int, account: AccountId = ALICE) -> Applied:
    return Applied(1, ProposalId(replica, 1, 1), Outcome.CONFLICT, contended=(account,))


def applied(replica: int, account: AccountId = ALICE) -> Applied:
    return Applied(
        1, ProposalId(replica, 1, 1), Outcome.APPLIED, (Announce(account, Version(1), 1),)
    )


def test_without_conflicts_it_is_always_our_turn() -> None:
    turns = Turns(ME, Hands())
    assert turns.note([applied(OTHER), applied(ME)]) == []
    assert turns.is_ours(ALICE)


def test_whoever_met_a_conflict_goes_first_and_others_wait_for_its_result() -> None:
    turns = Turns(ME, Hands())
    turns.note([conflict(OTHER)])
    assert not turns.is_ours(ALICE)
    assert turns.is_ours(BOB)
    assert turns.note([applied(OTHER)]) == [ALICE]
    assert turns.is_ours(ALICE)


def test_the_line_is_in_the_order_of_the_log_and_a_second_conflict_keeps_the_place() -> None:
    turns = Turns(ME, Hands())
    turns.note([conflict(OTHER), conflict(ME), conflict(OTHER)])
    assert not turns.is_ours(ALICE)
    turns.note([applied(THIRD)])  # it was under way already
    assert not turns.is_ours(ALICE)
    turns.note([applied(OTHER)])
    assert turns.is_ours(ALICE)
    turns.note([applied(ME)])
    assert len(turns) == 0


def test_a_turn_that_is_not_taken_passes_on() -> None:
    clock = Hands()
    turns = Turns(ME, clock)
    turns.note([conflict(OTHER), conflict(THIRD)])
    clock.now_s += TURN_S / 2
    assert turns.expire() == []
    clock.now_s += TURN_S / 2
    assert turns.expire() == [ALICE]
    assert not turns.is_ours(ALICE)  # the next in line has all its time
    clock.now_s += TURN_S
    assert turns.expire() == [ALICE]
    assert turns.is_ours(ALICE)
    assert len(turns) == 0
