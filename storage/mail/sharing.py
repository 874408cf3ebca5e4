"""Who else may do what with a mailbox (RFC 4314), what has been shared with whom, and which of
that he follows.

    a  right     mailbox u64 | reader u64 -> its letters, in the order of ALL     (owner's rows)
    R  received  owner u64 | mailbox u64  -> (empty)                              (reader's rows)
    F  followed  owner u64 | mailbox u64  -> (empty)                              (reader's rows)

The owner has every right and no row. Reader 0 is anyone: everyone who has an account. Rows of the
first two kinds are written by the owner's commands alone, under the owner's version, and the reader
is told (`Plan.tell`), for he may have nothing of that owner's yet to watch; a mailbox's id
is never given twice, so a followed one that is gone is nobody's. The rights of a reader are his own
and anyone's together; there are no negative ones.
"""

import struct
from collections.abc import Mapping
from typing import Final

from storage.engine import Rows, prefix_end
from storage.ids import AccountId, MailboxId
from storage.keys import TypeCode, account_prefix
from storage.mail.errors import (
    MailboxNotFound,
    NoPermission,
    TooManyFollowed,
    TooManyReaders,
)
from storage.mail.mailbox_rows import check_mailbox
from storage.plan import Plan

# RFC 4314 2.1, in its order.
ALL: Final = "lrswipkxtea"
ANYONE: Final = AccountId(0)

# Readers of one mailbox. Each is a row in the batch that makes a mailbox below it.
READERS_MAX: Final = 100
# Mailboxes of others that one account follows: LSUB reads them all.
FOLLOWED_MAX: Final = 10_000

_PAIR: Final = struct.Struct(">QQ")
_NUMBER: Final = struct.Struct(">Q")


def _right_key(owner: AccountId, mailbox: MailboxId, reader: AccountId) -> bytes:
    return account_prefix(owner) + b"a" + _PAIR.pack(mailbox, reader)


def _received_key(reader: AccountId, owner: AccountId, mailbox: MailboxId) -> bytes:
    return account_prefix(reader) + b"R" + _PAIR.pack(owner, mailbox)


def _followed_key(reader: AccountId, owner: AccountId, mailbox: MailboxId) -> bytes:
    return account_prefix(reader) + b"F" + _PAIR.pack(owner, mailbox)


def canonical_rights(letters: str) -> str:
    """Each once, in order."""
    return "".join(letter for letter in ALL if letter in letters)


def readers(rows: Rows, owner: AccountId, mailbox: MailboxId) -> dict[AccountId, str]:
    """Who else has which rights, by account; anyone is first."""
    start = account_prefix(owner) + b"a" + _NUMBER.pack(mailbox)
    found: dict[AccountId, str] = {}
    for key, value in rows.scan(start, prefix_end(start)):
        found[AccountId(_NUMBER.unpack_from(key, len(start))[0])] = value.decode("ascii")
    return found


def rights(rows: Rows, owner: AccountId, mailbox: MailboxId, reader: AccountId) -> str:
    """What an account may do with a mailbox, be it its own or not."""
    if reader == owner:
        return ALL
    letters = b""
    for one in (ANYONE, reader):
        letters += rows.get(_right_key(owner, mailbox, one)) or b""
    return canonical_rights(letters.decode("ascii"))


def check_right(
    rows: Rows, owner: AccountId, mailbox: MailboxId, reader: AccountId, right: str
) -> str:
    """The reader's rights, with this one among them.

    Raises NoPermission; MailboxNotFound when he may not even know of the mailbox (RFC 4314 6).
    """
    held = rights(rows, owner, mailbox, reader)
    if right in held:
        return held
    if "l" in held:
        raise NoPermission("Permission denied")
    raise MailboxNotFound("No such mailbox")


def received(rows: Rows, reader: AccountId) -> list[tuple[AccountId, MailboxId]]:
    """Mailboxes of others in which the account has some right, by owner and id."""
    found = set(_pairs(rows, account_prefix(ANYONE) + b"R"))
    found.update(_pairs(rows, account_prefix(reader) + b"R"))
    return sorted(pair for pair in found if pair[0] != reader)


def followed(rows: Rows, reader: AccountId) -> set[tuple[AccountId, MailboxId]]:
    """Mailboxes of others that the account has subscribed to, also such as are gone."""
    return set(_pairs(rows, account_prefix(reader) + b"F"))


def received_from(rows: Rows, reader: AccountId, owner: AccountId) -> set[MailboxId]:
    """Mailboxes of one other account in which this one has some right."""
    return _of_owner(rows, ANYONE, b"R", owner) | _of_owner(rows, reader, b"R", owner)


