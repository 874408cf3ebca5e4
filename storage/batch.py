"""Batch: one change of state, complete before it is proposed; and its codec.

    entry payload = nothing                            (a leader's first entry: changes no row)
                  | format byte 0x01 | MessagePack array
                    [pid, ack_below, expects, puts, deletes, blobs, announces]
                  | format byte 0x02 | MessagePack array
                    [replica, epoch, node, identity, nonce]

Apply copies these bytes and compares expectations; it computes nothing, so every node that
applies the same payload to the same state has the same state after. Numbers on the wire are
never given a new meaning; a new format takes a new first byte.
"""

from typing import Final

import msgspec

from storage.ids import AccountId, BlobId, Version

FORMAT_BATCH: Final = 1
FORMAT_REGISTRATION: Final = 2
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


class Registration(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A replica has started: from here on its proposals of other epochs are refused.

    `node` and `identity` say who (name, replica uuid). `nonce` is this process's own, so that a
    registration sent twice is one, while two processes that claim one epoch are told apart.
    """

    replica: int
    epoch: int
    node: str
    identity: bytes
    nonce: bytes


_BATCH_START: Final = bytes((FORMAT_BATCH,))
_ENCODER: Final = msgspec.msgpack.Encoder()
_BATCH: Final = msgspec.msgpack.Decoder(Batch)
_REGISTRATION: Final = msgspec.msgpack.Decoder(Registration)
# All that msgspec raises for bytes that are wrong, text and depth included.
_MALFORMED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def well_cut(part: BlobPart) -> bool:
    """Is the part where and as long as every node cuts it: at multiples of the part size."""
    expected = min(BLOB_PART_BYTES_MAX, part.total - part.offset)
    aligned = part.offset >= 0 and part.offset % BLOB_PART_BYTES_MAX == 0
    inside = part.offset < part.total or part.total == part.offset == 0
    return aligned and inside and len(part.data) == expected


def encode_batch(batch: Batch) -> bytes:
    """The entry payload of `batch`; raises BatchError when it is over BATCH_BYTES_MAX."""
    assert not batch.blobs or all(map(well_cut, batch.blobs)), batch.pid
    payload = _BATCH_START + _ENCODER.encode(batch)
    if len(payload) > BATCH_BYTES_MAX:
        raise BatchError(f"a batch of {len(payload)} bytes is over {BATCH_BYTES_MAX}")
    return payload


def encode_registration(registration: Registration) -> bytes:
    """The entry payload that registers a boot epoch."""
    return bytes((FORMAT_REGISTRATION,)) + _ENCODER.encode(registration)


def decode_batch(payload: bytes) -> Batch:
    """The batch in an entry payload; raises BatchError for anything else."""
    decoded = decode_payload(payload)
    if not isinstance(decoded, Batch):
        raise BatchError("a registration, not a batch")
    return decoded


def decode_payload(payload: bytes) -> Batch | Registration:
    """What an entry's payload asks for; raises BatchError for anything unknown."""
    body = memoryview(payload)[1:]
    try:
        if payload.startswith(_BATCH_START):
            batch = _BATCH.decode(body)
            return _checked(batch) if batch.blobs else batch
        if payload[:1] == b"\x02":
            return _REGISTRATION.decode(body)
    except _MALFORMED as error:
        raise BatchError(f"a damaged batch: {error}") from error
    raise BatchError(f"unknown batch format {payload[:1]!r}: this node is older than the log")


def _checked(batch: Batch) -> Batch:
    if not all(map(well_cut, batch.blobs)):
        raise BatchError(f"{batch.pid}: a blob is not cut at multiples of the part size")
    return batch
