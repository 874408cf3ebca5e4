"""Who holds which blob: a row per (blob, holding record) in the account that holds it.

A blob may be read by an account that has a link to it (RFC 8620 6: blobs of other accounts are
not found), and may be collected when no account links it.
"""

from storage import keys
from storage.engine import Rows
from storage.ids import AccountId, BlobId
from storage.keys import TypeCode
from storage.plan import Plan


def plan_link(
    plan: Plan, account: AccountId, blob: BlobId, holder_type: TypeCode, holder: int
) -> None:
    """A record of the account holds `blob` from now on."""
    plan.put(keys.blob_link_key(account, blob, holder_type, holder), b"")


def plan_unlink(
    plan: Plan, account: AccountId, blob: BlobId, holder_type: TypeCode, holder: int
) -> None:
    """The record no longer holds `blob`."""
    plan.delete(keys.blob_link_key(account, blob, holder_type, holder))


def holds(rows: Rows, account: AccountId, blob: BlobId) -> bool:
    """Does anything of the account hold the blob."""
    return bool(rows.scan(*keys.blob_link_range(account, blob), limit=1))


def holders(
    rows: Rows, account: AccountId, blob: BlobId, *, limit: int | None = None
) -> list[tuple[int, int]]:
    """(type, id) of the account's records that hold the blob, in order."""
    held = rows.scan(*keys.blob_link_range(account, blob), limit=limit)
    return [keys.unpack_blob_link_key(key)[1:] for key, _ in held]
