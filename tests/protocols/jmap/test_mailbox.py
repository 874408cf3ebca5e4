"""Mailboxes: their properties, changes, queries and fates."""

from typing import Any

import pytest

from tests.protocols.jmap.desk import Desk, message

ROLES = ["inbox", "drafts", "sent", "trash", "junk", "archive"]


async def names(desk: Desk, **arguments: Any) -> list[str]:
    """The names of the mailboxes that a query finds, in its order."""
    ids = (await desk.call("Mailbox/query", **arguments))["ids"]
    found = {box["id"]: box["name"] for box in (await desk.call("Mailbox/get", ids=ids))["list"]}
    return [found[one] for one in ids]


async def make(desk: Desk, **boxes: dict[str, Any]) -> dict[str, str]:
    """Mailboxes made in one call, by creation id."""
    told = await desk.call("Mailbox/set", create=boxes)
    assert told["notCreated"] is None, told
    return {creation: made["id"] for creation, made in told["created"].items()}


async def test_a_new_account_has_its_six() -> None:
    desk = Desk()
    told = await desk.call("Mailbox/get", ids=None)
    assert [box["role"] for box in told["list"]] == ROLES
    inbox = told["list"][0]
    assert inbox["myRights"]["mayReadItems"] and not inbox["myRights"]["mayDelete"]
    assert told["list"][1]["myRights"]["mayDelete"]
    assert inbox["parentId"] is None and inbox["isSubscribed"] is True


async def test_properties_are_chosen_and_id_always_there() -> None:
    desk = Desk()
    inbox = desk.mailbox("inbox")
    told = await desk.call("Mailbox/get", ids=[inbox, "m99"], properties=["name", "totalEmails"])
    assert told["list"] == [{"id": inbox, "name": "Inbox", "totalEmails": 0}]
    assert told["notFound"] == ["m99"]
    assert await desk.refusal("Mailbox/get", properties=["nope"]) == "invalidArguments"


async def test_all_properties_at_once_are_what_each_is_by_itself() -> None:
    desk = Desk()
    desk.deliver()
    desk.deliver(message(number=2), keywords=["$seen"])
    await make(desk, one={"name": "Zoë", "parentId": desk.mailbox("inbox"), "sortOrder": 3})
    together = (await desk.call("Mailbox/get", ids=None))["list"]
    singly: dict[str, dict[str, Any]] = {}
    for name in together[0]:
        for box in (await desk.call("Mailbox/get", ids=None, properties=[name]))["list"]:
            singly.setdefault(box["id"], {}).update(box)
    assert together == list(singly.values()) and len(together) == 7
    assert len(together[0]) == 11


async def test_counts_alone_changing_is_said() -> None:
    desk = Desk()
    state = (await desk.call("Mailbox/get", ids=[]))["state"]
    desk.deliver()
    told = await desk.call("Mailbox/changes", sinceState=state)
    assert told["updated"] == [desk.mailbox("inbox")]
    assert "totalEmails" in told["updatedProperties"]
    box = await make(desk, k={"name": "New"})
    told = await desk.call("Mailbox/changes", sinceState=state)
    assert told["created"] == [box["k"]]
    await desk.call("Mailbox/set", update={desk.mailbox("sent"): {"name": "Gone out"}})
    told = await desk.call("Mailbox/changes", sinceState=state)
    assert told["updatedProperties"] is None and desk.mailbox("sent") in told["updated"]


async def test_parents_made_in_the_same_call() -> None:
    desk = Desk()
    made = await make(
        desk,
        c={"name": "C", "parentId": "#b"},
        b={"name": "B", "parentId": "#a"},
        a={"name": "A", "isSubscribed": True, "sortOrder": 3},
    )
    told = await desk.call("Mailbox/get", ids=list(made.values()))
    parents = {box["name"]: box["parentId"] for box in told["list"]}
    assert parents == {"A": None, "B": made["a"], "C": made["b"]}
    circle = {"x": {"name": "X", "parentId": "#y"}, "y": {"name": "Y", "parentId": "#x"}}
    told = await desk.call("Mailbox/set", create=circle)
    assert {error["type"] for error in told["notCreated"].values()} == {"invalidProperties"}


