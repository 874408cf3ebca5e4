"""LIST, LSUB, STATUS and NAMESPACE (RFC 9051 6.3.9-6.3.11; RFC 3501 6.3.9; RFC 5258, 5819, 6154).

Every mailbox of an account exists and can be selected, so \\Noselect is said only where LSUB's
rules invent a name, and \\NonExistent never.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio

from protocols.imap import responses
from protocols.imap.commands import List, Lsub, Namespace, Status, StatusItem
from protocols.imap.limits import APPEND_BYTES_MAX
from protocols.imap.ops.context import SLICE_MESSAGES, Context
from protocols.imap.ops.metadata import find_entries, render_metadata
from protocols.imap.ops.quota import deleted_octets
from protocols.imap.patterns import SEPARATOR, Patterns
from protocols.imap.responses import Ending, no, object_id, ok, render_list, render_mailbox
from protocols.imap.selected import shown_modseq
from storage.engine import Rows
from storage.ids import AccountId, MailboxId
from storage.ids import render_mailbox as render_mailbox_id
from storage.mail import mailboxes
from storage.mail.counts import read_counts
from storage.mail.mailbox_rows import child_ids
from storage.mail.records import Mailbox, MailboxCounts

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

_STATUS: Final[dict[StatusItem, Callable[[Mailbox, MailboxCounts], bytes]]] = {
    StatusItem.MESSAGES: lambda mailbox, counts: b"%d" % counts.emails,
    StatusItem.UIDNEXT: lambda mailbox, counts: b"%d" % counts.uidnext,
    StatusItem.UIDVALIDITY: lambda mailbox, counts: b"%d" % mailbox.uidvalidity,
    StatusItem.UNSEEN: lambda mailbox, counts: b"%d" % counts.unseen,
    StatusItem.DELETED: lambda mailbox, counts: b"%d" % counts.deleted,
    StatusItem.SIZE: lambda mailbox, counts: b"%d" % counts.octets,
    # RFC 9051 A: \Recent is no more; 0 is what a server without it says.
    StatusItem.RECENT: lambda mailbox, counts: b"0",
    StatusItem.HIGHESTMODSEQ: lambda mailbox, counts: b"%d" % shown_modseq(counts.modseq),
    StatusItem.MAILBOXID: lambda mailbox, counts: object_id(render_mailbox_id(mailbox.id)),
    StatusItem.APPENDLIMIT: lambda mailbox, counts: b"%d" % APPEND_BYTES_MAX,
}


@dataclass(frozen=True, slots=True)
class Named:
    """A mailbox, its whole name, and whether others are under it."""

    mailbox: Mailbox
    name: str
    has_children: bool


def named_mailboxes(rows: Rows, account: AccountId) -> list[Named]:
    """All mailboxes of an account by name, INBOX first."""
    held = {mailbox.id: mailbox for mailbox in mailboxes.list_mailboxes(rows, account)}
    parents = {mailbox.parent for mailbox in held.values()}
    named = [
        Named(mailbox, _whole_name(held, mailbox), mailbox.id in parents)
        for mailbox in held.values()
    ]
    return sorted(named, key=lambda one: (one.name != "INBOX", one.name))


def _whole_name(held: dict[MailboxId, Mailbox], mailbox: Mailbox) -> str:
    names: list[str] = []
    at: Mailbox | None = mailbox
    while at is not None:  # the tree is no deeper than storage.mail allows
        names.append("INBOX" if at.role == mailboxes.INBOX_ROLE else at.name)
        at = held.get(at.parent)
    return SEPARATOR.join(reversed(names))


def attributes_of(named: Named) -> list[bytes]:
    """What LIST always says: children (RFC 3348) and special use (RFC 6154)."""
    attributes = [b"\\HasChildren" if named.has_children else b"\\HasNoChildren"]
    special = SPECIAL_USE.get(named.mailbox.role or "")
    if special is not None:
        attributes.append(special)
    return attributes


async def list_mailboxes(context: Context, command: List) -> Ending:
    """RFC 9051 6.3.9."""
    if not command.extended and command.patterns == ("",):
        # RFC 9051 6.3.9: what the separator is
        context.out.add(render_list([b"\\Noselect"], "", utf8=context.utf8))
        return ok("LIST completed")
    if StatusItem.HIGHESTMODSEQ in command.status:
        context.know_modseqs()
    view = await context.barrier()
    account = context.account
    patterns = Patterns(command.reference, command.patterns)
    found = named_mailboxes(view, account)
    inside = _names_above(found, command, patterns) if command.recursive else {}
    for at, named in enumerate(found):
        if at % SLICE_MESSAGES == SLICE_MESSAGES - 1:
            await trio.lowlevel.checkpoint()
        selected = _selects(command, named)
        below = inside.get(named.name, b"")
        if not (selected or below) or not patterns.match(named.name):
            continue
        context.out.add(_list_line(context, command, named, below))
        if command.status and selected:
            freed = await deleted_octets(context, named.mailbox.id, command.status)
            rows = context.local()
            line = status_line(rows, account, named, command.status, context.utf8, freed)
            context.out.add(line or b"")
        if command.metadata and selected:
            entries = find_entries(context, context.local(), named.mailbox.id, command.metadata)
            context.out.add(render_metadata(named.name, entries, utf8=context.utf8))
        if context.out.full:
            await context.out.flush()
    return ok("LIST completed")


def tell_normalized(
    context: Context, supplied: str, kept: str | None = None, *, gone: bool = False
) -> None:
    """RFC 9051 6.3.9.7: a mailbox is kept under a name other than the one the client gave."""
    kept = normalized(supplied) if kept is None else kept
    if not context.rev2 or kept == supplied:
        return
    attributes = [b"\\NonExistent"]
    if not gone:
        view = context.local()
        mailbox = mailboxes.by_path(view, context.account, kept.split(SEPARATOR))
        if mailbox is None:
            return
        attributes = attributes_of(named_as(view, context.account, mailbox, kept))
    context.out.add(render_list(attributes, kept, utf8=True, extended=old_name(supplied)))


def normalized(name: str) -> str:
    """RFC 9051 5.1: a name as it is kept (storage/mail/tree.py): Net-Unicode, so NFC."""
    return unicodedata.normalize("NFC", name)


def old_name(supplied: str) -> bytes:
    """RFC 9051 9 oldname-extended-item, parenthesised."""
    return b'("OLDNAME" (%b))' % render_mailbox(supplied, utf8=True)


def named_as(rows: Rows, account: AccountId, mailbox: Mailbox, name: str) -> Named:
    """A mailbox whose name is known."""
    return Named(mailbox, name, bool(child_ids(rows, account, mailbox.id)))


def _selects(command: List, named: Named) -> bool:
    if command.select_subscribed and not named.mailbox.subscribed:
        return False
    return not command.select_special or (named.mailbox.role or "") in SPECIAL_USE


def _names_above(found: list[Named], command: List, patterns: Patterns) -> dict[str, bytes]:
    """RFC 9051 6.3.9.6, RFC 5258 3.5: names with a selected mailbox below that is not told itself,
    and the CHILDINFO that says so."""
    options = []
    if command.select_subscribed:
        options.append(b'"SUBSCRIBED"')
    if command.select_special:
        options.append(b'"SPECIAL-USE"')
    info = b'("CHILDINFO" (%b))' % b" ".join(options)
    above: dict[str, bytes] = {}
    for named in found:
        if _selects(command, named) and not patterns.match(named.name):
            for name in _parents(named.name):
                above[name] = info
    return above


def _parents(name: str) -> list[str]:
    """`a/b/c` -> `a`, `a/b`."""
    names = name.split(SEPARATOR)
    return [SEPARATOR.join(names[:depth]) for depth in range(1, len(names))]


def _list_line(context: Context, command: List, named: Named, below: bytes) -> bytes:
    attributes = attributes_of(named)
    if command.return_subscribed and named.mailbox.subscribed:
        attributes.append(b"\\Subscribed")
    return render_list(attributes, named.name, utf8=context.utf8, extended=below)


async def lsub(context: Context, command: Lsub) -> Ending:
    """RFC 3501 6.3.9: subscribed names; with `%`, also names above them as \\Noselect."""
    view = await context.barrier()
    if not command.pattern:
        context.out.add(render_list([b"\\Noselect"], "", utf8=context.utf8, verb=b"LSUB"))
        return ok("LSUB completed")
    patterns = Patterns(command.reference, (command.pattern,))
    shown: dict[str, list[bytes]] = {}
    for named in named_mailboxes(view, context.account):
        if not named.mailbox.subscribed:
            continue
        if patterns.match(named.name):
            shown[named.name] = []
            continue
        for name in _parents(named.name):
            if name not in shown and patterns.match(name):
                shown[name] = [b"\\Noselect"]
    for name, attributes in shown.items():
        context.out.add(render_list(attributes, name, utf8=context.utf8, verb=b"LSUB"))
    return ok("LSUB completed")


async def status(context: Context, command: Status) -> Ending:
    """RFC 9051 6.3.11."""
    if StatusItem.HIGHESTMODSEQ in command.items:
        context.know_modseqs()
    view = await context.barrier()
    mailbox = mailboxes.by_path(view, context.account, command.mailbox.split(SEPARATOR))
    if mailbox is None:
        return no("No such mailbox", b"NONEXISTENT")
    named = Named(mailbox, command.mailbox, has_children=False)
    freed = await deleted_octets(context, mailbox.id, command.items)
    line = status_line(view, context.account, named, command.items, context.utf8, freed)
    if line is None:
        return no("No such mailbox", b"NONEXISTENT")
    context.out.add(line)
    return ok("STATUS completed")


def status_line(
    rows: Rows,
    account: AccountId,
    named: Named,
    items: tuple[StatusItem, ...],
    utf8: bool,
    freed: int = 0,
) -> bytes | None:
    """RFC 9051 7.3.4 STATUS; None when the mailbox has just gone. `freed` is DELETED-STORAGE."""
    counts = read_counts(rows, account, named.mailbox.id)
    if counts is None:
        return None
    told = [
        b"%b %b" % (item.value, _STATUS[item](named.mailbox, counts))
        if item in _STATUS
        else b"%b %d" % (item.value, freed)
        for item in items
    ]
    return b"* STATUS %b (%b)\r\n" % (render_mailbox(named.name, utf8=utf8), b" ".join(told))


async def namespace(context: Context, command: Namespace) -> Ending:
    """RFC 9051 6.3.10: one personal namespace, no others."""
    context.out.add(b'* NAMESPACE (("" "%b")) NIL NIL\r\n' % SEPARATOR.encode("ascii"))
    return responses.ok("NAMESPACE completed")
