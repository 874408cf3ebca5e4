"""RFC 8887 4.3: what a client says on a WebSocket, and how answers are said there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from protocols.jmap.errors import RequestError, not_request
from protocols.jmap.request import decode_ijson
from protocols.jmap.state_change import TOKEN_OCTETS_MAX

# Names of types in one WebSocketPushEnable; more than there are makes no sense.
DATA_TYPES_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """A Request: the object, and the client's name for it."""

    document: Mapping[str, Any]
    id: str | None


@dataclass(frozen=True, slots=True)
class PushEnable:
    """From here on, changes of these types (None: all), and those since the token."""

    data_types: tuple[str, ...] | None
    push_state: str | None


@dataclass(frozen=True, slots=True)
class PushDisable:
    """No more of them."""


class MessageRefused(Exception):
    """The message is answered with this, under the id that it has."""

    def __init__(self, error: RequestError, request_id: str | None) -> None:
        super().__init__(error.detail)
        self.error = error
        self.request_id = request_id


def read_message(text: str) -> Asked | PushEnable | PushDisable:
    """One message of a client; raises MessageRefused for anything else."""
    try:
        document = decode_ijson(text.encode())
    except RequestError as error:
        raise MessageRefused(error, None) from None
    if not isinstance(document, dict):
        raise MessageRefused(not_request("the message is not an object"), None)
    request_id = document.get("id")
    if not isinstance(request_id, str):
        if request_id is not None:
            raise MessageRefused(not_request("the id is not a String"), None)
        request_id = None
    try:
        return _read(document, request_id)
    except RequestError as error:
        raise MessageRefused(error, request_id) from None


def _read(document: dict[str, Any], request_id: str | None) -> Asked | PushEnable | PushDisable:
    match document.get("@type"):
        case "Request":
            return Asked(document, request_id)
        case "WebSocketPushDisable":
            return PushDisable()
        case "WebSocketPushEnable":
            types, token = document.get("dataTypes"), document.get("pushState")
            if types is not None and not (
                isinstance(types, list)
                and len(types) <= DATA_TYPES_MAX
                and all(isinstance(name, str) for name in types)
            ):
                raise not_request("dataTypes is not null or an array of Strings")
            if token is not None and not (isinstance(token, str) and len(token) < TOKEN_OCTETS_MAX):
                raise not_request("pushState is not a String of ours")
            return PushEnable(None if types is None else tuple(types), token)
        case _:
            raise not_request("@type is not Request, WebSocketPushEnable or WebSocketPushDisable")


def render_response(encoded: bytes, request_id: str | None) -> str:
    """The Response object of RFC 8887 4.3.3, from that of RFC 8620 3.4."""
    name = b"" if request_id is None else b'"requestId":%b,' % msgspec.json.encode(request_id)
    return (b'{"@type":"Response",%b%b' % (name, encoded[1:])).decode()


def render_error(error: RequestError, request_id: str | None) -> str:
    """The RequestError object of RFC 8887 4.3.4."""
    told = {"@type": "RequestError", "requestId": request_id, **error.document()}
    return msgspec.json.encode(told).decode()


def render_change(change: Mapping[str, Any], token: str) -> str:
    """The StateChange object of RFC 8887 4.3.5.1."""
    return msgspec.json.encode({**change, "pushState": token}).decode()