async def test_what_the_server_set_is_told() -> None:
    told = await Desk().call("Mailbox/set", create={"k": {"name": "e\u0301", "role": None}})
    made = told["created"]["k"]
    assert made["totalEmails"] == 0 and "role" not in made and made["isSubscribed"] is True


@pytest.mark.parametrize(
    ("values", "type_", "about"),
    [
        ({}, "invalidProperties", "name"),
        ({"name": 1}, "invalidProperties", "name"),
        ({"name": ""}, "invalidProperties", "name"),
        ({"name": "x" * 256}, "invalidProperties", "name"),
        ({"name": "Inbox"}, "alreadyExists", "name"),
        ({"name": "X", "role": "trash"}, "invalidProperties", "role"),
        ({"name": "X", "role": "king"}, "invalidProperties", "role"),
        ({"name": "X", "parentId": "m99"}, "invalidProperties", "parentId"),
        ({"name": "X", "parentId": "junk"}, "invalidProperties", "parentId"),
        ({"name": "X", "parentId": "#none"}, "invalidProperties", "parentId"),
        ({"name": "X", "sortOrder": -1}, "invalidProperties", "sortOrder"),
        ({"name": "X", "isSubscribed": 1}, "invalidProperties", "isSubscribed"),
        ({"name": "X", "totalEmails": 1}, "invalidProperties", "totalEmails"),
        ({"name": "X", "id": "m1"}, "invalidProperties", "id"),
    ],
)
async def test_creations_that_cannot_be(
    values: dict[str, Any], type_: str, about: str | None
) -> None:
    told = await Desk().call("Mailbox/set", create={"k": values})
    error = told["notCreated"]["k"]
    assert error["type"] == type_ and (about is None or error["properties"] == [about]), error


async def test_a_name_that_is_taken_says_by_whom() -> None:
    desk = Desk()
    create = {"a": {"name": "Sent"}, "b": {"name": "INBOX"}}
    told = (await desk.call("Mailbox/set", create=create))["notCreated"]
    assert told["a"]["existingId"] == desk.mailbox("sent")
    assert told["b"]["existingId"] == desk.mailbox("inbox")


@pytest.mark.parametrize("nobodys", ["", "no id!", "x" * 256, "m99", "e1", "\u0661"])
async def test_what_cannot_be_an_id_is_not_found(nobodys: str) -> None:
    desk = Desk()
    assert (await desk.call("Mailbox/get", ids=[nobodys]))["notFound"] == [nobodys]
    told = await desk.call("Mailbox/set", update={nobodys: {"name": "X"}}, destroy=[nobodys])
    assert told["notUpdated"][nobodys]["type"] == "willDestroy"
    assert told["notDestroyed"][nobodys]["type"] == "notFound"
    told = await desk.call("Mailbox/set", update={nobodys: {"name": "X"}})
    assert told["notUpdated"][nobodys]["type"] == "notFound"
    assert await desk.refusal("Mailbox/query", anchor=nobodys) == "anchorNotFound"
    assert await desk.refusal("Mailbox/get", accountId=nobodys) == "accountNotFound"


async def test_updates() -> None:
    desk = Desk()
    made = await make(desk, a={"name": "A"}, b={"name": "B"})
    a, b = made["a"], made["b"]
    told = await desk.call(
        "Mailbox/set",
        update={
            a: {"name": "e\u0301", "parentId": b, "sortOrder": None, "isSubscribed": True},
            b: {"id": b, "totalEmails": 0, "role": "important"},
        },
    )
    assert told["updated"] == {a: {"name": "é"}, b: None}
    told = await desk.call(
        "Mailbox/set",
        update={
            b: {"parentId": a},
            a: {"totalEmails": 7},
            desk.mailbox("inbox"): {"role": None},
            "m99": {"name": "X"},
        },
    )
    types = {one: error["type"] for one, error in told["notUpdated"].items()}
    assert types == {
        b: "invalidProperties",
        a: "invalidProperties",
        desk.mailbox("inbox"): "forbidden",
        "m99": "notFound",
    }


