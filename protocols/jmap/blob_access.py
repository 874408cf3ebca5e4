"""Which blobs a call may read: those that something of the account holds (RFC 8620 6)."""

from protocols.jmap.context import Context
from protocols.jmap.sections import read_ref
from protocols.jmap.values import is_id, is_reference
from storage.ids import AccountId, parse_blob
from storage.mail.messages import holds_blob


def read_blob(context: Context, account: AccountId, blob_id: object) -> bytes | None:
    """The octets of a blob, or of a section of one; None when the account has none such."""
    if not isinstance(blob_id, str) or not (is_id(blob_id) or is_reference(blob_id)):
        return None
    ref = parse_blob(context.resolve(blob_id))
    if ref is None or not holds_blob(context.rows, account, ref.blob):
        return None
    return read_ref(context.ports.blobs, ref)
