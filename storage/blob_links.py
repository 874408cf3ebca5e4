"""Who holds which blob: a row per (blob, holding record) in the account that holds it.

A blob may be read by an account that has a link to it (RFC 8620 6: blobs of other accounts are
not found), and is collected when no account links it (collecting.py). While somebody looks for
links of a blob, a row says that none was made since he began: whoever makes one takes it away.
"""

from storage import keys
from storage.engine import Rows
from storage.ids import AccountId, BlobId
from storage.keys import TypeCode
from storage.plan import Plan


def plan_link(
    plan: Plan, account: AccountId, blob: BlobId, holder_type: TypeCode, holder: int
) -> None:
    """A record of the account holds `blob` from now on.

    It must be here when this applies: whoever proposes the plan sees to that (`plan.linked`).
    """
    lone = keys.lone_blob_key(blob)
    if plan.expect(lone) is not None:
        plan.delete(lone)
    plan.put(keys.blob_link_key(account, blob, holder_type, holder), b"")
    plan.linked.append(blob)


def link_beside(
    account: AccountId, blob: BlobId, holder_type: TypeCode, holder: int
) -> tuple[bytes, bytes]:
    """The row of a link beside a record that this plan has seen to hold the blob, under an
    expectation of the account's version, which no such record leaves without moving: so the blob
    is here when this applies, and who looks for links in this account finds one all along."""
    return keys.blob_link_key(account, blob, holder_type, holder), b""


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
