"""JMAP's data types at their edges."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.jmap.errors import MethodError, SetError
from protocols.jmap.patches import patched_set, split_patch
from protocols.jmap.values import (
    INT_MAX,
    Arguments,
    is_id,
    is_unsigned,
    parse_state,
    parse_utc_date,
    render_state,
    render_utc_date,
)
from storage.ids import Version


@pytest.mark.parametrize("good", ["a", "A-_9", "x" * 255])
def test_ids(good: str) -> None:
    assert is_id(good)


@pytest.mark.parametrize("bad", ["", "x" * 256, "a b", "é", "a\n", "#a", None, 1, ["a"]])
def test_what_is_no_id(bad: Any) -> None:
    assert not is_id(bad)


@pytest.mark.parametrize(
    ("value", "fits"),
    [(0, True), (INT_MAX, True), (INT_MAX + 1, False), (-1, False), (True, False), (1.0, False)],
)
def test_unsigned(value: Any, fits: bool) -> None:
    assert is_unsigned(value) is fits


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-01T12:00:00Z", 1_793_534_400_000),
        ("2026-11-01T12:00:00.5Z", 1_793_534_400_500),
        ("2024-02-29T23:59:60Z", 1_709_251_199_000),
        ("1969-12-31T23:59:59Z", -1000),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000),
        ("0000-01-01T00:00:00Z", None),
        ("2023-02-29T00:00:00Z", None),
        ("2026-11-01T12:00:61Z", None),
        ("2026-11-01T12:00:00+00:00", None),
        ("2026-11-01t12:00:00z", None),
        ("2026-11-01", None),
        ("٢٠٢٦-11-01T12:00:00Z", None),
        (5, None),
    ],
)
def test_utc_dates(text: Any, milliseconds: int | None) -> None:
    assert parse_utc_date(text) == milliseconds


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_dates_come_back(seconds: int) -> None:
    assert parse_utc_date(render_utc_date(seconds * 1000)) == seconds * 1000


@given(st.integers(0, 2**63 - 1), st.integers(0, 10**6))
def test_states_come_back(version: int, skip: int) -> None:
    assert parse_state(render_state(Version(version), skip)) == (version, skip)


@pytest.mark.parametrize("text", ["", "-1", "01", "1-0", "1-", "1 ", "x", "9" * 20])
def test_states_we_never_gave(text: str) -> None:
    assert parse_state(text) is None


def test_arguments_are_taken_once_and_others_refused() -> None:
    arguments = Arguments({"limit": 3, "odd": 1})
    assert arguments.unsigned("limit") == 3 and arguments.unsigned("position") is None
    with pytest.raises(MethodError, match="odd"):
        arguments.done()


@pytest.mark.parametrize(
    ("reader", "value"),
    [
        ("boolean", 1),
        ("unsigned", -1),
        ("unsigned", True),
        ("integer", 1.5),
        ("integer", 2**60),
        ("string", 1),
        ("strings", ["a", 1]),
        ("ids", ["a", 1]),
        ("ids", "a"),
        ("identifier", 1),
        ("objects", {"a": 1}),
        ("objects", {"a b": {}}),
        ("patches", {"a b": []}),
        ("object", []),
        ("array", {}),
    ],
)
def test_arguments_of_wrong_types(reader: str, value: Any) -> None:
    with pytest.raises(MethodError) as caught:
        getattr(Arguments({"x": value}), reader)("x")
    assert caught.value.type == "invalidArguments"


def test_patches_are_sorted_by_property() -> None:
    assert split_patch({"a/b": 1, "c": 2, "a/d~1e": None}) == {
        "a": {"b": 1, "d/e": None},
        "c": {"": 2},
    }


@pytest.mark.parametrize("patch", [{"a": {}, "a/b": True}, {"a/b/c": 1}, {"a/": 1}])
def test_patches_that_cannot_be(patch: dict[str, Any]) -> None:
    with pytest.raises(SetError) as caught:
        split_patch(patch)
    assert caught.value.type == "invalidPatch"


def test_sets_are_replaced_or_patched() -> None:
    assert patched_set("k", {"": {"a": True}}) == (frozenset("a"), [], [])
    assert patched_set("k", {"": None}) == (frozenset(), [], [])
    assert patched_set("k", {"a": True, "b": None}) == (None, ["a"], ["b"])
    for wrong in ({"": {"a": False}}, {"": ["a"]}, {"a": False}, {"a": 1}):
        with pytest.raises(SetError):
            patched_set("k", wrong)
