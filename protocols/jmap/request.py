"""RFC 8620 3: bytes to a Request, and the result references inside it.

I-JSON (RFC 7493) is enforced here, in one linear pass: duplicate keys, lone surrogates, bad UTF-8
and numbers that no double carries are notJSON. The standard library's scanner is used because it
shows every object's pairs before they become a dict, which no faster decoder does.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from protocols.jmap.errors import (
    UNKNOWN_CAPABILITY,
    MethodError,
    RequestError,
    not_json,
    not_request,
    over_limit,
)
from protocols.jmap.values import INT_MAX, is_id, unescape_pointer

# Deeper than any request that makes sense, shallow enough for recursive readers after us.
JSON_DEPTH_MAX: Final = 128
# Values in one request: each costs a microsecond of everybody's time, and strings, which may be
# large, are one. Far more than the other limits let a request use.
JSON_VALUES_MAX: Final = 100_000
# What a request may copy from earlier responses by reference, so that chains of them cannot grow
# a small request into an answer of any size.
REFERENCED_BYTES_MAX: Final = 10_000_000
POINTER_TOKENS_MAX: Final = 32

_COMMA: Final = ord(",")
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
# A string, ended or not (so that no octet is looked at twice), or what makes up structure.
_STRUCTURE: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[][{},]', re.DOTALL)
_INDEX: Final = re.compile(r"(0|[1-9][0-9]{0,8})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Call:
    """RFC 8620 3.2 Invocation."""

    name: str
    arguments: Mapping[str, Any]
    id: str


@dataclass(frozen=True, slots=True)
class Request:
    """RFC 8620 3.3; `created_ids` is None when the client sent none and wants none back."""

    using: frozenset[str]
    calls: tuple[Call, ...]
    created_ids: Mapping[str, str] | None


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) != len(pairs):
        raise not_json("an object holds the same key twice")
    return held


def _integer(digits: str) -> int:
    # The length first: turning a million digits into a number is not linear.
    if len(digits) <= 17 and abs(number := int(digits)) <= INT_MAX:
        return number
    raise not_json("an integer is out of the range of I-JSON")


def _double(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise not_json("a number is out of the range of a double")
    return number


def _constant(name: str) -> float:
    raise not_json(f"{name} is no JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=_integer, parse_float=_double, parse_constant=_constant
)


def decode_ijson(body: bytes) -> Any:
    """The value of an I-JSON text; raises RequestError notJSON."""
    brackets = body.count(b"[") + body.count(b"{")
    if brackets > JSON_DEPTH_MAX or brackets + body.count(b",") > JSON_VALUES_MAX:
        _check_structure(body)
    try:
        value = _DECODER.decode(body.decode())
    except UnicodeDecodeError:
        raise not_json("the body is not UTF-8") from None
    except ValueError as error:
        raise not_json(str(error)) from None
    if _SURROGATE.search(body):
        _check_surrogates(value)
    return value


def _check_structure(body: bytes) -> None:
    """Depth and number of values, without making any of them; ends as soon as one is too much."""
    depth, values = 0, 1
    for found in _STRUCTURE.finditer(body):
        mark = body[found.start()]
        if mark in b"[{":
            depth += 1
            values += 1
            if depth > JSON_DEPTH_MAX:
                raise not_json(f"values are nested deeper than {JSON_DEPTH_MAX}")
        elif mark in b"]}":
            depth -= 1
        elif mark == _COMMA:
            values += 1
        if values > JSON_VALUES_MAX:
            raise over_limit("maxSizeRequest", f"more than {JSON_VALUES_MAX} values")


def _check_surrogates(value: object) -> None:
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                if not _is_unicode(text):
                    raise not_json("a string holds half of a surrogate pair")
            case list() as items:
                waiting.extend(items)
            case dict() as members:
                waiting.extend(members)
                waiting.extend(members.values())
            case _:
                pass


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_request(body: bytes, *, calls_max: int, capabilities: frozenset[str]) -> Request:
    """The Request in an HTTP body; raises RequestError for anything else."""
    return read_request(decode_ijson(body), calls_max=calls_max, capabilities=capabilities)


def read_request(document: Any, *, calls_max: int, capabilities: frozenset[str]) -> Request:
    """The Request in a JSON value; raises RequestError for anything else."""
    if not isinstance(document, dict):
        raise not_request("the request is not an object")
    using = document.get("using")
    if not isinstance(using, list) or not all(isinstance(name, str) for name in using):
        raise not_request("using is not an array of Strings")
    calls = document.get("methodCalls")
    if not isinstance(calls, list):
        raise not_request("methodCalls is not an array")
    created = _created_ids(document.get("createdIds"))
    parsed = tuple(_call(call) for call in calls)
    for name in using:
        if name not in capabilities:
            raise RequestError(UNKNOWN_CAPABILITY, 400, f"unknown capability {name[:200]!r}")
    if len(parsed) > calls_max:
        raise over_limit("maxCallsInRequest", f"{len(parsed)} calls are over {calls_max}")
    return Request(frozenset(using), parsed, created)


def _call(value: object) -> Call:
    match value:
        case [str() as name, dict() as arguments, str() as call_id]:
            return Call(name, arguments, call_id)
        case _:
            raise not_request("a method call is not [name, arguments, id]")


def _created_ids(value: object) -> Mapping[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise not_request("createdIds is not an object")
    for key, held in value.items():
        if not is_id(key) or not is_id(held):
            raise not_request("createdIds is not a map of Ids to Ids")
    return value


@dataclass(slots=True)
class Response:
    """One method response: its arguments encoded, and decoded only if a reference asks."""

    name: str
    encoded: bytes
    id: str
    _decoded: Any = None

    def arguments(self) -> Any:
        """The response's arguments as a value."""
        if self._decoded is None:
            self._decoded = msgspec.json.decode(self.encoded)
        return self._decoded


