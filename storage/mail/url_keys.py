"""The keys that a user's URLAUTH-authorized URLs are signed with (RFC 4467 2.2), one a mailbox.

    K  table                              -> version of the last RESETKEY u64 | of all keys u64
    K  key       owner u64 | mailbox u64  -> version of its RESETKEY u64, 0: made unasked | key

All are rows of the user who makes the URLs, also of mailboxes that others share with him: two who
share one have different keys for it. They go with the mailbox, by its owner's command. Of whoever
had been a reader and is none any more, or is one as anyone, it stays until his table is full: a
mailbox's id is never given twice, so the key of one that is gone signs nothing.
"""

import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

from storage.engine import Rows, prefix_end
from storage.ids import AccountId, MailboxId, Version
from storage.keys import TypeCode, account_prefix
from storage.mail.errors import TooManyUrlKeys
from storage.mail.mailbox_rows import read_mailbox
from storage.plan import Plan

# RFC 4467 10 asks for 128 bits of entropy at least.
KEY_OCTETS: Final = 32
# Mailboxes that one user has keys for; RESETKEY without a mailbox deletes them in one batch.
KEYS_MAX: Final = 5_000

_PAIR: Final = struct.Struct(">QQ")
_ROW: Final = struct.Struct(f">Q{KEY_OCTETS}s")


class _Table(NamedTuple):
    reset: int = 0
    all_reset: int = 0


def _table_key(user: AccountId) -> bytes:
    return account_prefix(user) + b"K"


def _key_key(user: AccountId, owner: AccountId, mailbox: MailboxId) -> bytes:
    return _table_key(user) + _PAIR.pack(owner, mailbox)


def _table(rows: Rows, user: AccountId) -> _Table:
    held = rows.get(_table_key(user))
    return _Table() if held is None else _Table(*_PAIR.unpack(held))


def url_key(rows: Rows, user: AccountId, owner: AccountId, mailbox: MailboxId) -> bytes | None:
    """The user's key for a mailbox of the owner's, his own or not; None: he has none."""
    held = rows.get(_key_key(user, owner, mailbox))
    return None if held is None else _ROW.unpack(held)[1]


def last_reset(rows: Rows, user: AccountId) -> Version:
    """The user's version when he last asked for another key, of whatever mailbox."""
    return Version(_table(rows, user).reset)


def reset_at(rows: Rows, user: AccountId, owner: AccountId, mailbox: MailboxId) -> Version:
    """The user's version when he last asked for another key of this mailbox, or for none."""
    held = rows.get(_key_key(user, owner, mailbox))
    own = 0 if held is None else _ROW.unpack(held)[0]
    return Version(max(own, _table(rows, user).all_reset))


def plan_url_key(plan: Plan, user: AccountId, owner: AccountId, mailbox: MailboxId) -> bytes:
    """The user's key for a mailbox, made now if there is none. Raises TooManyUrlKeys."""
    held = url_key(plan, user, owner, mailbox)
    if held is not None:
        return held
    plan.touch(user, TypeCode.URL_KEY.bit)
    return _plan_new(plan, user, owner, mailbox, asked=0)


def plan_reset_url_key(plan: Plan, user: AccountId, owner: AccountId, mailbox: MailboxId) -> None:
    """Another key for a mailbox: what was signed with the one before is void."""
    version = plan.touch(user, TypeCode.URL_KEY.bit)
    _plan_new(plan, user, owner, mailbox, asked=version)
    plan.put(_table_key(user), _PAIR.pack(version, _table(plan, user).all_reset))


def plan_reset_all_url_keys(plan: Plan, user: AccountId) -> None:
    """No keys any more: all that the user has signed is void."""
    version = plan.touch(user, TypeCode.URL_KEY.bit)
    for key, _ in _keys(plan, user):
        plan.delete(key)
    plan.put(_table_key(user), _PAIR.pack(version, version))


def plan_drop_url_keys(
    plan: Plan, owner: AccountId, mailbox: MailboxId, readers: Iterable[AccountId]
) -> None:
    """The mailbox goes, and its owner's key and those of its readers with it."""
    for user in (owner, *readers):
        key = _key_key(user, owner, mailbox)
        if plan.get(key) is not None:
            plan.delete(key)


def _plan_new(
    plan: Plan, user: AccountId, owner: AccountId, mailbox: MailboxId, *, asked: int
) -> bytes:
    key = _key_key(user, owner, mailbox)
    if plan.get(key) is None:
        _make_room(plan, user)
    made = plan.chance.randbytes(KEY_OCTETS)
    plan.put(key, _ROW.pack(asked, made))
    return made


def _make_room(plan: Plan, user: AccountId) -> None:
    held = _keys(plan, user)
    if len(held) < KEYS_MAX:
        return
    start = len(_table_key(user))
    gone = [
        key for key, _ in held if read_mailbox(plan, *_of(_PAIR.unpack_from(key, start))) is None
    ]
    if not gone:
        raise TooManyUrlKeys(f"a user may have keys for {KEYS_MAX} mailboxes")
    for key in gone:
        plan.delete(key)


def _of(pair: tuple[int, int]) -> tuple[AccountId, MailboxId]:
    return AccountId(pair[0]), MailboxId(pair[1])


def _keys(rows: Rows, user: AccountId) -> list[tuple[bytes, bytes]]:
    prefix = _table_key(user)
    return list(rows.scan(prefix + b"\0", prefix_end(prefix)))
