"""The calls one node makes on another: one struct a call, one an answer. Tagged MessagePack.

Tags are strings nobody reuses; fields are only added, at the end and with a default, so that nodes
one version apart understand each other. An answer may always be a `Refusal`.
"""

from typing import Final

import msgspec

from node.rpc.errors import MALFORMED, LinkLost


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello"):
    """Who are you, and is there a cluster yet? Asked of addresses before a cluster is formed."""


class HelloAnswer(msgspec.Struct, frozen=True, array_like=True, tag="hello-answer"):
    """What a node knows of the cluster."""

    name: str
    replica: int
    registered: dict[str, int]
    """By node name, the disk that the replicated state knows it by (node/identity.py)."""
    formed: bool
    """Whether this node has a cluster: a log with members in it."""
    members: tuple[int, ...] = ()
    """Who is a member, as far as the log of this node says; nobody while it says nothing."""
    removed: bool = False
    """Whether the asker was a member and is none any more."""


class GossipExchange(msgspec.Struct, frozen=True, array_like=True, tag="gossip"):
    """A gossip exchange; the payload is gossip's own."""

    payload: bytes


class GossipAnswer(msgspec.Struct, frozen=True, array_like=True, tag="gossip-answer"):
    """The other half of a gossip exchange."""

    payload: bytes


class AdminCall(msgspec.Struct, frozen=True, array_like=True, tag="admin"):
    """What the command line asks of a running node, in admin's own format."""

    payload: bytes


class AdminAnswer(msgspec.Struct, frozen=True, array_like=True, tag="admin-answer"):
    """Admin's answer."""

    payload: bytes


class SnapshotOpen(msgspec.Struct, frozen=True, array_like=True, tag="snapshot-open"):
    """Give me your state, of this applied index or a later one."""

    at_least: int


class SnapshotOpened(
    msgspec.Struct, frozen=True, array_like=True, tag="snapshot-opened", kw_only=True
):
    """What can be fetched: storage.snapshot.SnapshotHead, and what raft must know of it."""

    number: int
    index: int
    term: int
    chain: bytes
    rows: int
    octets: int
    digest: bytes
    seen_term: int
    membership: bytes


class SnapshotRows(msgspec.Struct, frozen=True, array_like=True, tag="snapshot-rows"):
    """The stream of an opened snapshot from an offset on."""

    number: int
    index: int
    offset: int


class SnapshotBytes(msgspec.Struct, frozen=True, array_like=True, tag="snapshot-bytes"):
    """A piece of the stream with its CRC-32."""

    data: bytes
    checksum: int


class SnapshotParts(msgspec.Struct, frozen=True, array_like=True, tag="snapshot-parts"):
    """Parts of blobs that the rows of an opened snapshot name: (blob, offset) each."""

    number: int
    index: int
    parts: tuple[tuple[bytes, int], ...]


class SnapshotPartsAnswer(
    msgspec.Struct, frozen=True, array_like=True, tag="snapshot-parts-answer"
):
    """The first of the parts asked for, at least one."""

    parts: tuple[bytes, ...]


class BlobParts(msgspec.Struct, frozen=True, array_like=True, tag="blob-parts"):
    """Parts of blobs that are damaged where they should be: (blob, offset) each."""

    parts: tuple[tuple[bytes, int], ...]


class BlobPartsAnswer(msgspec.Struct, frozen=True, array_like=True, tag="blob-parts-answer"):
    """The first of the parts asked for, at least one; None is not here, or damaged here too."""

    parts: tuple[bytes | None, ...]


class Marks(msgspec.Struct, frozen=True, array_like=True, tag="marks"):
    """How far have you applied, and what was your chain hash on the way?"""


class MarksAnswer(msgspec.Struct, frozen=True, array_like=True, tag="marks-answer"):
    """The chain hash at a few indexes, the last of which is applied now."""

    marks: tuple[tuple[int, bytes], ...]


