"""An operator sees what users let programs do, and takes it back."""

from typing import Any

import pytest

from node.admin import AdminRefused
from node.grants import GrantDesk
from storage.grants import Issued, Terms, plan_grant, prove_access
from tests.fakes import FakeHouse, make_house

ALICE, BOB = "alice@example.org", "bob@example.org"
TERMS = Terms(access_ms=1_000, refresh_ms=5_000)


class Desk(GrantDesk):
    """The desk of a house where programs were let in."""

    def __init__(self) -> None:
        self.house: FakeHouse = make_house({ALICE: "x", BOB: "y"})
        super().__init__(self.house.reader, self.house.writer)

    def grant(self, address: str, name: str) -> Issued:
        account = self.house.accounts[address]
        return self.house.run(
            lambda plan: plan_grant(
                plan, account, client="c", client_name=name, scopes=("mail",), terms=TERMS
            )
        )

    def proves(self, issued: Issued) -> bool:
        now_ms = self.house.clock.now_ms()
        return prove_access(self.house.engine, issued.access_token, now_ms) is not None

    async def ask(self, call: str, **args: Any) -> Any:
        return await self.calls()[call](args)

    async def refusal(self, call: str, **args: Any) -> str:
        with pytest.raises(AdminRefused) as caught:
            await self.ask(call, **args)
        return str(caught.value)


async def test_grants_are_listed_without_their_secrets() -> None:
    desk = Desk()
    issued = desk.grant(ALICE, "Bird")
    now_ms = desk.house.clock.now_ms()
    assert await desk.ask("grant.list", address=ALICE) == {
        "grants": [
            {
                "id": f"{issued.grant:016x}",
                "program": "Bird",
                "client": "c",
                "scopes": ["mail"],
                "created": now_ms,
                "used": now_ms,
                "ends": now_ms + 5_000,
            }
        ]
    }
    assert await desk.ask("grant.list", address=BOB) == {"grants": []}


async def test_some_or_all_are_taken_back() -> None:
    desk = Desk()
    first, second, third = (desk.grant(ALICE, name) for name in "abc")
    his = desk.grant(BOB, "d")
    ids = [f"{first.grant:016x}"] * 2
    assert await desk.ask("grant.revoke", address=ALICE, ids=ids) == {"revoked": 1}
    assert [desk.proves(each) for each in (first, second, third, his)] == [False, True, True, True]
    assert await desk.ask("grant.revoke", address=ALICE, all=True) == {"revoked": 2}
    assert [desk.proves(each) for each in (second, third, his)] == [False, False, True]


async def test_what_is_refused_takes_nothing_back() -> None:
    desk = Desk()
    mine, his = desk.grant(ALICE, "a"), desk.grant(BOB, "b")
    both = [f"{mine.grant:016x}", f"{his.grant:016x}"]
    assert "has no grant" in await desk.refusal("grant.revoke", address=ALICE, ids=both)
    for args in ({}, {"ids": []}, {"ids": both, "all": True}):
        assert "say which" in await desk.refusal("grant.revoke", address=ALICE, **args)
    assert "nobody has" in await desk.refusal("grant.list", address="x@example.org")
    assert "nobody has" in await desk.refusal("grant.revoke", address="x@x.example", all=True)
    desk.house.unavailable = True
    assert "trireme status" in await desk.refusal("grant.list", address=ALICE)
    assert "trireme status" in await desk.refusal("grant.revoke", address=ALICE, all=True)
    assert desk.proves(mine) and desk.proves(his)
