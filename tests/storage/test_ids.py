"""Ids in text: one form each, and nothing else is an id."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import ids
from storage.ids import (
    NUMBER_MAX,
    SECTIONS_MAX,
    BlobRef,
    Section,
    blob_id,
    parse_blob,
    render_blob,
)

PAIRS: list[tuple[Callable[[Any], str], Callable[[str], Any]]] = [
    (ids.render_account, ids.parse_account),
    (ids.render_mailbox, ids.parse_mailbox),
    (ids.render_thread, ids.parse_thread),
    (ids.render_email, ids.parse_email),
]
BLOB = blob_id(b"data")


@pytest.mark.parametrize(("render", "parse"), PAIRS)
def test_numbers_have_one_text(render: Callable[[Any], str], parse: Callable[[str], Any]) -> None:
    @given(st.integers(0, NUMBER_MAX))
    def check(number: int) -> None:
        assert parse(render(number)) == number

    check()
    letter = render(7)[0]
    assert len({render(7) for render, _ in PAIRS}) == 4, "no two kinds share a text"
    for wrong in (
        "", letter, "7", letter.upper() + "7", letter + "07", letter + "-1", letter + " 7",
        letter + "7\n", letter + "\u0667", f"{letter}{NUMBER_MAX + 1}", letter + "9" * 40, "z7",
    ):  # fmt: skip
        assert parse(wrong) is None, wrong


@given(st.integers(0, 10**12 - 1), st.integers(0, 10**12 - 1), st.integers(0, 9))
def test_sections_of_blobs(start: int, length: int, encoding: int) -> None:
    ref = BlobRef(BLOB, start, length, encoding)
    assert parse_blob(render_blob(ref)) == ref


def test_sections_in_sections() -> None:
    whole, plain = BlobRef(BLOB), BlobRef(BLOB, 10, 90, 0)
    assert whole.within(1, 2, 0) == BlobRef(BLOB, 1, 2, 0)
    assert plain.within(1, 2, 1) == BlobRef(BLOB, 11, 2, 1)
    deep: BlobRef | None = BlobRef(BLOB, 10**12 - 1, 10**12 - 1, 1)
    for _ in range(SECTIONS_MAX - 1):
        assert deep is not None
        deep = deep.within(10**12 - 1, 10**12 - 1, 2)
    assert deep is not None and deep.within(0, 1, 0) is None
    text = render_blob(deep)
    assert len(text) <= 255 and parse_blob(text) == deep
    last = BlobRef(BLOB, 1, 2, 1, (Section(3, 9, 0),))
    assert last.within(1, 2, 2) == BlobRef(BLOB, 1, 2, 1, (Section(4, 2, 2),))


def test_whole_blobs() -> None:
    assert render_blob(BLOB) == render_blob(BlobRef(BLOB)) == "b" + BLOB.hex()
    assert parse_blob(render_blob(BLOB)) == BlobRef(BLOB)


@pytest.mark.parametrize(
    "tail",
    [
        "-",
        "-1",
        "-1-2",
        "-01-2-0",
        "-1-2-10",
        "-1-2-3-4",
        "x",
        "\n",
        "-1-2-0-1-2-0",
        "-1-2-1-01-2-0",
        "-1-2-1" * 5,
    ],
)
def test_what_is_no_blob(tail: str) -> None:
    assert parse_blob("b" + BLOB.hex() + tail) is None
    assert parse_blob("B" + BLOB.hex()) is None
    assert parse_blob("b" + BLOB.hex().upper()) is None
