"""Bounds that are taken and given back."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from protocols.http.gates import PLACE_WAIT_S, WAITING_MAX, Gate, GateFull, Room
from storage.ids import AccountId


def test_a_gate_counts_by_account_and_forgets_who_left() -> None:
    gate = Gate(1)
    with gate.enter(AccountId(1)):
        with pytest.raises(GateFull), gate.enter(AccountId(1)):
            pass
        with gate.enter(AccountId(2)):
            pass
    with pytest.raises(ZeroDivisionError), gate.enter(AccountId(1)):
        raise ZeroDivisionError
    assert gate._inside == {}


async def test_who_waits_goes_in_when_somebody_leaves_in_the_order_they_came() -> None:
    gate, account = Gate(1), AccountId(1)
    went_in: list[int] = []

    async def visit(number: int) -> None:
        await gate.place(account)
        with gate.enter(account):
            went_in.append(number)
            await wait_all_tasks_blocked()

    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(visit, number)
            await wait_all_tasks_blocked(0.001)
    assert went_in == [0, 1, 2, 3]
    assert gate._inside == {} and gate._waiting == {}


async def test_nobody_waits_for_ever_and_so_many_wait(autojump_clock: MockClock) -> None:
    gate, account = Gate(1), AccountId(1)
    began = trio.current_time()
    with gate.enter(account):
        async with trio.open_nursery() as nursery:
            for _ in range(WAITING_MAX):
                nursery.start_soon(gate.place, account)
            await wait_all_tasks_blocked()
            await gate.place(account)  # no place even to wait
            assert trio.current_time() == began
            await gate.place(AccountId(2))
        assert trio.current_time() == began + PLACE_WAIT_S
        with pytest.raises(GateFull), gate.enter(account):
            pass
    assert gate._waiting == {}


def test_a_room_is_shared_and_given_back() -> None:
    room = Room(10)
    with room.tenant() as one, room.tenant() as two:
        one.grow(4)
        one.grow(3)
        two.grow(6)
        with pytest.raises(GateFull):
            one.grow(5)
        assert (one.held, two.held, room.free) == (4, 6, 0)
    assert room.free == 10
