"""A second opinion: sample mail and header cases kept beside the repository.

Every message there parses. Every header case agrees with us, or DIFFERENCES names it and says why
the RFC does not agree; a difference that has gone away fails too, so that the list stays true.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from protocols.mime import headers, parameters, structure, words
from protocols.mime.dates import parse_date
from protocols.mime.envelope import summarise
from tests.protocols.mime.tree import check_tree

CORPORA: Final = Path(__file__).resolve().parents[4] / "shared" / "corpora"
needs_corpora = pytest.mark.skipif(not CORPORA.is_dir(), reason=f"no sample mail at {CORPORA}")

MESSAGES: Final = sorted(CORPORA.glob("eml/*/*.eml"))

_COMMENTS = "RFC 8621 4.1.2.3: comments are discarded; only one after a nameless addr-spec names it"
_ROUTE = "RFC 5322 4.4: a route is no part of the addr-spec, nor is the CFWS around its dots"
_QUOTED_WORD = "RFC 2047 5 (3), RFC 8621 4.1.2.3: no encoded word inside a quoted-string"
_TRIMMED = "RFC 8621 4.1.2.3: white space at the ends of a quoted name is removed"
_MONTH = "RFC 5322 3.3: a month is a name, so this is no date"
_RECEIVED = "a Received field is no date-time; who reads one cuts at its semicolon (as below)"
_CFWS_IN_ID = "RFC 8621 4.1.2.5: CFWS is removed from ids"
_NO_ID = "RFC 5322 3.6.4: an id has an @, so parsing fails and the value is null"
_UNFOLD = "RFC 5322 2.2.3: unfolding removes the CRLF and nothing else"
_TRAILING = "RFC 8621 4.1.2.2: only spaces at the beginning are removed"
_PLACEMENT = "RFC 8621 4.1.2.2: what breaks RFC 2047's placement or space rules MUST NOT be decoded"
_LANGUAGE = "RFC 2231 5: the language is no parameter of its own"
_BROKEN_2231 = (
    "RFC 2231 3, 4.1: the charset stands in the first section only; the rest is as written"
)
_WORDS_JOIN = "RFC 2047 6.2: white space between encoded words is not shown"
_NO_TYPE = "RFC 2045 5.2: a type we cannot read is decided by who knows the default (structure)"
_NUL = "RFC 8621 4.1.2.1: NULs are dropped; and a name of * alone is a name"
_NOT_2231 = "RFC 2231 7: these are no section numbers, so the names stay as they are"
_YEAR = "RFC 5322 4.3: two digits of a year below 50 are from 2000"
_ZONE = "RFC 5322 4.3: PST is -0800 and PDT is -0700"
_ASCTIME = "no RFC 5322 date; we read the C library's form, where the year comes last"
_FRACTION = "no RFC 5322 time; we drop the fraction, not the second"
_UNDERSCORE = "RFC 5322 3.3: no underscore in a date"

DIFFERENCES: Final[dict[str, dict[int, str]]] = {
    "address": {
        **dict.fromkeys((8, 9, 10, 11, 22, 40, 45, 56), _COMMENTS),
        **dict.fromkeys((13, 14), _ROUTE),
        **dict.fromkeys((25, 28, 31, 36, 59), _QUOTED_WORD),
        33: _TRIMMED,
    },
    "date": {10: _MONTH, 12: _MONTH, 28: _RECEIVED},
    "id": {6: _CFWS_IN_ID, 10: _NO_ID},
    "unstructured": {
        **dict.fromkeys((2, 4, 19), _UNFOLD),
        **dict.fromkeys((3, 16, 17, 18, 20), _TRAILING),
        **dict.fromkeys((5, 21, 22, 23, 24, 25, 26, 27, 28), _PLACEMENT),
    },
    "list": {2: _UNFOLD, 3: _PLACEMENT},
    "content_type": {
        **dict.fromkeys((29, 30), _LANGUAGE),
        31: _BROKEN_2231,
        34: _WORDS_JOIN,
        **dict.fromkeys((40, 41, 42, 43, 62, 63, 64, 65, 66, 70, 71, 72), _NO_TYPE),
        59: _NUL,
        61: _NOT_2231,
    },
    "received": {
        **dict.fromkeys((13, 117, 118, 151), _ASCTIME),
        **dict.fromkeys((67, 163), _ZONE),
        **dict.fromkeys((89, 90, 128), _YEAR),
        138: _UNDERSCORE,
        144: _FRACTION,
    },
}


def _value(header: str) -> str:
    """The field's value: up to the first line end that folding does not explain."""
    end = re.search(r"\r?\n(?![ \t])", header)
    return header[: end.start()] if end else header


