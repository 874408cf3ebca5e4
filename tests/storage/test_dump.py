"""The state's hash speaks of replicated rows only, and of all of them."""

from storage import keys, local_keys
from storage.dump import PAGE_ROWS, replicated_rows, state_hash
from storage.memory import MemoryEngine

ROW = keys.REPLICATED + b"row"


def hashed(*rows: tuple[bytes, bytes]) -> bytes:
    return state_hash(MemoryEngine(rows))


def test_every_replicated_row_counts() -> None:
    different = {
        hashed(),
        hashed((ROW, b"1")),
        hashed((ROW, b"2")),
        hashed((ROW + b"1", b"")),
        hashed((ROW, b"1"), (ROW + b"2", b"")),
        hashed((ROW, b""), (ROW + b"1", b"2")),
    }
    assert len(different) == 6


def test_local_rows_do_not_count() -> None:
    assert hashed((ROW, b"1"), (local_keys.APPLIED_KEY, b"x")) == hashed((ROW, b"1"))


def test_many_rows_are_read_in_pages() -> None:
    rows = [(ROW + b"%06d" % number, b"v") for number in range(2 * PAGE_ROWS + 1)]
    assert list(replicated_rows(MemoryEngine(rows))) == rows
