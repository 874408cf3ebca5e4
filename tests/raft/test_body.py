"""Flush bodies: pieces that are neither copied nor summed twice are the same bytes and sums."""

import random
from zlib import crc32

import pytest

from raft import body as body_file
from raft.body import LARGE_BYTES, Body, carried
from raft.model import Entry, EntryKind, HardState, Persist
from raft.segment import body_crc, pack_steps, unpack_record

SALT = 0x1234_5678_9ABC_DEF0


@pytest.mark.parametrize("length", [0, 1, 7, 8, 4096, LARGE_BYTES - 1, LARGE_BYTES, 786_511])
def test_a_sum_is_carried_to_another_beginning(length: int) -> None:
    chance = random.Random(length)
    data = chance.randbytes(length)
    for begun, previous in ((0, 0), (0, 1), (1, 0xFFFFFFFF), (0xDEADBEEF, 0x12345678)):
        assert carried(crc32(data, begun), begun, previous, length) == crc32(data, previous)


def packed(lengths: list[int]) -> tuple[Body, list[Entry], list[tuple[int, int]]]:
    chance = random.Random(1)
    entries = [
        Entry(number, 3, EntryKind.NORMAL, chance.randbytes(length))
        for number, length in enumerate(lengths, 1)
    ]
    steps = [
        Persist(1, HardState(3, 1), None, tuple(entries[:2])),
        Persist(2, None, None, tuple(entries[2:])),
    ]
    places: list[tuple[int, int]] = []
    return pack_steps(steps, 0, SALT, places), entries, places


@pytest.mark.parametrize(
    "lengths",
    [
        [],
        [3, 0, 5],
        [LARGE_BYTES, 1, LARGE_BYTES + 3],
        [10, LARGE_BYTES + 1, LARGE_BYTES + 1, 7, LARGE_BYTES],
    ],
)
def test_large_payloads_stay_by_themselves(lengths: list[int]) -> None:
    body, entries, places = packed(lengths)
    joined = body.joined()
    assert b"".join(body.parts) == joined and len(body) == len(joined)
    assert body.crc(77) == body_crc(joined, 77)
    assert body.crc(body.crc(77)) == body_crc(joined, body_crc(joined, 77))
    large = [entry.payload for entry in entries if len(entry.payload) >= LARGE_BYTES]
    assert [part for part in body.parts if len(part) >= LARGE_BYTES] == large
    assert all(any(part is payload for part in body.parts) for payload in large), "no copy"
    assert len(body.parts) == 2 * len(large) + 1
    for entry, (index, place) in zip(entries, places, strict=True):
        record, _ = unpack_record(joined, place, SALT)
        assert (record.entry, index) == (entry, entry.index)


def test_only_small_ones_are_summed_for_the_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    body, _, _ = packed([10, LARGE_BYTES, 10])
    summed: list[int] = []

    def counted(data: bytes, previous: int) -> int:
        summed.append(len(data))
        return crc32(data, previous)

    monkeypatch.setattr(body_file, "crc32", counted)
    body.crc(0)
    assert summed and max(summed) < 1000
