"""List properties as JSON, exactly as Email/get gives them."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from protocols.mime.envelope import summarise
from protocols.render.list_json import encode_value, render_list
from storage.mail.records import LIST_PROPERTIES


def rendered(data: bytes) -> dict[str, object]:
    """The decoded properties of a message."""
    values = [msgspec.json.decode(value) for value in render_list(summarise(data))]
    return dict(zip(LIST_PROPERTIES, values, strict=True))


def test_what_is_there() -> None:
    found = rendered(
        b"From: =?utf-8?q?J=C3=B6rg?= <j@x>\r\nTo: a@x, b@x\r\nCc:\r\n"
        b"Subject: =?utf-8?q?=C3=A9?=\r\n"
        b"Message-ID: <1@x>\r\nReferences: <a@x> <b@x>\r\nDate: Sun, 1 Nov 2026 10:00:00 -0500\r\n"
        b"\r\nHello\r\n"
    )
    assert found == {
        "messageId": ["1@x"],
        "inReplyTo": None,
        "references": ["a@x", "b@x"],
        "sender": None,
        "from": [{"name": "Jörg", "email": "j@x"}],
        "to": [{"name": None, "email": "a@x"}, {"name": None, "email": "b@x"}],
        "cc": [],
        "bcc": None,
        "replyTo": None,
        "subject": "é",
        "sentAt": "2026-11-01T10:00:00-05:00",
        "hasAttachment": False,
        "preview": "Hello",
    }


def test_nothing_at_all() -> None:
    found = rendered(b"")
    assert found["from"] is None and found["subject"] is None and found["preview"] == ""


def test_half_a_surrogate_pair_becomes_a_replacement() -> None:
    assert encode_value(["a\ud800b", {"k": "\udc00"}]) == '["a\ufffdb",{"k":"\ufffd"}]'.encode()


@given(st.binary(max_size=300))
def test_any_octets_render(data: bytes) -> None:
    assert set(rendered(b"Subject: " + data)) == set(LIST_PROPERTIES)


@given(st.text(st.characters(), max_size=50))
def test_any_text_is_json(text: str) -> None:
    msgspec.json.decode(encode_value({"a": [text]}))
