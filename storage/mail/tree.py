"""The rules of the mailbox tree: names, siblings, depth, loops (RFC 8621 2, RFC 9051 5.1).

One tree serves JMAP and IMAP, so a name may hold nothing that either cannot say: "/" separates
names in IMAP. INBOX, in any case, is the inbox at the top level and nobody else there.
"""

import unicodedata
from typing import Final

from storage.engine import Rows
from storage.ids import AccountId, MailboxId
from storage.mail.errors import (
    MailboxDepth,
    MailboxExists,
    MailboxNameInvalid,
    MailboxNotFound,
)
from storage.mail.mailbox_rows import TOP, child_ids, id_at, name_key, read_mailbox, role_key
from storage.mail.records import Mailbox

MAILBOX_NAME_OCTETS_MAX: Final = 255
# Levels of the tree; every change of a mailbox's place walks them.
MAILBOX_DEPTH_MAX: Final = 10
# LIST and Mailbox/get answer with all of an account's mailboxes.
MAILBOXES_MAX: Final = 10_000

SEPARATOR: Final = "/"
INBOX: Final = "INBOX"
INBOX_ROLE: Final = "inbox"
# RFC 2342 5: where IMAP shows what others share; nobody has a mailbox of this name at the top.
OTHER_USERS: Final = "Other Users"

# Net-Unicode (RFC 5198 2) has no controls and no line or paragraph separators; half a surrogate
# pair is no character.
_BANNED_CATEGORIES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


def is_inbox_name(name: str) -> bool:
    """RFC 9051 5.1: INBOX in any case (of ASCII: other letters only look like it)."""
    return name.isascii() and name.upper() == INBOX


def canonical_name(name: str) -> str:
    """The name in NFC, as it is kept; raises MailboxNameInvalid."""
    if not 1 <= len(name) <= MAILBOX_NAME_OCTETS_MAX:
        raise MailboxNameInvalid(f"a name of {len(name)} characters")
    if SEPARATOR in name:
        raise MailboxNameInvalid(f"{SEPARATOR!r} separates names in IMAP")
    if any(unicodedata.category(sign) in _BANNED_CATEGORIES for sign in name):
        raise MailboxNameInvalid("a control character, line separator or half a surrogate pair")
    kept = unicodedata.normalize("NFC", name)
    if len(kept.encode()) > MAILBOX_NAME_OCTETS_MAX:
        raise MailboxNameInvalid(f"a name of over {MAILBOX_NAME_OCTETS_MAX} octets")
    return kept


def check_place(
    rows: Rows,
    account: AccountId,
    name: str,
    parent: MailboxId,
    *,
    mailbox: MailboxId | None = None,
    inbox: bool = False,
) -> None:
    """Whether a mailbox (None: a new one) may stand under `parent` with this canonical name.

    Raises MailboxNotFound for the parent, MailboxDepth, MailboxExists, MailboxNameInvalid.
    """
    levels = 1 if mailbox is None else _height(rows, account, mailbox)
    above = ancestors(rows, account, parent)
    if mailbox is not None and any(one.id == mailbox for one in above):
        raise MailboxDepth(f"mailbox {mailbox} inside itself")
    if len(above) + levels > MAILBOX_DEPTH_MAX:
        raise MailboxDepth(f"over {MAILBOX_DEPTH_MAX} levels")
    if parent == TOP and is_inbox_name(name) and not inbox:
        raise MailboxExists("INBOX is the inbox", id_at(rows, role_key(account, INBOX_ROLE)))
    if parent == TOP and name == OTHER_USERS:
        raise MailboxNameInvalid(f"{OTHER_USERS} is where others' mailboxes are shown")
    holder = id_at(rows, name_key(account, parent, name))
    if holder is not None and holder != mailbox:
        raise MailboxExists(f"mailbox {holder} has this name", holder)


def ancestors(rows: Rows, account: AccountId, mailbox: MailboxId) -> list[Mailbox]:
    """A mailbox and those above it, from the bottom; none for TOP. Raises MailboxNotFound."""
    found: list[Mailbox] = []
    while mailbox != TOP:
        held = read_mailbox(rows, account, mailbox)
        if held is None:
            raise MailboxNotFound(f"no mailbox {mailbox}")
        found.append(held)
        assert len(found) <= MAILBOX_DEPTH_MAX, (account, mailbox)
        mailbox = held.parent
    return found


def _height(rows: Rows, account: AccountId, mailbox: MailboxId) -> int:
    """How many levels a mailbox and those below it take."""
    levels = 0
    level = [mailbox]
    while level:
        levels += 1
        level = [child for parent in level for child in child_ids(rows, account, parent)]
    return levels