class VerifyBegin(msgspec.Struct, frozen=True, array_like=True, tag="verify-begin"):
    """Digest your state when exactly this index is applied, then verify all you have."""

    index: int
    repair: bool


class VerifyLook(msgspec.Struct, frozen=True, array_like=True, tag="verify-look"):
    """How far is it?"""


class VerifyAnswer(msgspec.Struct, frozen=True, array_like=True, tag="verify-answer"):
    """A node.inspection.Report as JSON."""

    payload: bytes


class Rebuild(msgspec.Struct, frozen=True, array_like=True, tag="rebuild"):
    """Your rows are not what the others have: move them aside and make them anew."""

    reason: str


class RebuildAnswer(msgspec.Struct, frozen=True, array_like=True, tag="rebuild-answer"):
    """It begins."""


class LogQuestion(msgspec.Struct, frozen=True, array_like=True, tag="log-question"):
    """What stands in the log from `low` on before the entry (anchor, anchor_term)?"""

    low: int
    anchor: int
    anchor_term: int


class LogTold(msgspec.Struct, frozen=True, array_like=True, tag="log-told"):
    """A piece of the log, or why there is none (raft/repair.py)."""

    kind: str
    """piece, behind or lacks."""
    leads: bool = False
    is_sure: bool = False
    """Behind: the anchor is held. Lacks: nothing is missing in the log that lacks it."""
    term: int = 0
    """Of the entry before the piece, or of the one the log begins behind."""
    index: int = 0
    entries: tuple[tuple[int, int, bytes], ...] = ()
    """(term, kind, payload) of each."""
    membership: bytes = b""


class Refusal(msgspec.Struct, frozen=True, array_like=True, tag="refusal"):
    """The call was heard and not done."""

    reason: str
    busy: bool = False
    """A bound was hit; later it may work."""


UpkeepCall = BlobParts | Marks | VerifyBegin | VerifyLook | Rebuild
Call = (
    Hello
    | GossipExchange
    | AdminCall
    | SnapshotOpen
    | SnapshotRows
    | SnapshotParts
    | UpkeepCall
    | LogQuestion
)
Answer = (
    HelloAnswer
    | GossipAnswer
    | AdminAnswer
    | SnapshotOpened
    | SnapshotBytes
    | SnapshotPartsAnswer
    | BlobPartsAnswer
    | MarksAnswer
    | VerifyAnswer
    | RebuildAnswer
    | LogTold
)
Reply = Answer | Refusal

_encoder: Final = msgspec.msgpack.Encoder()
_call_decoder: Final[msgspec.msgpack.Decoder[Call]] = msgspec.msgpack.Decoder(Call)
_reply_decoder: Final[msgspec.msgpack.Decoder[Reply]] = msgspec.msgpack.Decoder(Reply)

NUMBER_BYTES: Final = 8


def encode(number: int, body: Call | Reply) -> bytes:
    """A call or reply with the number that pairs them."""
    return number.to_bytes(NUMBER_BYTES, "big") + _encoder.encode(body)


def decode_call(payload: bytes) -> tuple[int, Call | Refusal]:
    """A call and its number; of a call unknown to us, the refusal that answers it."""
    number = _number(payload)
    try:
        return number, _call_decoder.decode(payload[NUMBER_BYTES:])
    except msgspec.ValidationError as error:
        # Well-formed but not known to this version: the link is good, only this call is not.
        return number, Refusal(f"this node does not know such a call: {error}")
    except MALFORMED as error:
        raise LinkLost(f"a call cannot be read: {error}") from None


def decode_reply(payload: bytes) -> tuple[int, Reply]:
    """A reply and the number of its call."""
    number = _number(payload)
    try:
        return number, _reply_decoder.decode(payload[NUMBER_BYTES:])
    except MALFORMED as error:
        raise LinkLost(f"an answer cannot be read: {error}") from None


def _number(payload: bytes) -> int:
    if len(payload) < NUMBER_BYTES:
        raise LinkLost("a call or answer without its number")
    return int.from_bytes(payload[:NUMBER_BYTES], "big")