async def test_destroying() -> None:
    desk = Desk()
    made = await make(desk, a={"name": "A"}, b={"name": "B", "parentId": "#a"}, c={"name": "C"})
    email = desk.deliver()
    both = {"mailboxIds": {made["c"]: True, desk.mailbox("inbox"): True}}
    alone = desk.deliver(message(number=2))
    await desk.call("Email/set", update={email: both, alone: {"mailboxIds": {made["c"]: True}}})
    told = await desk.call("Mailbox/set", destroy=[made["a"], made["c"], desk.mailbox("inbox")])
    types = {one: error["type"] for one, error in told["notDestroyed"].items()}
    assert types == {
        made["a"]: "mailboxHasChild",
        made["c"]: "mailboxHasEmail",
        desk.mailbox("inbox"): "forbidden",
    }
    told = await desk.call(
        "Mailbox/set", destroy=[made["b"], made["a"], made["c"]], onDestroyRemoveEmails=True
    )
    assert told["destroyed"] == [made["b"], made["a"], made["c"]]
    told = await desk.call("Email/get", ids=[email, alone], properties=["mailboxIds"])
    assert told["list"] == [{"id": email, "mailboxIds": {desk.mailbox("inbox"): True}}]
    assert told["notFound"] == [alone]


async def test_queries() -> None:
    desk = Desk()
    made = await make(
        desk,
        z={"name": "Zoo", "sortOrder": 1, "isSubscribed": False},
        a={"name": "ape", "parentId": "#z", "isSubscribed": False},
        b={"name": "Bee", "parentId": "#z"},
    )
    by_name = [{"property": "name"}]
    everything = ["ape", "Archive", "Bee", "Drafts", "Inbox", "Junk", "Sent", "Trash", "Zoo"]
    tree = ["Archive", "Drafts", "Inbox", "Junk", "Sent", "Trash", "Zoo", "ape", "Bee"]
    assert await names(desk, sort=by_name) == everything
    assert await names(desk, sort=by_name, sortAsTree=True) == tree
    down = [{"property": "sortOrder", "isAscending": False}, *by_name]
    assert (await names(desk, sort=down))[:2] == ["Zoo", "ape"]
    for condition, found in (
        ({"parentId": made["z"]}, ["ape", "Bee"]),
        ({"parentId": None, "hasAnyRole": False}, ["Zoo"]),
        ({"name": "E"}, ["ape", "Archive", "Bee", "Sent"]),
        ({"role": "sent"}, ["Sent"]),
        ({"role": None, "isSubscribed": True}, ["Bee"]),
        ({"parentId": "m99"}, []),
        ({"operator": "NOT", "conditions": [{"hasAnyRole": True}, {"name": "z"}]}, ["ape", "Bee"]),
        ({"operator": "OR", "conditions": [{"role": "junk"}, {"name": "zoo"}]}, ["Junk", "Zoo"]),
        ({"operator": "AND", "conditions": [{"name": "e"}, {"name": "a"}]}, ["ape", "Archive"]),
    ):
        assert await names(desk, filter=condition, sort=by_name) == found, condition
    lonely = {"filter": {"name": "e"}, "sort": by_name}
    assert await names(desk, **lonely, filterAsTree=True) == ["Archive", "Sent"]


