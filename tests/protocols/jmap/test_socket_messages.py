"""RFC 8887 4.3: messages read and answers rendered."""

import msgspec
import pytest

from protocols.jmap.errors import over_limit
from protocols.jmap.socket_messages import (
    DATA_TYPES_MAX,
    Asked,
    MessageRefused,
    PushDisable,
    PushEnable,
    read_message,
    render_change,
    render_error,
    render_response,
)
from protocols.jmap.state_change import TOKEN_OCTETS_MAX


def test_the_three_messages_of_a_client() -> None:
    asked = read_message('{"@type":"Request","id":"R1","using":[],"methodCalls":[]}')
    assert isinstance(asked, Asked) and asked.id == "R1" and asked.document["using"] == []
    assert read_message('{"@type":"WebSocketPushDisable"}') == PushDisable()
    enable = '{"@type":"WebSocketPushEnable","dataTypes":["Mailbox"],"pushState":"1.2"}'
    assert read_message(enable) == PushEnable(("Mailbox",), "1.2")
    bare = '{"@type":"WebSocketPushEnable","dataTypes":null}'
    assert read_message(bare) == PushEnable(None, None)


@pytest.mark.parametrize(
    ("text", "kind", "request_id"),
    [
        ("The quick brown fox", "notJSON", None),
        ("", "notJSON", None),
        ('{"@type":"Request","@type":"Request"}', "notJSON", None),
        ("[]", "notRequest", None),
        ("null", "notRequest", None),
        ('{"id":"x"}', "notRequest", "x"),
        ('{"@type":"Response","id":"x"}', "notRequest", "x"),
        ('{"@type":7,"id":"x"}', "notRequest", "x"),
        ('{"@type":"Request","id":7}', "notRequest", None),
        ('{"@type":"WebSocketPushEnable","dataTypes":"Email"}', "notRequest", None),
        ('{"@type":"WebSocketPushEnable","dataTypes":[1]}', "notRequest", None),
        ('{"@type":"WebSocketPushEnable","pushState":1}', "notRequest", None),
        (
            '{"@type":"WebSocketPushEnable","pushState":"' + "1" * TOKEN_OCTETS_MAX + '"}',
            "notRequest",
            None,
        ),
        (
            '{"@type":"WebSocketPushEnable","dataTypes":["a"' + ',"a"' * DATA_TYPES_MAX + "]}",
            "notRequest",
            None,
        ),
    ],
)
def test_what_is_none_of_them(text: str, kind: str, request_id: str | None) -> None:
    with pytest.raises(MessageRefused) as refused:
        read_message(text)
    assert refused.value.error.type.endswith(kind)
    assert refused.value.request_id == request_id


def test_answers_carry_their_type_and_the_clients_id() -> None:
    encoded = b'{"methodResponses":[],"sessionState":"s"}'
    assert msgspec.json.decode(render_response(encoded, 'a"b')) == {
        "@type": "Response",
        "requestId": 'a"b',
        "methodResponses": [],
        "sessionState": "s",
    }
    assert "requestId" not in render_response(encoded, None)
    error = msgspec.json.decode(render_error(over_limit("maxSizeRequest", "too large"), None))
    assert error["@type"] == "RequestError" and error["requestId"] is None
    assert error["limit"] == "maxSizeRequest" and error["status"] == 400
    change = {"@type": "StateChange", "changed": {}}
    assert msgspec.json.decode(render_change(change, "1.2")) == {**change, "pushState": "1.2"}
