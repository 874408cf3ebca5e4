"""Batch: one change of state, complete before it is proposed; and its codec.

    entry payload = format byte 0x01 | MessagePack array
        [pid, ack_below, expects, puts, deletes, blobs, announces]

Apply copies these bytes and compares expectations; it computes nothing, so every node that
applies the same payload to the same state has the same state after. Numbers on the wire are
never given a new meaning; a new format takes a new first byte.
"""

from typing import Final

import msgspec

from storage.ids import AccountId, BlobId, Version

FORMAT: Final = 1
KIB: Final = 1024

# The largest encoded batch; under raft's entry limit of 1 MiB, so what we write can be read.
BATCH_BYTES_MAX: Final = 960 * KIB
# One piece of a blob in one batch. Larger blobs go ahead in batches of their own.
BLOB_PART_BYTES_MAX: Final = 256 * KIB


class BatchError(ValueError):
    """The payload is no batch this version can apply."""


class ProposalId(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Who proposed: replica, its boot epoch (registered through the log), a sequence within it."""

    replica: int
    epoch: int
    sequence: int


class Expect(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """`key` must hold exactly `value` (None: must be absent), or the whole batch is a conflict."""

    key: bytes
    value: bytes | None


class BlobPart(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """`data` is the blob's bytes from `offset`; the blob is whole when `total` bytes are there."""

    blob: BlobId
    offset: int
    total: int
    data: bytes


class Announce(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """After apply: `account` is at `version`, and the types in the bit mask `types` changed."""

    account: AccountId
    version: Version
    types: int


class Batch(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Expectations, puts, deletes, blob parts and announcements under one proposal id.

    `ack_below`: the origin has seen the outcome of every sequence below it, so their memory may go.
    """

    pid: ProposalId
    ack_below: int
    expects: tuple[Expect, ...] = ()
    puts: tuple[tuple[bytes, bytes], ...] = ()
    deletes: tuple[bytes, ...] = ()
    blobs: tuple[BlobPart, ...] = ()
    announces: tuple[Announce, ...] = ()


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Batch)


def encode_batch(batch: Batch) -> bytes:
    """The entry payload of `batch`; raises BatchError when it is over BATCH_BYTES_MAX."""
    payload = bytes((FORMAT,)) + _ENCODER.encode(batch)
    if len(payload) > BATCH_BYTES_MAX:
        raise BatchError(f"a batch of {len(payload)} bytes is over {BATCH_BYTES_MAX}")
    return payload


def decode_batch(payload: bytes) -> Batch:
    """The batch in an entry payload; raises BatchError for anything else."""
    if not payload or payload[0] != FORMAT:
        raise BatchError(f"unknown batch format {payload[:1]!r}: this node is older than the log")
    try:
        return _DECODER.decode(memoryview(payload)[1:])
    except msgspec.MsgspecError as error:
        raise BatchError(f"a damaged batch: {error}") from error
