"""What a mailbox name leads to: one's own mailbox, or another's that is shared (RFC 2342, 4314).

Other people's mailboxes are `Other Users/<address>/<their name>`. Whoever lacks the right that a
command needs is told so only where he may know of the mailbox; else it is as if there were none.
"""

from dataclasses import dataclass
from typing import Final

from protocols.imap.patterns import SEPARATOR
from protocols.imap.responses import Ending, no
from storage.accounts import by_address, get_account
from storage.engine import Rows
from storage.ids import AccountId, parse_account, render_account
from storage.mail import mailboxes, sharing
from storage.mail.errors import MailboxNotFound, NoPermission
from storage.mail.mailbox_rows import TOP, id_at, name_key
from storage.mail.records import Mailbox
from storage.mail.tree import MAILBOX_DEPTH_MAX, OTHER_USERS

NOBODY: Final = AccountId(0)

# RFC 6154 2, RFC 8457: roles that are mailbox attributes too. The inbox needs none.
SPECIAL_USE: Final = {
    "all": b"\\All",
    "archive": b"\\Archive",
    "drafts": b"\\Drafts",
    "flagged": b"\\Flagged",
    "important": b"\\Important",
    "junk": b"\\Junk",
    "sent": b"\\Sent",
    "trash": b"\\Trash",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name leads. `account` NOBODY: nowhere, and nothing can be there."""

    account: AccountId
    names: tuple[str, ...]
    mailbox: Mailbox | None
    rights: str
    own: bool


def find(rows: Rows, me: AccountId, name: str) -> Place:
    """Where the name leads; what one may not know of is found too: see `need`, `is_visible`."""
    names = tuple(name.split(SEPARATOR))
    if is_own(rows, me, name):
        found = mailboxes.by_path(rows, me, names)
        return Place(me, names, found, sharing.ALL if found else "", own=True)
    owner = owner_named(rows, names[1]) if len(names) > 1 else None
    if owner is None or owner == me:
        return Place(NOBODY, (), None, "", own=False)
    found = mailboxes.by_path(rows, owner, names[2:])
    held = "" if found is None else sharing.rights(rows, owner, found.id, me)
    return Place(owner, names[2:], found, held, own=False)


def is_own(rows: Rows, me: AccountId, name: str) -> bool:
    """Whether a name is of a mailbox of one's own, be there one or not."""
    return name.partition(SEPARATOR)[0] != OTHER_USERS or shadows_others(rows, me)


def shadows_others(rows: Rows, me: AccountId) -> bool:
    """The account has a mailbox of that very name, from before there were others to see."""
    return id_at(rows, name_key(me, TOP, OTHER_USERS)) is not None


def need(place: Place, right: str) -> Mailbox:
    """The mailbox at the place, where one has the right.

    Raises NoPermission, or MailboxNotFound where there is none that one may know of.
    """
    if place.mailbox is None:
        raise MailboxNotFound("No such mailbox")
    if right in place.rights:
        return place.mailbox
    if "l" in place.rights:
        raise NoPermission("Permission denied")
    raise MailboxNotFound("No such mailbox")


def needed(rows: Rows, me: AccountId, name: str, right: str) -> Place:
    """`find` and `need` at once."""
    place = find(rows, me, name)
    need(place, right)
    return place


def still(rows: Rows, me: AccountId, name: str, right: str, account: AccountId) -> Place:
    """`needed` once more, in the plan that writes to `account`: a name that leads to somebody else
    by now is nobody's, for mailboxes of two accounts have the same numbers."""
    place = needed(rows, me, name, right)
    if place.account != account:
        raise MailboxNotFound("No such mailbox")
    return place


def check_creation(rows: Rows, me: AccountId, place: Place) -> None:
    """RFC 4314 4 CREATE: raise NoPermission without "k" on the nearest mailbox above the place."""
    if not place.own and not may_create(rows, me, place):
        raise NoPermission("Permission denied")


def missing(rows: Rows, me: AccountId, name: str) -> Ending:
    """RFC 9051 6.3.12, 6.4.7: there is no mailbox to bring a message to; the client may CREATE one
    and try again, unless it may not."""
    code = b"TRYCREATE" if may_create(rows, me, find(rows, me, name)) else b"NONEXISTENT"
    return no("No such mailbox", code)


def may_create(rows: Rows, me: AccountId, place: Place) -> bool:
    """Whether mailboxes may be made there."""
    if place.own:
        return True
    if place.account == NOBODY:
        return False
    deepest = min(len(place.names) - 1, MAILBOX_DEPTH_MAX)  # a name may have thousands of levels
    for depth in range(deepest, 0, -1):
        above = mailboxes.by_path(rows, place.account, place.names[:depth])
        if above is not None:
            return "k" in sharing.rights(rows, place.account, above.id, me)
    return False


def prefix_of(rows: Rows, owner: AccountId) -> str | None:
    """What comes before the names of another's mailboxes; None: there is no such account."""
    held = get_account(rows, owner)
    if held is None:
        return None
    # An address with the separator in it is no name of one level; the id has none.
    named = render_account(owner) if SEPARATOR in held.address else held.address
    return SEPARATOR.join((OTHER_USERS, named))


def owner_named(rows: Rows, named: str) -> AccountId | None:
    """The account that `prefix_of` names so; aliases and other spellings name nobody."""
    owner = by_address(rows, named) if "@" in named else parse_account(named)
    if owner is None or prefix_of(rows, owner) != SEPARATOR.join((OTHER_USERS, named)):
        return None
    return owner
