"""Bounds that are taken and given back."""

import pytest

from protocols.http.gates import Gate, GateFull, Room
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
