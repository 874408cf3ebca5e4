"""Email/copy between accounts, and the standard rules of /copy (RFC 8620 5.4)."""

from typing import Any

import msgspec

from protocols.jmap.capabilities import CORE, MAIL, Limits
from protocols.jmap.context import Caller
from protocols.jmap.dispatch import answer
from protocols.jmap.fragments import FragmentCache
from protocols.jmap.request import Call, Request
from protocols.ports import Principal
from storage.ids import AccountId
from storage.mail.columns import ColumnCache
from storage.mail.mailboxes import by_role
from tests.protocols.jmap.desk import ALICE, BOB, Desk


class Two:
    """Alice, who may use Bob's account as well."""

    def __init__(self) -> None:
        self.desk = Desk()
        accounts = self.desk.house.accounts
        self.caller = Caller(
            Principal(accounts[ALICE], ALICE, lent=(accounts[BOB],)),
            self.desk.house.ports,
            Limits(set_objects_max=2),
            self.pause,
            ColumnCache(0),
            FragmentCache(0),
        )
        inbox = by_role(self.desk.house.view(), AccountId(accounts[BOB]), "inbox")
        assert inbox is not None
        self.inbox = f"m{inbox.id}"

    async def pause(self) -> None:
        """Nobody else is here."""

    async def run(self, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
        """The responses to calls."""
        made = tuple(Call(name, arguments, f"c{at}") for at, (name, arguments) in enumerate(calls))
        told = await answer(Request(frozenset((CORE, MAIL)), made, None), self.caller)
        responses: list[Any] = msgspec.json.decode(told)["methodResponses"]
        return responses

    async def copy(self, create: Any, **more: Any) -> list[Any]:
        """The responses to one Email/copy from Alice to Bob."""
        arguments = {"fromAccountId": self.desk.account, "accountId": self.desk.bob}
        return await self.run(("Email/copy", {**arguments, "create": create, **more}))


async def test_a_copy_is_the_same_message_in_another_account() -> None:
    two = Two()
    email = two.desk.deliver(keywords=["$flagged"], received_ms=5_000)
    ((name, told, _),) = await two.copy({"k": {"id": email, "mailboxIds": {two.inbox: True}}})
    assert name == "Email/copy" and told["fromAccountId"] == two.desk.account
    created = told["created"]["k"]
    assert created.keys() == {"id", "blobId", "threadId", "size"} and told["notCreated"] is None
    arguments = {"accountId": two.desk.bob, "ids": [created["id"]]}
    ((_, got, _),) = await two.run(("Email/get", arguments))
    (copy,) = got["list"]
    assert copy["keywords"] == {"$flagged": True} and copy["receivedAt"] == "1970-01-01T00:00:05Z"
    assert copy["subject"] == "Hello" and copy["mailboxIds"] == {two.inbox: True}
    assert len((await two.desk.call("Email/get", ids=[email]))["list"]) == 1


async def test_properties_that_are_given_are_used_instead() -> None:
    two = Two()
    email = two.desk.deliver(keywords=["$flagged"])
    wish = {
        "id": email,
        "mailboxIds": {two.inbox: True},
        "keywords": {"$seen": True},
        "receivedAt": "2026-01-02T03:04:05Z",
    }
    ((_, told, _),) = await two.copy({"k": wish})
    arguments = {"accountId": two.desk.bob, "ids": [told["created"]["k"]["id"]]}
    ((_, got, _),) = await two.run(("Email/get", arguments))
    assert got["list"][0]["keywords"] == {"$seen": True}
    assert got["list"][0]["receivedAt"] == "2026-01-02T03:04:05Z"


async def test_originals_go_when_they_were_copied() -> None:
    two = Two()
    email, stays = two.desk.deliver(), two.desk.deliver()
    create = {
        "k": {"id": email, "mailboxIds": {two.inbox: True}},
        "n": {"id": stays, "mailboxIds": {"m99": True}},
    }
    first, second = await two.copy(create, onSuccessDestroyOriginal=True)
    assert list(first[1]["created"]) == ["k"] and list(first[1]["notCreated"]) == ["n"]
    assert (second[0], second[1]["destroyed"], second[2]) == ("Email/set", [email], "c0")
    create = {"k": {"id": stays, "mailboxIds": {two.inbox: True}}}
    more = {"onSuccessDestroyOriginal": True, "destroyFromIfInState": "0"}
    first, second = await two.copy(create, **more)
    assert first[1]["created"] and (second[0], second[1]["type"]) == ("error", "stateMismatch")
    assert len((await two.desk.call("Email/get", ids=[stays]))["list"]) == 1


async def test_objects_that_cannot_be_copied() -> None:
    two = Two()
    email = two.desk.deliver()
    box = {"mailboxIds": {two.inbox: True}}
    for wish, type_, properties in (
        ({"id": "e99", **box}, "notFound", None),
        ({"id": "x", **box}, "notFound", None),
        (box, "invalidProperties", ["id"]),
        ({"id": email}, "invalidProperties", ["mailboxIds"]),
        ({"id": email, "subject": "x", **box}, "invalidProperties", ["subject"]),
        ({"id": email, **box, "keywords": {"a b": True}}, "invalidProperties", ["keywords"]),
    ):
        ((_, told, _),) = await two.copy({"k": wish})
        assert told["notCreated"]["k"]["type"] == type_
        assert told["notCreated"]["k"].get("properties") == properties


async def test_calls_that_are_refused() -> None:
    two, wish = Two(), {"k": {"id": "e1"}}
    alice, bob = two.desk.account, two.desk.bob
    for arguments, type_ in (
        ({"fromAccountId": bob, "accountId": bob, "create": wish}, "invalidArguments"),
        ({"fromAccountId": "a99", "accountId": bob, "create": wish}, "fromAccountNotFound"),
        ({"fromAccountId": alice, "accountId": "a99", "create": wish}, "accountNotFound"),
        ({"accountId": bob, "create": wish}, "invalidArguments"),
        ({"fromAccountId": alice, "accountId": bob}, "invalidArguments"),
        ({"fromAccountId": alice, "accountId": bob, "create": wish, "x": 1}, "invalidArguments"),
    ):
        ((_, told, _),) = await two.run(("Email/copy", arguments))
        assert told["type"] == type_
    for state in ("ifFromInState", "ifInState"):
        ((_, told, _),) = await two.copy(wish, **{state: "999"})
        assert told["type"] == "stateMismatch"
    ((_, told, _),) = await two.copy({key: {"id": "e1"} for key in "abc"})
    assert told["type"] == "requestTooLarge"


async def test_the_accounts_of_others_are_not_there() -> None:
    desk = Desk()
    same = {"fromAccountId": desk.account, "create": {}}
    assert await desk.refusal("Email/copy", **same) == "invalidArguments"
    other = {"fromAccountId": desk.bob, "create": {}}
    assert await desk.refusal("Email/copy", **other) == "fromAccountNotFound"
