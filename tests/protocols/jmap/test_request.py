"""The envelope of RFC 8620 3: I-JSON, what is a Request, and result references."""

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.jmap.errors import (
    LIMIT,
    NOT_JSON,
    NOT_REQUEST,
    UNKNOWN_CAPABILITY,
    MethodError,
    RequestError,
)
from protocols.jmap.request import (
    JSON_DEPTH_MAX,
    JSON_VALUES_MAX,
    POINTER_TOKENS_MAX,
    REFERENCED_BYTES_MAX,
    Request,
    Response,
    decode_ijson,
    parse_request,
    resolve_references,
)

CORE = "urn:ietf:params:jmap:core"


def parse(document: Any, *, calls_max: int = 4) -> Request:
    """A document as a request."""
    body = document if isinstance(document, bytes) else msgspec.json.encode(document)
    return parse_request(body, calls_max=calls_max, capabilities=frozenset((CORE,)))


def refused(document: Any) -> str:
    """The type of problem that a document is."""
    with pytest.raises(RequestError) as caught:
        parse(document)
    assert caught.value.status == 400
    return caught.value.type


def request(*calls: Any, **more: Any) -> dict[str, Any]:
    """A request object."""
    return {"using": [CORE], "methodCalls": list(calls), **more}


def test_a_request_is_read() -> None:
    found = parse(request(["Core/echo", {"a": 1}, "c"], createdIds={"k": "m1"}))
    assert found.using == {CORE} and found.created_ids == {"k": "m1"}
    (call,) = found.calls
    assert (call.name, call.arguments, call.id) == ("Core/echo", {"a": 1}, "c")
    assert parse(request()).created_ids is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"not json",
        b'{"a":1}{"a":1}',
        b'{"using":[],"using":[],"methodCalls":[]}',
        b'{"a":[{"b":{"c":1,"c":2}}]}',
        b'{"a":"\xff"}',
        b'{"a":"\xc3"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\udc00\\ud800"}',
        b'{"\\udfff":1}',
        b'["\\ud83d\\ude00","\\ud83d"]',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":9007199254740992}',
        b'{"a":-9007199254740992}',
        b'{"a":' + b"9" * 100_000 + b"}",
        b'{"a":01}',
        b'{"a":"\n"}',
        b'\xef\xbb\xbf{"a":1}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
    ],
)
def test_what_is_no_i_json(body: bytes) -> None:
    assert refused(body) == NOT_JSON


@pytest.mark.parametrize(
    "document",
    [
        [],
        "text",
        1,
        None,
        {},
        {"using": [CORE]},
        {"methodCalls": []},
        {"using": CORE, "methodCalls": []},
        {"using": [1], "methodCalls": []},
        {"using": [CORE], "methodCalls": {}},
        request("Core/echo"),
        request(["Core/echo", {}]),
        request(["Core/echo", {}, "c", 1]),
        request(["Core/echo", [], "c"]),
        request([1, {}, "c"]),
        request(["Core/echo", {}, 1]),
        request(createdIds=[]),
        request(createdIds={"k": 1}),
        request(createdIds={"bad key!": "m1"}),
    ],
)
def test_json_that_is_no_request(document: Any) -> None:
    assert refused(document) == NOT_REQUEST


def test_limits_and_capabilities() -> None:
    call = ["Core/echo", {}, "c"]
    assert len(parse(request(*[call] * 4)).calls) == 4
    assert refused(request(*[call] * 5)) == LIMIT
    assert refused({"using": [CORE, "urn:x"], "methodCalls": []}) == UNKNOWN_CAPABILITY
    assert parse({"using": [], "methodCalls": []}).using == frozenset()


def test_depth_is_bounded_inclusively_and_strings_do_not_count() -> None:
    deep = b"[" * JSON_DEPTH_MAX + b"]" * JSON_DEPTH_MAX
    assert decode_ijson(deep) is not None
    with pytest.raises(RequestError):
        decode_ijson(b"[" + deep + b"]")
    assert decode_ijson(msgspec.json.encode("[{" * 10_000 + '\\"[')) is not None
    assert decode_ijson(b"[" + b"[]," * 10_000 + b"[]]") is not None


def test_values_are_counted_and_strings_are_one_each() -> None:
    most = b"[" + b"1," * (JSON_VALUES_MAX - 2) + b"1]"
    assert len(decode_ijson(most)) == JSON_VALUES_MAX - 1
    for over in (b"[" + b"1," * JSON_VALUES_MAX + b"1]", b"[" + b"[]," * JSON_VALUES_MAX + b"1]"):
        with pytest.raises(RequestError) as caught:
            decode_ijson(over)
        assert caught.value.limit == "maxSizeRequest"
    assert decode_ijson(msgspec.json.encode(["a,[{" * JSON_VALUES_MAX])) is not None


def test_astral_characters_may_be_escaped() -> None:
    assert decode_ijson(b'"\\ud83d\\ude00 \\u00e9"') == "😀 é"


