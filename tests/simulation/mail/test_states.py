"""Rows of two nodes side by side: every kind of difference is told with its key."""

from storage import keys
from storage.memory import MemoryEngine
from tests.simulation.mail.states import DIFFERENCES_MAX, differences

KEY = keys.REPLICATED_RANGE[0]


def engine(*rows: tuple[bytes, bytes]) -> MemoryEngine:
    return MemoryEngine((KEY + key, value) for key, value in rows)


def test_equal_rows_have_no_difference() -> None:
    assert differences(engine((b"a", b"1")), engine((b"a", b"1"))) == []


def test_each_difference_names_its_key_and_both_values() -> None:
    one = engine((b"a", b"1"), (b"b", b"2"), (b"c", b"3"))
    other = engine((b"b", b"4"), (b"c", b"3"), (b"d", b"5"))
    assert differences(one, other) == [
        f"{(KEY + b'a').hex()}: 31 (1 bytes) / no row",
        f"{(KEY + b'b').hex()}: 32 (1 bytes) / 34 (1 bytes)",
        f"{(KEY + b'd').hex()}: no row / 35 (1 bytes)",
    ]


def test_only_the_first_are_told() -> None:
    many = engine(*((bytes([number]), b"x") for number in range(100)))
    assert len(differences(many, engine())) == DIFFERENCES_MAX
