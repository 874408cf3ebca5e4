"""Keys sort as their fields do, unpack to what was packed, and ranges hold just what they say."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import keys

U64 = st.integers(0, 2**63 - 1)
U32 = st.integers(0, 2**32 - 1)
BYTE = st.integers(0, 255)
HINT = st.binary(min_size=keys.HINT_BYTES, max_size=keys.HINT_BYTES)
BLOB = st.binary(min_size=32, max_size=32)

# pack, unpack, the fields after the account.
ACCOUNT_KEYS: list[tuple[Callable[..., bytes], Callable[[bytes], Any], tuple[Any, ...]]] = [
    (keys.change_key, keys.unpack_change_key, (BYTE, U64)),
    (keys.expunged_key, keys.unpack_expunged_key, (U64, U64)),
    (keys.record_key, keys.unpack_record_key, (BYTE, U64)),
    (keys.email_meta_key, keys.unpack_email_meta_key, (U64,)),
    (keys.uid_key, keys.unpack_uid_key, (U64, U32)),
    (keys.mailbox_counts_key, keys.unpack_mailbox_counts_key, (U64,)),
    (keys.date_key, keys.unpack_date_key, (U64, U64, U64)),
    (keys.thread_key, keys.unpack_thread_key, (U64,)),
    (keys.thread_hint_key, keys.unpack_thread_hint_key, (HINT,)),
    (keys.blob_link_key, keys.unpack_blob_link_key, (BLOB, BYTE, U64)),
]


@pytest.mark.parametrize(("pack", "unpack", "fields"), ACCOUNT_KEYS)
def test_account_rows(pack: Any, unpack: Any, fields: tuple[Any, ...]) -> None:
    row = st.tuples(U64, *fields)

    @given(row, row)
    def check(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
        rest = one[1:] if len(one) > 2 else one[1]
        assert unpack(pack(*one)) == rest
        assert (pack(*one) < pack(*other)) == (one < other)
        start, end = keys.account_range(one[0])
        assert start <= pack(*one) < end

    check()


@given(U64, U64, U64)
def test_outcomes_and_epochs(replica: int, epoch: int, sequence: int) -> None:
    key = keys.outcome_key(replica, epoch, sequence)
    assert keys.unpack_outcome_key(key) == (replica, epoch, sequence)
    assert inside(key, keys.outcome_range()) and inside(key, keys.outcome_range(replica))
    assert keys.unpack_epoch_key(keys.epoch_key(replica)) == replica
    assert inside(keys.epoch_key(replica), keys.epoch_range())


def inside(key: bytes, window: keys.KeyRange) -> bool:
    return window[0] <= key < window[1]


A: Any = 5
M: Any = 9


def test_ranges_hold_their_edges_and_not_their_neighbours() -> None:
    assert inside(keys.uid_key(A, M, 3), keys.uid_range(A, M, 3, 7))
    assert inside(keys.uid_key(A, M, 7), keys.uid_range(A, M, 3, 7))
    assert not inside(keys.uid_key(A, M, 8), keys.uid_range(A, M, 3, 7))
    assert inside(keys.uid_key(A, M, keys.U32_MAX), keys.uid_range(A, M))
    assert not inside(keys.uid_key(A, M + 1, 0), keys.uid_range(A, M))

    assert not inside(keys.change_key(A, 2, 4), keys.change_range(A, 2, 4))
    assert inside(keys.change_key(A, 2, 5), keys.change_range(A, 2, 4, 5))
    assert not inside(keys.change_key(A, 2, 6), keys.change_range(A, 2, 4, 5))
    assert not inside(keys.change_key(A, 3, 5), keys.change_range(A, 2, 4))
    assert inside(keys.change_key(A, 3, 5), keys.change_log_range(A))

    assert inside(keys.date_key(A, M, 10, A), keys.date_range(A, M, 10, 11))
    assert not inside(keys.date_key(A, M, 11, 0), keys.date_range(A, M, 10, 11))  # type: ignore[arg-type]
    assert inside(keys.date_key(A, M, 2**63, A), keys.date_range(A, M))
    assert not inside(keys.date_key(A, M + 1, 0, A), keys.date_range(A, M))

    assert inside(keys.record_key(A, 255, 2**63), keys.record_range(A, 255))
    assert not inside(keys.record_key(A, 2, 6), keys.record_range(A, 2, 7))
    assert inside(keys.expunged_key(A, M, 4), keys.expunged_range(A, M, 3, 4))
    assert not inside(keys.expunged_key(A, M, 5), keys.expunged_range(A, M, 3, 4))
    assert inside(keys.email_meta_key(A, M), keys.email_meta_range(A, M))
    assert inside(keys.thread_key(A, M), keys.thread_range(A, M))
    assert inside(keys.mailbox_counts_key(A, M), keys.mailbox_counts_range(A))
    hint = b"\xff" * keys.HINT_BYTES
    assert inside(keys.thread_hint_key(A, hint), keys.thread_hint_range(A))
    blob: Any = b"\xff" * 32
    assert inside(keys.blob_link_key(A, blob, 255, 2**63), keys.blob_link_range(A, blob))


def test_no_two_kinds_of_rows_share_a_letter() -> None:
    blob: Any = bytes(32)
    samples = [
        keys.version_key(A),
        keys.state_key(A),
        keys.counter_key(A, 1),
        keys.change_key(A, 1, 1),
        keys.horizon_key(A),
        keys.record_key(A, 1, 1),
        keys.index_prefix(A, 1, 1),
        keys.email_meta_key(A, M),
        keys.email_view_key(A, M),
        keys.email_parts_key(A, M),
        keys.uid_key(A, M, 1),
        keys.expunged_key(A, M, 1),
        keys.mailbox_counts_key(A, M),
        keys.date_key(A, M, 1, M),
        keys.thread_key(A, M),
        keys.thread_hint_key(A, bytes(keys.HINT_BYTES)),
        keys.blob_link_key(A, blob, 1, 1),
        keys.blob_key(blob),
        keys.blob_part_key(blob, 0),
        keys.outcome_key(1, 1, 1),
        keys.epoch_key(1),
    ]
    letters = [sample[11:12] for sample in samples]
    assert len(set(letters)) == len(letters)


def test_types_are_bits_of_a_mask() -> None:
    assert keys.TypeCode.EMAIL.bit == 4
    assert len({kind.bit for kind in keys.TypeCode}) == len(keys.TypeCode)
