"""Batches come out of the log as they went in, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.batch import (
    BATCH_BYTES_MAX,
    BLOB_PART_BYTES_MAX,
    Announce,
    Batch,
    BatchError,
    BlobPart,
    Expect,
    ProposalId,
    Registration,
    decode_batch,
    decode_payload,
    encode_batch,
    encode_registration,
    well_cut,
)
from storage.ids import AccountId, Version, blob_id

PID = ProposalId(2**64 - 1, 3, 4)
KEY = st.binary(max_size=20)


@given(
    st.lists(st.tuples(KEY, st.none() | KEY)),
    st.lists(st.tuples(KEY, KEY)),
    st.lists(KEY),
    st.binary(max_size=50),
    st.integers(0, 2**63 - 1),
)
def test_a_batch_comes_back(
    expects: list[tuple[bytes, bytes | None]],
    puts: list[tuple[bytes, bytes]],
    deletes: list[bytes],
    data: bytes,
    version: int,
) -> None:
    batch = Batch(
        PID,
        7,
        tuple(Expect(*each) for each in expects),
        tuple(puts),
        tuple(deletes),
        (BlobPart(blob_id(data), 0, len(data), data),),
        (Announce(AccountId(1), Version(version), 6),),
    )
    assert decode_batch(encode_batch(batch)) == batch


def test_a_registration_comes_back_and_is_no_batch() -> None:
    registration = Registration(7, 2, "n1", b"uuid", b"nonce")
    payload = encode_registration(registration)
    assert decode_payload(payload) == registration
    with pytest.raises(BatchError):
        decode_batch(payload)


def test_the_largest_batch() -> None:
    room = BATCH_BYTES_MAX - len(encode_batch(Batch(PID, 0, puts=((b"k", bytes(70_000)),))))
    encode_batch(Batch(PID, 0, puts=((b"k", bytes(70_000 + room)),)))
    with pytest.raises(BatchError):
        encode_batch(Batch(PID, 0, puts=((b"k", bytes(70_001 + room)),)))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x00",
        b"\x03\x90",
        b"\x01",
        b"\x01\xff",
        b"\x01\x90",
        b"\x02\x93\x01\x02\x03",
        b"\x02\x95\x01\x01\xa1\xff\xc4\x00\xc4\x00",  # a name that is not UTF-8
        b"\x02\x96\x01\x01\xa1n\xc4\x00\xc4\x00" + b"\x91" * 100_000,  # a field too many, and deep
    ],
)
def test_what_this_version_does_not_know_is_an_error(payload: bytes) -> None:
    with pytest.raises(BatchError):
        decode_payload(payload)


@given(st.binary(max_size=60))
def test_garbage_raises_one_error(garbage: bytes) -> None:
    try:
        decode_payload(b"\x01" + garbage)
    except BatchError:
        pass


def test_blobs_are_cut_in_one_way_only() -> None:
    blob, part = blob_id(b""), BLOB_PART_BYTES_MAX
    assert well_cut(BlobPart(blob, 0, 0, b""))
    assert well_cut(BlobPart(blob, 0, part + 1, bytes(part)))
    assert well_cut(BlobPart(blob, part, part + 1, b"x"))
    assert not well_cut(BlobPart(blob, 0, part + 1, bytes(part - 1)))
    assert not well_cut(BlobPart(blob, 1, 10, bytes(9)))
    assert not well_cut(BlobPart(blob, part, part, b""))
    assert not well_cut(BlobPart(blob, -part, 10, bytes(part)))


def test_a_badly_cut_blob_in_the_log_is_an_error() -> None:
    good = encode_batch(Batch(PID, 0, blobs=(BlobPart(blob_id(b"ab"), 0, 2, b"ab"),)))
    assert good.count(b"\x00\x02\xc4\x02ab") == 1
    with pytest.raises(BatchError):
        decode_batch(good.replace(b"\x00\x02\xc4\x02ab", b"\x01\x02\xc4\x02ab"))
