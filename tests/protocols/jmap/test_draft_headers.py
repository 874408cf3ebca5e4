"""Header properties of a create, to fields of a message and back."""

from typing import Any

import pytest

from protocols.jmap.draft_headers import fields_of
from protocols.jmap.errors import SetError
from tests.protocols.jmap.desk import Desk


async def shown(name: str, value: Any) -> Any:
    """A header property of a draft, read back from the message that was made of it."""
    desk = Desk()
    draft = {"mailboxIds": {desk.mailbox("drafts"): True}, name: value}
    told = await desk.call("Email/set", create={"k": draft})
    assert told["notCreated"] is None, told
    email = told["created"]["k"]["id"]
    return (await desk.call("Email/get", ids=[email], properties=[name]))["list"][0][name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("subject", "=?utf-8?q?x?="),
        ("header:X-Mark:asText", "see =?utf-8?q?caf=C3=A9?= for é"),
        ("header:X-Mark:asText", "two  spaces"),
        ("header:X-Mark", " =?utf-8?q?caf=C3=A9?= stays"),
        ("header:X-Mark:all", [" one", " two"]),
        ("sentAt", "2020-02-29T23:59:59+05:30"),
    ],
)
async def test_what_is_written_is_what_is_read(name: str, value: Any) -> None:
    assert await shown(name, value) == value


def test_folds_of_a_raw_value_are_made_anew() -> None:
    assert fields_of({"header:X-Mark": " one\r\n two\r\n\tthree"}) == [("X-Mark", "one two\tthree")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("header:X-Mark", " one\r\nBcc: eve@example.net"),
        ("header:X-Mark:asRaw", " one\n two"),
        ("header:X-Mark:asRaw:all", [" one", " two\r"]),
        ("header:X-Mark", " \0"),
        ("sentAt", "2020-01-01T00:00:00+0100"),
        ("sentAt", "20200101T000000Z"),
        ("sentAt", "2020-W01-1T00:00:00Z"),
        ("sentAt", "2020-02-30T00:00:00Z"),
        ("header:Date:asDate", "2020-01-01T00:00:00"),
    ],
)
def test_values_that_cannot_be_written(name: str, value: Any) -> None:
    with pytest.raises(SetError) as caught:
        fields_of({name: value})
    assert caught.value.type == "invalidProperties"
