"""The vacation response: one object, that can only be changed."""

from typing import Any

import pytest

from protocols.jmap.methods.vacation import VACATION_OCTETS_MAX
from tests.protocols.jmap.desk import Desk

AT_FIRST = {
    "id": "singleton",
    "isEnabled": False,
    "fromDate": None,
    "toDate": None,
    "subject": None,
    "textBody": None,
    "htmlBody": None,
}


async def test_it_is_there_and_keeps_what_is_set() -> None:
    desk = Desk()
    told = await desk.call("VacationResponse/get", ids=None)
    assert told["list"] == [AT_FIRST] and told["notFound"] == []
    wanted = {
        "isEnabled": True,
        "fromDate": "2026-12-24T00:00:00Z",
        "toDate": "2027-01-06T12:00:00Z",
        "subject": "Away",
        "textBody": "Back in January.",
        "htmlBody": "<p>Back in January.</p>",
    }
    told = await desk.call("VacationResponse/set", update={"singleton": wanted})
    assert told["updated"] == {"singleton": None}
    state = told["newState"]
    told = await desk.call("VacationResponse/get", ids=["singleton", "other"])
    assert told["list"] == [{"id": "singleton", **wanted}]
    assert told["state"] == state and told["notFound"] == ["other"]
    told = await desk.call("VacationResponse/get", properties=["subject"])
    assert told["list"] == [{"id": "singleton", "subject": "Away"}]
    nulls = dict.fromkeys(wanted)
    await desk.call("VacationResponse/set", update={"singleton": nulls})
    assert (await desk.call("VacationResponse/get"))["list"] == [AT_FIRST]


async def test_it_is_neither_made_nor_destroyed() -> None:
    desk = Desk()
    create = {"k": {"isEnabled": True}}
    told = await desk.call("VacationResponse/set", create=create, destroy=["singleton", "x"])
    assert told["notCreated"]["k"]["type"] == "singleton"
    assert told["notDestroyed"]["singleton"]["type"] == "singleton"
    assert told["notDestroyed"]["x"]["type"] == "notFound"


@pytest.mark.parametrize(
    ("patch", "type_"),
    [
        ({"isEnabled": 1}, "invalidProperties"),
        ({"fromDate": "2026-12-24"}, "invalidProperties"),
        ({"toDate": "2026-12-24T00:00:00+01:00"}, "invalidProperties"),
        ({"subject": ["x"]}, "invalidProperties"),
        ({"nope": None}, "invalidProperties"),
        ({"id": "other"}, "invalidProperties"),
        ({"subject/x": "y"}, "invalidPatch"),
        ({"textBody": "x" * VACATION_OCTETS_MAX}, "tooLarge"),
    ],
)
async def test_what_cannot_be_set(patch: dict[str, Any], type_: str) -> None:
    desk = Desk()
    told = await desk.call("VacationResponse/set", update={"singleton": patch, "x": {}})
    assert told["notUpdated"]["singleton"]["type"] == type_
    assert told["notUpdated"]["x"]["type"] == "notFound"
    assert told["newState"] == told["oldState"]
