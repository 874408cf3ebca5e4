"""The keys that sign pushes (RFC 8292): the cluster's, and for a while the one before it.

RFC 9749 4 has a subscription's pushes signed by the key that clients were told when it was made.
So after a rotation the old key signs for those until it ends; then they are no more (RFC 9749 5),
and by then each of them has expired unless its client made it anew. Keys are private: a number,
big-endian.
"""

import hashlib
import struct
from typing import Final, NamedTuple

from storage.engine import Rows
from storage.plan import Plan
from storage.push_rows import OLD_PUSH_KEY_KEY, PUSH_KEY_KEY

PUSH_KEY_OCTETS: Final = 32
# FIPS 186-4 D.1.2.3: a private key is a number from 1 up to this.
P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
# As long as the longest subscription: none has to end before its time.
OLD_KEY_MS: Final = 7 * 24 * 3600 * 1000
MARK_OCTETS: Final = 8

_OLD: Final = struct.Struct(f">{PUSH_KEY_OCTETS}sQ")


class OldKey(NamedTuple):
    """The key before the present one, and until when it signs."""

    key: bytes
    until_ms: int


class StillTurning(Exception):
    """The old key of the last rotation still signs, until `args[0]` (ms since 1970)."""


def key_mark(key: bytes) -> bytes:
    """What a subscription keeps of the key it was made under."""
    return hashlib.sha256(key).digest()[:MARK_OCTETS]


def push_key(rows: Rows) -> bytes | None:
    """The key that clients are told. None until it is made."""
    return rows.get(PUSH_KEY_KEY)


def old_push_key(rows: Rows) -> OldKey | None:
    """The key before, whether it still signs or not. None when there has been no rotation."""
    held = rows.get(OLD_PUSH_KEY_KEY)
    return None if held is None else OldKey(*_OLD.unpack(held))


def signing_key(rows: Rows, mark: bytes, now_ms: int) -> bytes | None:
    """The key that signs for a subscription that was made under the key of this mark.

    None when that has ended. Subscriptions from before marks were kept have an empty one: they
    were made under the first key.
    """
    key, old = push_key(rows), old_push_key(rows)
    if key is not None and (mark == key_mark(key) or (not mark and old is None)):
        return key
    if old is not None and mark in (b"", key_mark(old.key)) and now_ms < old.until_ms:
        return old.key
    return None


def is_signed_for(rows: Rows, mark: bytes, now_ms: int) -> bool:
    """Whether such a subscription still is: the first key may have to be made yet."""
    return push_key(rows) is None or signing_key(rows, mark, now_ms) is not None


def signed_until_ms(rows: Rows, mark: bytes) -> int | None:
    """When such a subscription ends with its key; None while its key is the present one."""
    key, old = push_key(rows), old_push_key(rows)
    if old is None or (key is not None and mark == key_mark(key)):
        return None
    return old.until_ms


def plan_push_key(plan: Plan) -> bytes:
    """The key, made now if there is none."""
    held = plan.expect(PUSH_KEY_KEY)
    return _plan_new(plan) if held is None else held


def _plan_new(plan: Plan) -> bytes:
    made: bytes = plan.chance.randrange(1, P256_ORDER).to_bytes(PUSH_KEY_OCTETS, "big")
    plan.put(PUSH_KEY_KEY, made)
    return made


def plan_rotate(plan: Plan, *, at_once: bool) -> OldKey:
    """Another key from now on; the one before, which signs no more if `at_once`.

    Raises StillTurning while an older one signs, unless `at_once`: that ends it, too.
    """
    key = plan_push_key(plan)
    plan.expect(OLD_PUSH_KEY_KEY)
    before = old_push_key(plan)
    if before is not None and plan.now_ms < before.until_ms and not at_once:
        raise StillTurning(before.until_ms)
    old = OldKey(key, plan.now_ms if at_once else plan.now_ms + OLD_KEY_MS)
    plan.put(OLD_PUSH_KEY_KEY, _OLD.pack(*old))
    _plan_new(plan)
    return old
