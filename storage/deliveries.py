"""Deliveries remembered for a while: an MTA that lost our 250 and sends again makes no second copy.

    g  delivered    key 16       -> sequence u64
    G  in order     sequence u64 -> delivered_ms u64 | key 16
    j  remembered                -> first sequence u64 | next sequence u64

A key names one message on one way: who sent it and every octet (protocols/delivery.py). It is
remembered in the account it was delivered to, by the command that delivered it, so any node knows
it that knows the email. Each delivery lets go of the oldest: those that are past KEPT_MS by the
plan's own time, and those over DELIVERIES_MAX. An account that gets no more mail keeps its last.
"""

import struct
from typing import Final

from storage.engine import Rows
from storage.ids import AccountId
from storage.keys import account_prefix
from storage.plan import Plan
from storage.values import pack_u64, unpack_u64

KEY_BYTES: Final = 16
# RFC 5321 4.5.4.1: senders give up after 4 to 5 days; until then they may send again.
KEPT_MS: Final = 5 * 24 * 3600 * 1000
# Deliveries remembered per account: 600 KB of rows. Mail comes again within minutes or hours.
DELIVERIES_MAX: Final = 4096
# Old ones let go by one delivery: two, so that a backlog shrinks while mail comes in.
LET_GO_MAX: Final = 2

_ENDS: Final = struct.Struct(">QQ")
_DELIVERED: Final = struct.Struct(f">Q{KEY_BYTES}s")


def _key_row(account: AccountId, key: bytes) -> bytes:
    assert len(key) == KEY_BYTES, key
    return account_prefix(account) + b"g" + key


def _order_row(account: AccountId, sequence: int) -> bytes:
    return account_prefix(account) + b"G" + pack_u64(sequence)


def _ends_row(account: AccountId) -> bytes:
    return account_prefix(account) + b"j"


def _ends(rows: Rows, account: AccountId) -> tuple[int, int]:
    held = rows.get(_ends_row(account))
    if held is None:
        return 0, 0
    first, after_last = _ENDS.unpack(held)
    return first, after_last


def remembered(rows: Rows, account: AccountId) -> int:
    """How many deliveries the account remembers."""
    first, after_last = _ends(rows, account)
    return after_last - first


def was_delivered(rows: Rows, account: AccountId, key: bytes, now_ms: int) -> bool:
    """Was the message delivered to the account, KEPT_MS ago at most."""
    sequence = rows.get(_key_row(account, key))
    if sequence is None:
        return False
    held = rows.get(_order_row(account, unpack_u64(sequence)))
    assert held is not None, (account, key)
    delivered_ms, _ = _DELIVERED.unpack(held)
    return bool(delivered_ms > now_ms - KEPT_MS)


def plan_remember(plan: Plan, account: AccountId, key: bytes) -> None:
    """The command delivers the message; it moves the account's version, which orders all this."""
    first, after_last = _ends(plan, account)
    plan.put(_key_row(account, key), pack_u64(after_last))
    plan.put(_order_row(account, after_last), _DELIVERED.pack(plan.now_ms, key))
    after_last += 1
    for _ in range(LET_GO_MAX):
        held = plan.get(_order_row(account, first))
        assert held is not None, (account, first)
        delivered_ms, old = _DELIVERED.unpack(held)
        if after_last - first <= DELIVERIES_MAX and delivered_ms > plan.now_ms - KEPT_MS:
            break
        plan.delete(_order_row(account, first))
        # One that came again when its time was over is held by its newer place.
        if plan.get(_key_row(account, old)) == pack_u64(first):
            plan.delete(_key_row(account, old))
        first += 1
    plan.put(_ends_row(account), _ENDS.pack(first, after_last))
