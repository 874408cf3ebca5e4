"""Uploads: blobs that an account holds for a while though nothing of it refers to them.

    y  upload   uploaded_ms u64 | blob 32   -> octets u64
    U  uploads                              -> octets of all of them, u64

RFC 8620 6: they are kept UPLOAD_KEPT_MS from the last time they were uploaded, and have a bound
of their own beside the account's quota; over it the oldest go first. An upload that an email came
to hold stays readable through the email.
"""

import struct
from typing import Final

from storage import blob_links
from storage.due import Due, plan_done, plan_due
from storage.engine import Rows, prefix_end
from storage.ids import AccountId, BlobId
from storage.keys import TypeCode, account_prefix
from storage.plan import Plan
from storage.values import pack_u64, unpack_u64

# RFC 8620 6: at least an hour. A day is a draft that is written on and on.
UPLOAD_KEPT_MS: Final = 24 * 3600 * 1000
# Old uploads that one new one may push out; more are not kept in the first place.
_PUSHED_OUT_MAX: Final = 4096

_WHEN: Final = struct.Struct(">Q")


def _row_key(account: AccountId, uploaded_ms: int, blob: BlobId) -> bytes:
    return account_prefix(account) + b"y" + _WHEN.pack(uploaded_ms) + blob


def _total_key(account: AccountId) -> bytes:
    return account_prefix(account) + b"U"


def uploaded_octets(rows: Rows, account: AccountId) -> int:
    """What the account's uploads weigh together."""
    held = rows.get(_total_key(account))
    return 0 if held is None else unpack_u64(held)


def plan_upload(
    plan: Plan, account: AccountId, blob: BlobId, octets: int, *, octets_max: int
) -> None:
    """Keep a blob for the account; the oldest go until all weigh at most `octets_max`.

    An upload that is larger is kept alone.
    """
    plan.expect(_total_key(account))
    for kind, uploaded_ms in blob_links.holders(plan, account, blob):
        if kind == TypeCode.UPLOAD:
            plan_forget(plan, account, uploaded_ms, blob)  # its time begins anew
    _make_room(plan, account, octets_max - octets)
    plan.put(_total_key(account), pack_u64(uploaded_octets(plan, account) + octets))
    plan.put(_row_key(account, plan.now_ms, blob), pack_u64(octets))
    blob_links.plan_link(plan, account, blob, TypeCode.UPLOAD, plan.now_ms)
    plan_due(plan, _due(account, plan.now_ms, blob))


def _make_room(plan: Plan, account: AccountId, octets_left: int) -> None:
    prefix = account_prefix(account) + b"y"
    for key, _ in plan.scan(prefix, prefix_end(prefix), limit=_PUSHED_OUT_MAX):
        if uploaded_octets(plan, account) <= octets_left:
            return
        (uploaded_ms,) = _WHEN.unpack_from(key, len(prefix))
        plan_forget(plan, account, uploaded_ms, BlobId(key[len(prefix) + _WHEN.size :]))


def plan_forget(plan: Plan, account: AccountId, uploaded_ms: int, blob: BlobId) -> None:
    """The upload made then is kept no longer; one that is gone already stays so."""
    plan.expect(_total_key(account))
    plan_done(plan, _due(account, uploaded_ms, blob))
    held = plan.get(_row_key(account, uploaded_ms, blob))
    if held is None:
        return
    plan.put(_total_key(account), pack_u64(uploaded_octets(plan, account) - unpack_u64(held)))
    plan.delete(_row_key(account, uploaded_ms, blob))
    blob_links.plan_unlink(plan, account, blob, TypeCode.UPLOAD, uploaded_ms)


def plan_expire(plan: Plan, due: Due) -> None:
    """An upload's time has come."""
    assert due.kind is TypeCode.UPLOAD, due
    plan_forget(plan, due.account, due.when_ms - UPLOAD_KEPT_MS, BlobId(due.what))


def _due(account: AccountId, uploaded_ms: int, blob: BlobId) -> Due:
    return Due(uploaded_ms + UPLOAD_KEPT_MS, TypeCode.UPLOAD, account, blob)