async def test_query_windows_and_refusals() -> None:
    desk = Desk()
    every = (await desk.call("Mailbox/query"))["ids"]
    told = await desk.call("Mailbox/query", position=-2, limit=1, calculateTotal=True)
    assert (told["ids"], told["position"], told["total"]) == ([every[-2]], 4, 6)
    told = await desk.call("Mailbox/query", anchor=every[3], anchorOffset=-1, limit=2)
    assert (told["ids"], told["position"]) == (every[2:4], 2)
    for arguments, type_ in (
        ({"anchor": "m99"}, "anchorNotFound"),
        ({"filter": {"size": 1}}, "unsupportedFilter"),
        ({"filter": {"name": 1}}, "invalidArguments"),
        ({"filter": {"operator": "XOR", "conditions": []}}, "invalidArguments"),
        ({"filter": {"operator": ["OR"], "conditions": []}}, "invalidArguments"),
        ({"filter": {"operator": "AND", "conditions": [1]}}, "invalidArguments"),
        ({"sort": [{"property": "parentId"}]}, "unsupportedSort"),
    ):
        assert await desk.refusal("Mailbox/query", **arguments) == type_


async def made(desk: Desk, *names: str, parent: str | None = None) -> list[str]:
    """New mailboxes of these names."""
    create = {f"k{n}": {"name": name, "parentId": parent} for n, name in enumerate(names)}
    told = (await desk.call("Mailbox/set", create=create))["created"]
    return [told[key]["id"] for key in create]


async def test_a_set_need_only_be_right_when_it_is_finished() -> None:
    desk = Desk()
    above, other = await made(desk, "Above", "Other")
    (below,) = await made(desk, "Below", parent=above)
    swap = {above: {"name": "Other"}, other: {"name": "Above"}}
    told = await desk.call("Mailbox/set", update=swap)
    assert told["updated"] == {above: None, other: None} and told["notUpdated"] is None
    told = await desk.call(
        "Mailbox/set", create={"k": {"name": "Other"}}, destroy=[above, below], update={}
    )
    assert set(told["destroyed"]) == {above, below} and told["notDestroyed"] is None
    assert told["created"]["k"]["id"]
    sent, junk = desk.mailbox("sent"), desk.mailbox("junk")
    told = await desk.call("Mailbox/set", update={sent: {"role": "junk"}, junk: {"role": "sent"}})
    assert (desk.mailbox("junk"), desk.mailbox("sent")) == (sent, junk), told


async def test_what_cannot_be_together_is_left_alone() -> None:
    desk = Desk()
    one, two = await made(desk, "One", "Two")
    told = await desk.call("Mailbox/set", update={one: {"name": "Two"}, two: {"name": "Inbox"}})
    assert told["updated"] is None and set(told["notUpdated"]) == {one, two}
    assert {told["notUpdated"][box]["type"] for box in (one, two)} == {"alreadyExists"}
    told = await desk.call("Mailbox/get", ids=[one, two], properties=["name"])
    assert [box["name"] for box in told["list"]] == ["One", "Two"]
    circle = {one: {"parentId": two}, two: {"parentId": one}}
    told = await desk.call("Mailbox/set", update=circle)
    assert len(told["updated"]) == len(told["notUpdated"]) == 1
    told = await desk.call("Mailbox/set", update={one: {"myRights/mayDelete": False}})
    assert told["notUpdated"][one]["type"] == "invalidPatch"


async def test_all_that_is_wrong_with_a_mailbox_is_told_at_once() -> None:
    desk = Desk()
    box = (await make(desk, one={"name": "one"}))["one"]
    wrong = {"name": "", "sortOrder": -1, "colour": "red"}
    told = await desk.call(
        "Mailbox/set", create={"a": wrong, "b": {"role": 1}}, update={box: {**wrong, "id": "m9"}}
    )
    listed = {key: sorted(refusal["properties"]) for key, refusal in told["notCreated"].items()}
    assert listed == {"a": ["colour", "name", "sortOrder"], "b": ["name", "role"]}
    assert sorted(told["notUpdated"][box]["properties"]) == ["colour", "id", "name", "sortOrder"]
