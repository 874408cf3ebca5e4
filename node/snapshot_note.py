"""The note in an installed state (storage.snapshot), for a log that has not heard of it."""

import msgspec

from raft import SnapshotMeta, decode_membership


class Note(msgspec.Struct, frozen=True, array_like=True):
    """What an installed state says of itself, for a log that has not heard of it."""

    term: int
    seen_term: int
    membership: bytes


def encode_note(note: Note) -> bytes:
    """As storage keeps it."""
    return msgspec.msgpack.encode(note)


def decode_note(index: int, data: bytes) -> tuple[SnapshotMeta, int]:
    """What a snapshot stood for, and the term its giver was in."""
    note = msgspec.msgpack.decode(data, type=Note)
    return SnapshotMeta(index, note.term, decode_membership(note.membership)), note.seen_term
