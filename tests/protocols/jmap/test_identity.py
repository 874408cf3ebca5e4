"""Identities: there for every address, changed by their owner, for his own addresses only."""

from typing import Any

import pytest

from protocols.jmap.methods.identity import IDENTITY_OCTETS_MAX
from storage.identities import IDENTITIES_MAX, plan_set_aliases
from tests.protocols.jmap.desk import ALICE, BOB, Desk

AL = "al@example.org"


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.house.run(lambda plan: plan_set_aliases(plan, desk.number, [AL]))
    return desk


async def everyone(desk: Desk) -> dict[str, dict[str, Any]]:
    """The identities by address."""
    told = await desk.call("Identity/get", ids=None)
    return {identity["email"]: identity for identity in told["list"]}


async def test_address_and_alias_have_one(desk: Desk) -> None:
    found = await everyone(desk)
    assert list(found) == [ALICE, AL]
    plain = {"replyTo": None, "bcc": None, "textSignature": "", "htmlSignature": "", "name": ""}
    assert found[AL] == {"id": found[AL]["id"], "email": AL, "mayDelete": False, **plain}
    told = await desk.call("Identity/get", ids=[found[AL]["id"], "i1", "x"], properties=["email"])
    assert told["list"] == [{"id": found[AL]["id"], "email": AL}]
    assert told["notFound"] == ["i1", "x"]


async def test_what_is_set_is_kept_and_changes_are_told(desk: Desk) -> None:
    before = await everyone(desk)
    state = (await desk.call("Identity/get", ids=[]))["state"]
    number = before[ALICE]["id"]
    wanted = {
        "name": "Alice",
        "replyTo": [{"name": None, "email": "x@y.example"}, {"email": "z@y.example"}],
        "bcc": [],
        "textSignature": "--\nA",
        "htmlSignature": "<b>A</b>",
    }
    told = await desk.call("Identity/set", update={number: wanted})
    assert told["updated"] == {number: None} and told["oldState"] == state
    held = (await everyone(desk))[ALICE]
    wanted["replyTo"][1]["name"] = None  # type: ignore[index]
    assert held == {**before[ALICE], **wanted}
    changed = await desk.call("Identity/changes", sinceState=state)
    assert (changed["created"], changed["updated"], changed["destroyed"]) == ([], [number], [])
    assert changed["newState"] == told["newState"]
    nulls = dict.fromkeys(wanted)
    await desk.call("Identity/set", update={number: nulls})
    assert (await everyone(desk))[ALICE] == before[ALICE]


async def test_others_are_made_and_destroyed(desk: Desk) -> None:
    create = {"k": {"email": "Alice+News@Example.org", "name": "News"}, "l": {"email": AL}}
    told = await desk.call("Identity/set", create=create)
    made = told["created"]["k"]
    assert made["email"] == "alice+news@example.org" and made["mayDelete"] is True
    assert len((await desk.call("Identity/get", ids=None))["list"]) == 4
    destroy = [made["id"], (await everyone(desk))[ALICE]["id"], "i77"]
    told = await desk.call("Identity/set", destroy=destroy)
    assert told["destroyed"] == [made["id"]]
    assert [told["notDestroyed"][each]["type"] for each in destroy[1:]] == [
        "forbidden",
        "notFound",
    ]


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ({"email": BOB}, "forbiddenFrom"),
        ({"email": "someone@elsewhere.example"}, "forbiddenFrom"),
        ({"email": "*@example.org"}, "forbiddenFrom"),
        ({"email": "junk"}, "forbiddenFrom"),
        ({"email": 1}, "invalidProperties"),
        ({"name": "No address"}, "invalidProperties"),
        ({"email": ALICE, "id": "i5"}, "invalidProperties"),
        ({"email": ALICE, "mayDelete": True}, "invalidProperties"),
        ({"email": ALICE, "name": None}, "invalidProperties"),
        ({"email": ALICE, "bcc": ["x@y.example"]}, "invalidProperties"),
        ({"email": ALICE, "replyTo": [{"email": "x", "more": 1}]}, "invalidProperties"),
        ({"email": ALICE, "replyTo": [{"email": "x", "name": 1}]}, "invalidProperties"),
        ({"email": ALICE, "htmlSignature": "x" * IDENTITY_OCTETS_MAX}, "tooLarge"),
    ],
)
async def test_what_cannot_be_made(desk: Desk, values: dict[str, Any], type_: str) -> None:
    told = await desk.call("Identity/set", create={"k": values})
    assert told["notCreated"]["k"]["type"] == type_ and told["created"] is None


async def test_what_cannot_be_changed(desk: Desk) -> None:
    held = (await everyone(desk))[ALICE]
    cases: list[tuple[dict[str, Any], str]] = [
        ({"email": AL}, "invalidProperties"),
        ({"mayDelete": True}, "invalidProperties"),
        ({"nope": 1}, "invalidProperties"),
        ({"name": 1}, "invalidProperties"),
        ({"replyTo/0": None}, "invalidPatch"),
        ({"textSignature": "x" * IDENTITY_OCTETS_MAX}, "tooLarge"),
    ]
    for patch, type_ in cases:
        told = await desk.call("Identity/set", update={held["id"]: patch})
        assert told["notUpdated"][held["id"]]["type"] == type_, patch
    same = {"email": ALICE, "mayDelete": False, "id": held["id"], "name": "A"}
    told = await desk.call("Identity/set", update={held["id"]: same, "i5": {"name": "x"}})
    assert told["updated"] == {held["id"]: None}
    assert told["notUpdated"]["i5"]["type"] == "notFound"


async def test_so_many_may_be_made(desk: Desk) -> None:
    create = {f"k{n}": {"email": ALICE} for n in range(IDENTITIES_MAX + 1)}
    told = await desk.call("Identity/set", create=create)
    assert [error["type"] for error in told["notCreated"].values()] == ["overQuota"]
