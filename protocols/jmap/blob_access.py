"""Which blobs a call may read: those that something of the account holds (RFC 8620 6)."""

from protocols.jmap.context import Context
from protocols.jmap.sections import read_ref, read_span
from protocols.jmap.values import is_id, is_reference
from protocols.ports import Blobs
from storage.ids import AccountId, BlobRef, parse_blob
from storage.mail.messages import holds_blob


def find_blob(context: Context, account: AccountId, blob_id: object) -> BlobRef | None:
    """The blob, or section of one, that an id or creation reference names, if it may be read."""
    if not isinstance(blob_id, str) or not (is_id(blob_id) or is_reference(blob_id)):
        return None
    ref = parse_blob(context.resolve(blob_id))
    if ref is None or not holds_blob(context.rows, account, ref.blob):
        return None
    return ref


def read_blob(context: Context, account: AccountId, blob_id: object) -> bytes | None:
    """The octets of a blob, or of a section of one; None when the account has none such."""
    ref = find_blob(context, account, blob_id)
    return None if ref is None else read_ref(context.ports.blobs, ref)


class OpenBlob:
    """A blob whose size is known, read in pieces; a section in a transfer encoding is decoded."""

    def __init__(self, blobs: Blobs, ref: BlobRef, size: int, decoded: bytes | None) -> None:
        self._blobs = blobs
        self._ref = ref
        self._decoded = decoded
        self.size = size

    def read(self, start: int, length: int) -> bytes:
        """Octets [start, start+length), fewer at the end."""
        length = max(0, min(length, self.size - start))
        if self._decoded is not None:
            return self._decoded[start : start + length]
        return read_span(self._blobs, self._ref.blob, self._ref.start + start, length)


def open_blob(context: Context, account: AccountId, blob_id: object) -> OpenBlob | None:
    """A blob to read from; None when the account has none such."""
    ref = find_blob(context, account, blob_id)
    blobs = context.ports.blobs
    whole = None if ref is None else blobs.size(ref.blob)
    if ref is None or whole is None:
        return None
    if ref.encoding:
        decoded = read_ref(blobs, ref)
        return None if decoded is None else OpenBlob(blobs, ref, len(decoded), decoded)
    size = whole if ref.length is None else ref.length
    return OpenBlob(blobs, ref, size, None) if ref.start + size <= whole else None
