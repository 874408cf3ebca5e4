"""What an operator may change of an account, and what is refused in one sentence."""

from typing import Any

import pytest

from node.accounts import AccountDesk, bootstrap
from node.admin import AdminRefused
from node.config import BootstrapAccount
from node.passwords import Passwords
from protocols.ports import Unavailable
from storage.accounts import ALIASES_MAX, by_address, get_account, is_administrator
from storage.identities import list_identities
from storage.mail.quota import LIMIT_MAX, Limits, limits
from storage.mail.tree import MAILBOXES_MAX
from tests.fakes import FakeHouse, make_house

ALICE = "alice@example.org"


class Desk(AccountDesk):
    """The desk of a house with Alice and Bob in it."""

    def __init__(self) -> None:
        self.house: FakeHouse = make_house({ALICE: "x", "bob@example.org": "y"})
        self.alice = self.house.accounts[ALICE]
        passwords = Passwords(_never, random_bytes=bytes, threads=1, waiting_max=1)
        super().__init__(self.house.reader, self.house.writer, passwords)

    @property
    def limits(self) -> Limits:
        """What Alice may have."""
        return limits(self.house.engine, self.alice)

    async def refusal(self, **args: Any) -> str:
        """Why a change is refused."""
        with pytest.raises(AdminRefused) as caught:
            await self.update({"address": ALICE, **args})
        return str(caught.value)


async def _never(*_: object) -> Any:
    raise AssertionError("no password is hashed here")


async def _at_once(work: Any) -> Any:
    return work()


async def test_a_quota_is_kept_and_enforced() -> None:
    desk = Desk()
    told = await desk.update({"address": ALICE, "quota": 5_000})
    assert told == {
        "address": ALICE,
        "aliases": [],
        "quota": 5_000,
        "messages": None,
        "mailbox_limit": None,
        "administrator": False,
    }
    assert desk.limits.octets == 5_000
    assert (await desk.show({"address": ALICE}))["quota"] == 5_000
    await desk.update({"address": ALICE})
    assert desk.limits.octets == 5_000
    assert (await desk.update({"address": ALICE, "quota": 0}))["quota"] is None
    assert desk.limits.octets is None


async def test_a_limit_of_messages_is_kept_beside_it() -> None:
    desk = Desk()
    await desk.update({"address": ALICE, "quota": 5_000})
    told = await desk.update({"address": ALICE, "messages": 10})
    assert (told["quota"], told["messages"]) == (5_000, 10)
    assert desk.limits.messages == 10
    assert (await desk.show({"address": ALICE}))["messages"] == 10
    assert (await desk.update({"address": ALICE, "messages": 0}))["messages"] is None
    assert desk.limits.octets == 5_000


async def test_mailboxes_are_limited_to_fewer_than_we_do() -> None:
    desk = Desk()
    assert (await desk.update({"address": ALICE, "mailbox_limit": 7}))["mailbox_limit"] == 7
    assert desk.limits == Limits(mailboxes=7)
    assert (await desk.show({"address": ALICE}))["mailbox_limit"] == 7
    assert str(MAILBOXES_MAX) in await desk.refusal(mailbox_limit=MAILBOXES_MAX + 1)
    assert (await desk.update({"address": ALICE, "mailbox_limit": 0}))["mailbox_limit"] is None


async def test_an_administrator_is_made_and_unmade() -> None:
    desk = Desk()
    assert not (await desk.show({"address": ALICE}))["administrator"]
    assert (await desk.update({"address": ALICE, "administrator": True}))["administrator"]
    assert is_administrator(desk.house.engine, desk.alice)
    await desk.update({"address": ALICE, "quota": 5_000, "add": ["a@example.org"]})
    listed = (await desk.list({}))["accounts"]
    assert [held["administrator"] for held in listed] == [True, False]
    assert "neither true nor false" in await desk.refusal(administrator="yes")
    assert not (await desk.update({"address": ALICE, "administrator": False}))["administrator"]
    assert not is_administrator(desk.house.engine, desk.alice)


async def test_an_administrator_is_one_from_the_start() -> None:
    desk = Desk()
    desk._passwords = Passwords(_at_once, random_bytes=bytes, memory_kib=64)
    args = {"address": "root@example.org", "password": "a b c"}
    made = await desk.add(args | {"administrator": True})
    assert made["administrator"] and (await desk.show(args))["administrator"]
    others = await desk.add(args | {"address": "other@example.org"})
    assert not others["administrator"]
    rows = desk.house.engine
    listed = (
        BootstrapAccount(address="first@example.org", password="x", administrator=True),
        BootstrapAccount(address="second@example.org", password="x"),
    )
    await bootstrap(listed, desk.house.reader, desk.house.writer, desk._passwords)
    first, second = (by_address(rows, each.address) for each in listed)
    assert first and second
    assert is_administrator(rows, first) and not is_administrator(rows, second)


async def test_aliases_come_and_go_with_their_identities() -> None:
    desk = Desk()
    told = await desk.update({"address": ALICE, "add": ["Al@example.org", "a@example.org"]})
    assert told["aliases"] == ["a@example.org", "al@example.org"]
    told = await desk.update({"address": "al@example.org", "remove": ["AL@example.org"]})
    assert told["aliases"] == ["a@example.org"]
    emails = [held.email for _, held in list_identities(desk.house.engine, desk.alice)]
    assert emails == [ALICE, "a@example.org"]


async def test_a_new_password_takes_the_old_ones_place_in_both_its_forms() -> None:
    desk = Desk()

    passwords = Passwords(_at_once, random_bytes=bytes, memory_kib=64)
    desk._passwords = passwords
    before = get_account(desk.house.engine, desk.alice)
    told = await desk.update({"address": ALICE, "password": "a new one"})
    assert told["address"] == ALICE and "password" not in told
    after = get_account(desk.house.engine, desk.alice)
    assert before is not None and after is not None
    assert after.password != before.password and after.scram
    assert await passwords.check("a new one", after.password)
    assert not await passwords.check("x", after.password)
    assert (after.aliases, after.quota) == (before.aliases, before.quota)
    assert "choose another" in await desk.refusal(password="\x07")
    assert "give one" in await desk.refusal(password="")
    assert get_account(desk.house.engine, desk.alice) == after


async def test_what_is_refused() -> None:
    desk = Desk()
    assert "see trireme account list" in await desk.refusal(address="x@example.org")
    assert "taken" in await desk.refusal(add=["bob@example.org"])
    assert "name@domain" in await desk.refusal(add=["junk"])
    assert "no domain" in await desk.refusal(add=["a@elsewhere.example"])
    assert "no alias" in await desk.refusal(remove=["bob@example.org"])
    assert "list of texts" in await desk.refusal(add="a@example.org")
    many = [f"a{number}@example.org" for number in range(ALIASES_MAX + 1)]
    assert str(ALIASES_MAX) in await desk.refusal(add=many)
    for quota in (-1, LIMIT_MAX + 1, True, "1"):
        assert "octets" in await desk.refusal(quota=quota)
        assert "messages" in await desk.refusal(messages=quota)
    desk.house.unavailable = True
    assert "trireme status" in await desk.refusal(quota=1)
    with pytest.raises(Unavailable):
        await desk.house.reader.view()