def _addresses(value: str) -> object:
    grouped = headers.as_grouped_addresses(value.encode())
    return [(name, [(one.name, one.email) for one in members]) for name, members in grouped]


def _expected_addresses(expected: Any) -> object:
    groups = expected.get("Group") or [{"name": None, "addresses": expected["List"]}]
    return [(g["name"], [(a["name"], a["address"]) for a in g["addresses"]]) for g in groups]


def _date(value: str) -> object:
    moment = parse_date(value)
    return None if moment is None else moment.isoformat()


def _expected_date(expected: Any) -> object:
    if expected is None:
        return None
    day = "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}".format(**expected)
    zone = "{tz_hour:02}:{tz_minute:02}".format(**expected)
    return day + ("-" if expected["tz_before_gmt"] and zone != "00:00" else "+") + zone


def _received_date(value: str) -> object:
    return _date(value.rpartition(";")[2])


def _expected_received(expected: Any) -> object:
    return _expected_date((expected or {}).get("date"))


def _content_type(value: str) -> object:
    main, params = parameters.parse(value)
    kind, _, subtype = main.partition("/")
    return kind, subtype or None, {k: words.decode(v, lenient=True) for k, v in params.items()}


def _expected_content_type(expected: Any) -> object:
    if expected is None:
        return None
    return expected["c_type"], expected["c_subtype"], dict(expected.get("attributes") or [])


def _items(value: str) -> object:
    return [item.strip() for item in headers.as_text(value.encode()).split(",")]


READERS: Final[dict[str, tuple[Callable[[str], object], Callable[[Any], object]]]] = {
    "address": (_addresses, _expected_addresses),
    "date": (_date, _expected_date),
    "id": (lambda value: headers.as_message_ids(value.encode()), lambda expected: expected),
    "unstructured": (lambda value: headers.as_text(value.encode()), lambda expected: expected),
    "list": (_items, lambda expected: expected),
    "content_type": (_content_type, _expected_content_type),
    "received": (_received_date, _expected_received),
}


@needs_corpora
@pytest.mark.parametrize("kind", READERS)
def test_header_cases_agree_or_the_rfc_does_not(kind: str) -> None:
    cases = json.loads((CORPORA / "headers" / f"{kind}.json").read_text())
    read, expect = READERS[kind]
    differing = {
        number: case["header"]
        for number, case in enumerate(cases)
        if read(_value(case["header"])) != expect(case["expected"])
    }
    explained = DIFFERENCES[kind]
    assert {n: h for n, h in differing.items() if n not in explained} == {}
    assert set(explained) - set(differing) == set(), "these agree now; strike them off the list"


@needs_corpora
@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_every_sample_message_parses(path: Path) -> None:
    data = path.read_bytes()
    summary = summarise(data)
    assert structure.unpack(summary.structure_bytes) == summary.root
    check_tree(data, summary.root)


@needs_corpora
def test_the_rfcs_own_example_is_taken_apart_as_the_rfc_says() -> None:
    data = (CORPORA / "eml" / "rfc" / "007.eml").read_bytes()  # RFC 8621 4.1.4
    lists = summarise(data).lists

    def letters(parts: tuple[structure.Part, ...]) -> list[bytes]:
        return [data[part.body_start : part.body_end].strip()[-1:] for part in parts]

    assert letters(lists.text) == [b"A", b"B", b"C", b"D", b"K"]
    assert [part.content_type for part in lists.html] == ["text/plain", "text/html", "text/plain"]
    kinds = [part.content_type for part in lists.attachments]
    assert kinds == [
        "image/jpeg",
        "image/jpeg",
        "image/jpeg",
        "application/x-excel",
        "message/rfc822",
    ]
