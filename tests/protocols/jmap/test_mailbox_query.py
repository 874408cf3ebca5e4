"""Mailbox/queryChanges: who follows it holds what Mailbox/query answers, list or tree."""

import random
from typing import Any

import pytest

from tests.protocols.jmap.desk import Desk, message


async def change(desk: Desk, chance: random.Random) -> None:
    """Something happens to some mailbox."""
    every = (await desk.call("Mailbox/get", ids=None, properties=["role"]))["list"]
    box = chance.choice([one["id"] for one in every if one["role"] is None] or ["m99"])
    parent = chance.choice([one["id"] for one in every] + [None])
    name = f"box {chance.randrange(1000)}"
    await desk.call(
        "Mailbox/set",
        **chance.choice(
            [
                {"create": {"k": {"name": name, "parentId": parent}}},
                {"create": {"k": {"name": name, "isSubscribed": True, "sortOrder": 7}}},
                {"update": {box: {"name": name}}},
                {"update": {box: {"parentId": parent}}},
                {"update": {box: {"isSubscribed": chance.choice([True, False])}}},
                {"destroy": [box]},
            ]
        ),
    )


@pytest.mark.parametrize("seed", range(3))
async def test_whoever_follows_the_changes_of_a_query_holds_its_results(seed: int) -> None:
    desk, chance = Desk(), random.Random(seed)
    for _ in range(20):
        query: dict[str, Any] = {
            "filter": chance.choice(
                [None, {"isSubscribed": True}, {"name": "BOX"}, {"hasAnyRole": False}]
            ),
            "sort": chance.choice(
                [
                    [{"property": "name", "collation": "i;ascii-casemap"}],
                    [{"property": "sortOrder", "isAscending": False}, {"property": "name"}],
                    [],
                ]
            ),
            "sortAsTree": chance.choice([True, False]),
            "filterAsTree": chance.choice([True, False]),
        }
        told = await desk.call("Mailbox/query", **query)
        assert told["canCalculateChanges"] is True
        held, state = list(told["ids"]), told["queryState"]
        for _ in range(chance.randrange(1, 5)):
            await change(desk, chance)
        changes = await desk.call(
            "Mailbox/queryChanges", sinceQueryState=state, calculateTotal=True, **query
        )
        held = [id_ for id_ in held if id_ not in changes["removed"]]
        for added in changes["added"]:
            assert added["id"] not in held
            held.insert(added["index"], added["id"])
        now = await desk.call("Mailbox/query", **query)
        assert held == now["ids"], query
        assert changes["total"] == len(held) and changes["newQueryState"] == now["queryState"]


async def test_new_mail_moves_no_mailbox() -> None:
    desk = Desk()
    state = (await desk.call("Mailbox/query"))["queryState"]
    desk.deliver(message())
    told = await desk.call("Mailbox/queryChanges", sinceQueryState=state)
    assert (told["removed"], told["added"]) == ([], [])
    assert told["newQueryState"] != state
    for wrong in ("nonsense", "999"):
        refused = await desk.refusal("Mailbox/queryChanges", sinceQueryState=wrong)
        assert refused == "cannotCalculateChanges"


async def test_an_operator_is_a_text_of_three() -> None:
    desk = Desk()
    for wrong in ("XOR", ["AND"], {}, None):
        asked = {"operator": wrong, "conditions": []}
        assert await desk.refusal("Mailbox/query", filter=asked) == "invalidArguments"
