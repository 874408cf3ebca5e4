"""Another key to sign pushes with, as an operator asks for it."""

from typing import Any

import pytest

from node.admin import AdminRefused
from node.push_desk import PushDesk
from protocols.jmap.capabilities import server_key
from tests.fakes import FakeHouse, make_house


def desk_of(house: FakeHouse) -> Any:
    """The one call there is."""
    return PushDesk(house.writer).calls()["push.rotate-key"]


async def test_a_rotation_tells_both_keys_and_when_the_old_one_ends() -> None:
    house = make_house()
    rotate = desk_of(house)
    told = await rotate({})
    assert told["key"] == server_key(house.view()) != told["old_key"]
    with pytest.raises(AdminRefused, match=told["old_key_until"]):
        await rotate({"at_once": False})
    again = await rotate({"at_once": True})
    assert again["old_key"] == told["key"] and again["key"] == server_key(house.view())
    assert again["old_key_until"] < told["old_key_until"]


async def test_what_cannot_be_is_said_in_a_sentence() -> None:
    house = make_house()
    with pytest.raises(AdminRefused, match="at_once"):
        await desk_of(house)({"at_once": "yes"})
    house.unavailable = True
    with pytest.raises(AdminRefused, match="cannot answer now"):
        await desk_of(house)({})
    house.unavailable = False
    assert server_key(house.view()) is None