@pytest.mark.parametrize(
    "piece", [b'"\\"', b"[", b'{"a":', b'"\\ud800', b"1", b'"a":1,', b"[1e5,", b"\\"]
)
def test_hostile_bodies_cost_their_length(piece: bytes) -> None:
    """A million octets of anything are looked at once."""
    body = b'["' + piece * (1_000_000 // len(piece))
    began = time.process_time()
    with pytest.raises(RequestError):
        decode_ijson(body)
    assert time.process_time() - began < 2


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc~/*"), inner, max_size=4)
    ),
)


@given(json_values)
def test_i_json_comes_through_whole(value: Any) -> None:
    assert decode_ijson(msgspec.json.encode(value)) == value


@given(st.binary(max_size=200) | st.text('{}[]",:\\ud80019eE.-', max_size=60).map(str.encode))
def test_any_octets_are_a_request_or_refused(body: bytes) -> None:
    try:
        parse(body)
    except RequestError as error:
        assert error.document()["status"] == 400


@given(json_values)
def test_any_json_is_a_request_or_refused(value: Any) -> None:
    try:
        parse(request(["Core/echo", {"#a": value}, "c"], more=value))
        parse(value)
    except RequestError as error:
        assert error.type in (NOT_REQUEST, UNKNOWN_CAPABILITY)


# Result references, RFC 8620 3.7.


def answered(value: Any, *, name: str = "Foo/get", call: str = "c0") -> Response:
    """An earlier response."""
    return Response(name, msgspec.json.encode(value), call)


def pick(value: Any, path: str) -> Any:
    """What a reference with this path to a response of this value is."""
    reference = {"resultOf": "c0", "name": "Foo/get", "path": path}
    return resolve_references({"#x": reference}, [answered(value)])["x"]


@pytest.mark.parametrize(
    ("value", "path", "found"),
    [
        ({"ids": ["a", "b"]}, "/ids", ["a", "b"]),
        ({"ids": ["a", "b"]}, "/ids/1", "b"),
        ({"list": [{"t": "x"}, {"t": "y"}]}, "/list/*/t", ["x", "y"]),
        ({"list": [{"e": ["1", "2"]}, {"e": ["3"]}]}, "/list/*/e", ["1", "2", "3"]),
        ({"list": []}, "/list/*/e", []),
        ({"a": [[1, 2], [3]]}, "/a/*", [1, 2, 3]),
        ({"a": [[{"b": 1}], [{"b": 2}]]}, "/a/*/*/b", [1, 2]),
        ({"a/b": {"c~d": 1}}, "/a~1b/c~0d", 1),
        ({"": {"": 2}}, "//", 2),
        ({"*": 3}, "/*", 3),
        ({"a": None}, "/a", None),
        ({"a": 1}, "", {"a": 1}),
    ],
)
def test_pointers(value: Any, path: str, found: Any) -> None:
    assert pick(value, path) == found


@pytest.mark.parametrize(
    "path",
    ["/b", "a", "/a/-", "/a/01", "/a/2", "/a/x", "/a/*/b", "/n/x", "/" + "a/" * POINTER_TOKENS_MAX],
)
def test_pointers_to_nothing(path: str) -> None:
    with pytest.raises(MethodError) as caught:
        pick({"a": [1, 2], "n": 1}, path)
    assert caught.value.type == "invalidResultReference"


@pytest.mark.parametrize(
    "reference",
    [
        {"resultOf": "c1", "name": "Foo/get", "path": "/a"},
        {"resultOf": "c0", "name": "Bar/get", "path": "/a"},
        {"resultOf": "c0", "name": "Foo/get"},
        {"resultOf": 1, "name": "Foo/get", "path": "/a"},
        "c0",
        None,
    ],
)
def test_references_to_nothing(reference: Any) -> None:
    with pytest.raises(MethodError) as caught:
        resolve_references({"#x": reference}, [answered({"a": 1})])
    assert caught.value.type == "invalidResultReference"


def test_the_first_response_of_a_call_is_meant() -> None:
    responses = [answered({"a": 1}), answered({"a": 2})]
    reference = {"resultOf": "c0", "name": "Foo/get", "path": "/a"}
    assert resolve_references({"#x": reference, "y": 3}, responses) == {"x": 1, "y": 3}


def test_an_argument_given_twice_is_refused() -> None:
    reference = {"resultOf": "c0", "name": "Foo/get", "path": "/a"}
    with pytest.raises(MethodError) as caught:
        resolve_references({"#x": reference, "x": 1}, [answered({"a": 1})])
    assert caught.value.type == "invalidArguments"


def test_references_copy_so_much_and_no_more() -> None:
    large = answered("x" * (REFERENCED_BYTES_MAX // 2 - 2))
    reference = {"resultOf": "c0", "name": "Foo/get", "path": ""}
    assert len(resolve_references({"#a": reference, "#b": reference}, [large])) == 2
    with pytest.raises(MethodError) as caught:
        resolve_references(dict.fromkeys(("#a", "#b", "#c"), reference), [large])
    assert caught.value.type == "requestTooLarge"


@given(json_values, st.text("/*~01ab", max_size=20))
def test_any_pointer_finds_something_or_is_refused(value: Any, path: str) -> None:
    try:
        pick(value, path)
    except MethodError as error:
        assert error.type == "invalidResultReference"