def resolve_references(
    arguments: Mapping[str, Any], responses: Sequence[Response]
) -> Mapping[str, Any]:
    """RFC 8620 3.7: `#name` arguments replaced by what they refer to."""
    if not any(name.startswith("#") for name in arguments):
        return arguments
    resolved: dict[str, Any] = {}
    budget = REFERENCED_BYTES_MAX
    for name, value in arguments.items():
        if not name.startswith("#"):
            resolved[name] = value
            continue
        if name[1:] in arguments:
            raise MethodError("invalidArguments", f"{name[1:]!r} is given twice")
        response, path = _referred(value, responses)
        budget -= len(response.encoded)
        if budget < 0:
            raise MethodError("requestTooLarge", "the references copy too much")
        resolved[name[1:]] = _evaluate(response.arguments(), path)
    return resolved


def _referred(value: object, responses: Sequence[Response]) -> tuple[Response, str]:
    match value:
        case {"resultOf": str() as call_id, "name": str() as name, "path": str() as path}:
            pass
        case _:
            raise MethodError("invalidResultReference", "a reference is not a ResultReference")
    for response in responses:
        if response.id == call_id:
            if response.name != name:
                break
            return response, path
    raise MethodError("invalidResultReference", f"no {name[:100]} response of {call_id[:100]!r}")


def _evaluate(value: Any, path: str) -> Any:
    if path == "":
        return value
    if not path.startswith("/"):
        raise MethodError("invalidResultReference", "a path is no JSON pointer")
    tokens = [unescape_pointer(token) for token in path[1:].split("/")]
    if len(tokens) > POINTER_TOKENS_MAX:
        raise MethodError("invalidResultReference", "a path is too long")
    return _walk(value, tokens)


def _walk(value: Any, tokens: Sequence[str]) -> Any:
    for depth, token in enumerate(tokens):
        match value:
            case list() if token == "*":
                rest = tokens[depth + 1 :]
                found: list[Any] = []
                for item in value:
                    part = _walk(item, rest)
                    found.extend(part) if isinstance(part, list) else found.append(part)
                return found
            case list() if _INDEX.match(token) and int(token) < len(value):
                value = value[int(token)]
            case dict() if token in value:
                value = value[token]
            case _:
                raise MethodError("invalidResultReference", f"nothing is at {token[:100]!r}")
    return value