def followed_from(rows: Rows, reader: AccountId, owner: AccountId) -> set[MailboxId]:
    """Mailboxes of one other account that this one has subscribed to, also such as are gone."""
    return _of_owner(rows, reader, b"F", owner)


def _of_owner(rows: Rows, reader: AccountId, kind: bytes, owner: AccountId) -> set[MailboxId]:
    prefix = account_prefix(reader) + kind
    start = prefix + _NUMBER.pack(owner)
    found = rows.scan(start, prefix_end(start))
    return {MailboxId(_PAIR.unpack_from(key, len(prefix))[1]) for key, _ in found}


def sharing_owners(rows: Rows, reader: AccountId, most: int) -> set[AccountId]:
    """Accounts that share something with this one; some of them when they are more than `most`."""
    found = _owners(rows, account_prefix(ANYONE) + b"R", most + 1)
    found |= _owners(rows, account_prefix(reader) + b"R", most + 1)
    return found - {reader}


def followed_owners(rows: Rows, reader: AccountId, most: int) -> set[AccountId]:
    """Accounts whose mailboxes this one follows; some of them when they are more than `most`."""
    return _owners(rows, account_prefix(reader) + b"F", most)


def _owners(rows: Rows, prefix: bytes, most: int) -> set[AccountId]:
    """From owner to owner, however many mailboxes each has there."""
    found: set[AccountId] = set()
    start, end = prefix, prefix_end(prefix)
    while len(found) <= most and (row := rows.scan(start, end, limit=1)):
        owner, _ = _PAIR.unpack_from(row[0][0], len(prefix))
        found.add(AccountId(owner))
        start = prefix_end(prefix + _NUMBER.pack(owner))
    return found


def _pairs(rows: Rows, prefix: bytes) -> list[tuple[AccountId, MailboxId]]:
    pairs = (
        _PAIR.unpack_from(key, len(prefix)) for key, _ in rows.scan(prefix, prefix_end(prefix))
    )
    return [(AccountId(owner), MailboxId(mailbox)) for owner, mailbox in pairs]


def plan_rights(
    plan: Plan, owner: AccountId, mailbox: MailboxId, reader: AccountId, letters: str
) -> None:
    """Give a reader just these rights; with none he leaves the list.

    Raises MailboxNotFound, TooManyReaders.
    """
    assert reader != owner, "the owner has every right"
    assert set(letters) <= set(ALL), letters
    check_mailbox(plan, owner, mailbox)
    before = readers(plan, owner, mailbox)
    after = canonical_rights(letters)
    if before.get(reader, "") == after:
        return
    if after and reader not in before and len(before) >= READERS_MAX:
        raise TooManyReaders(f"a mailbox may be shared with {READERS_MAX}")
    _put(plan, owner, mailbox, {reader: after})


def plan_inherit(plan: Plan, owner: AccountId, parent: MailboxId, mailbox: MailboxId) -> None:
    """RFC 4314 4: a new mailbox is shared as the one above it is."""
    if shared := readers(plan, owner, parent):
        _put(plan, owner, mailbox, shared)


def plan_unshare(plan: Plan, owner: AccountId, mailbox: MailboxId) -> None:
    """RFC 4314 4: the mailbox goes, and its list with it."""
    if shared := readers(plan, owner, mailbox):
        _put(plan, owner, mailbox, dict.fromkeys(shared, ""))


def _put(
    plan: Plan, owner: AccountId, mailbox: MailboxId, changed: Mapping[AccountId, str]
) -> None:
    plan.touch(owner, TypeCode.RIGHTS.bit)
    for reader, letters in changed.items():
        plan.tell(reader, TypeCode.RIGHTS.bit)
        right, known = _right_key(owner, mailbox, reader), _received_key(reader, owner, mailbox)
        if letters:
            plan.put(right, letters.encode("ascii"))
            plan.put(known, b"")
        else:
            plan.delete(right)
            plan.delete(known)


def plan_follow(
    plan: Plan, reader: AccountId, owner: AccountId, mailbox: MailboxId, *, wanted: bool
) -> None:
    """Subscribe to another's mailbox, or no more; raises TooManyFollowed."""
    held = followed(plan, reader)
    if wanted == ((owner, mailbox) in held):
        return
    plan.touch(reader, TypeCode.RIGHTS.bit)
    key = _followed_key(reader, owner, mailbox)
    if not wanted:
        plan.delete(key)
        return
    if len(held) >= FOLLOWED_MAX:
        raise TooManyFollowed(f"an account may follow {FOLLOWED_MAX} mailboxes of others")
    plan.put(key, b"")
