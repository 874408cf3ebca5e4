"""What an operator may do with lists and domains, and what is refused in one sentence."""

from typing import Any

import pytest

from node.admin import AdminRefused
from node.lists import ListDesk
from storage.lists import MEMBERS_MAX
from tests.fakes import FakeHouse, make_house

ALICE, CREW = "alice@example.org", "crew@example.org"


class Desk(ListDesk):
    """The desk of a house with Alice in it."""

    def __init__(self) -> None:
        self.house: FakeHouse = make_house({ALICE: "x"})
        super().__init__(self.house.reader, self.house.writer)

    async def ask(self, call: str, **args: Any) -> Any:
        return await self.calls()[call](args)

    async def refusal(self, call: str, **args: Any) -> str:
        with pytest.raises(AdminRefused) as caught:
            await self.ask(call, **args)
        return str(caught.value)


async def test_a_list_from_its_making_to_its_end() -> None:
    desk = Desk()
    made = await desk.ask("list.add", address="Crew@example.org", members=[ALICE])
    assert (made["address"], made["members"]) == (CREW, [ALICE])
    changed = await desk.ask("list.update", address=CREW, add=["b@b.example"], remove=[ALICE])
    assert changed["members"] == ["b@b.example"]
    assert await desk.ask("list.show", address=CREW) == changed
    assert await desk.ask("list.list") == {"lists": [{"address": CREW, "members": 1}]}
    await desk.ask("list.delete", address=CREW)
    assert await desk.ask("list.list") == {"lists": []}


async def test_domains_and_their_catch_all() -> None:
    desk = Desk()
    await desk.ask("domain.add", domain="other.example")
    await desk.ask("domain.update", domain="other.example", catchAll=ALICE)
    assert (await desk.ask("domain.list"))["domains"] == [
        {"domain": "example.org", "catchAll": None},
        {"domain": "other.example", "catchAll": ALICE},
    ]
    await desk.ask("domain.update", domain="other.example", catchAll="")
    assert (await desk.ask("domain.list"))["domains"][1]["catchAll"] is None


async def test_what_is_refused() -> None:
    desk = Desk()
    assert "taken" in await desk.refusal("list.add", address=ALICE)
    assert "no domain" in await desk.refusal("list.add", address="crew@b.example")
    assert "name@domain" in await desk.refusal("list.add", address=CREW, members=["junk"])
    assert "list of texts" in await desk.refusal("list.add", address=CREW, members="x")
    assert "lacks" in await desk.refusal("list.show")
    many = [f"m{number}@b.example" for number in range(MEMBERS_MAX + 1)]
    assert "a list in" in await desk.refusal("list.add", address=CREW, members=many)
    for call in ("list.show", "list.update", "list.delete"):
        assert "trireme list list" in await desk.refusal(call, address=CREW)
    await desk.ask("list.add", address=CREW)
    assert "is not in" in await desk.refusal("list.update", address=CREW, remove=[ALICE])
    assert "nobody has" in await desk.refusal(
        "domain.update", domain="example.org", catchAll="no@example.org"
    )
    assert "lacks" in await desk.refusal("domain.update", domain="example.org")
    desk.house.unavailable = True
    for call in ("list.delete", "list.show"):
        assert "trireme status" in await desk.refusal(call, address=CREW)
