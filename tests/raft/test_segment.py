"""Records of a segment: what is skimmed at a start is what would be read."""

from raft.configs import encode_membership
from raft.model import Entry, EntryKind, HardState, Membership, Persist
from raft.segment import pack_steps, skim_entries, unpack_record

SALT = 0x1234_5678_9ABC_DEF0
MEMBERS = encode_membership(Membership(frozenset({1})))


def body(*steps: Persist) -> tuple[bytes, list[tuple[int, int]]]:
    places: list[tuple[int, int]] = []
    return pack_steps(steps, 0, SALT, places).joined(), places


def entry(index: int, payload: bytes, kind: EntryKind = EntryKind.NORMAL) -> Entry:
    return Entry(index, 3, kind, payload)


def test_plain_entries_are_skimmed_with_their_places() -> None:
    entries = [entry(number, b"x" * number) for number in range(1, 30)]
    entries.append(entry(30, b"", EntryKind.NOOP))
    data, places = body(Persist(1, None, None, tuple(entries)))

    first, term, found, end = skim_entries(data, 0, SALT, at=1000)

    assert (first, term, end) == (1, 3, len(data))
    assert found == [1000 + place for _, place in places]
    for place, wrote in zip(found, entries, strict=True):
        record, _ = unpack_record(data, place - 1000, SALT)
        assert record.entry == wrote


def test_skimming_ends_where_another_term_or_another_place_of_the_log_begins() -> None:
    follows, elsewhere = Entry(2, 4, EntryKind.NORMAL, b"b"), Entry(3, 3, EntryKind.NORMAL, b"c")
    for other in (follows, elsewhere):
        data, places = body(Persist(1, None, None, (entry(1, b"a"), other)))
        assert skim_entries(data, 0, SALT) == (1, 3, [0], places[1][1])


def test_skimming_ends_before_whatever_is_more_than_an_entry() -> None:
    change = entry(2, MEMBERS, EntryKind.CONFIG)
    data, places = body(Persist(1, None, None, (entry(1, b"a"), change, entry(3, b"b"))))
    assert skim_entries(data, 0, SALT) == (1, 3, [0], places[1][1])
    vote, _ = body(Persist(1, HardState(3, 1), None, (entry(1, b"a"),)))
    assert skim_entries(vote, 0, SALT) == (0, 0, [], 0)


def test_skimming_ends_before_damage() -> None:
    data, places = body(Persist(1, None, None, (entry(1, b"first"), entry(2, b"second"))))
    second = places[1][1]
    for at in range(second, len(data) - 2):  # the last two are padding
        for bit in range(8):
            broken = bytearray(data)
            broken[at] ^= 1 << bit
            assert skim_entries(bytes(broken), 0, SALT) == (1, 3, [0], second), (at, bit)
    for cut in range(second, len(data) - 2):
        assert skim_entries(data[:cut], 0, SALT) == (1, 3, [0], second)
    assert skim_entries(data, 0, SALT + 1) == (0, 0, [], 0)
