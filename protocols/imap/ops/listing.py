"""LIST, LSUB, STATUS and NAMESPACE (RFC 9051 6.3.9-6.3.11; RFC 3501 6.3.9; RFC 5258, 5819, 6154).

Every mailbox of an account exists and can be selected, so \\Noselect is said only where LSUB's
rules invent a name, and \\NonExistent only above what others share (ops/places.py) and of names
that are subscribed to though their mailboxes are gone.
"""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec
import trio

from protocols.imap import responses
from protocols.imap.commands import List, Lsub, Namespace, Status, StatusItem
from protocols.imap.ops.acl import my_rights_line
from protocols.imap.ops.context import SLICE_MESSAGES, Context
from protocols.imap.ops.metadata import find_entries, may_annotate, render_metadata
from protocols.imap.ops.places import (
    SPECIAL_USE,
    Place,
    find,
    need,
    prefix_of,
    shadows_others,
)
from protocols.imap.ops.quota import deleted_octets
from protocols.imap.ops.recent import count_recent
from protocols.imap.patterns import SEPARATOR, Patterns
from protocols.imap.responses import Ending, no, object_id, ok, render_list, render_mailbox
from protocols.imap.selected import shown_id, shown_modseq
from storage.engine import Rows
from storage.ids import AccountId, MailboxId, Version
from storage.ids import render_mailbox as render_mailbox_id
from storage.mail import mailboxes, sharing
from storage.mail.counts import read_counts
from storage.mail.left_names import left_names
from storage.mail.mailbox_rows import child_ids
from storage.mail.records import Mailbox, MailboxCounts
from storage.mail.tree import OTHER_USERS

_STATUS: Final[dict[StatusItem, Callable[[Mailbox, MailboxCounts], bytes]]] = {
    StatusItem.MESSAGES: lambda mailbox, counts: b"%d" % counts.emails,
    StatusItem.UIDNEXT: lambda mailbox, counts: b"%d" % counts.uidnext,
    StatusItem.UIDVALIDITY: lambda mailbox, counts: b"%d" % mailbox.uidvalidity,
    StatusItem.UNSEEN: lambda mailbox, counts: b"%d" % counts.unseen,
    StatusItem.DELETED: lambda mailbox, counts: b"%d" % counts.deleted,
    StatusItem.SIZE: lambda mailbox, counts: b"%d" % counts.octets,
    StatusItem.HIGHESTMODSEQ: lambda mailbox, counts: b"%d" % shown_modseq(counts.modseq),
}


_NOTHING: Final = Mailbox(MailboxId(0), "", MailboxId(0), None, 0, True, 0, Version(0))


@dataclass(frozen=True, slots=True)
class Named:
    """A mailbox, its whole name, and whether others are under it.

    `owner` is set for another's mailbox: it has no special use for its reader, and its
    subscription is his. `rights` are the reader's.
    """

    mailbox: Mailbox
    name: str
    has_children: bool
    owner: AccountId | None = None
    rights: str = sharing.ALL
    left: bool = False
    """Nothing is there any more, but the name is subscribed to (RFC 9051 6.3.7)."""


def left_behind(rows: Rows, account: AccountId, there: Sequence[Named]) -> list[Named]:
    """Names that are subscribed to and no mailbox has, by name; `there`: the mailboxes."""
    taken = {named.name for named in there}
    names = [name for name in left_names(rows, account) if name not in taken]
    above = {parent for name in (*names, *taken) for parent in _parents(name)}
    return [Named(_NOTHING, name, name in above, rights="", left=True) for name in names]


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


def others_mailboxes(rows: Rows, me: AccountId) -> list[Named]:
    """What others let the account see, by name."""
    if shadows_others(rows, me):
        return []
    owners: dict[AccountId, set[MailboxId]] = {}
    for owner, mailbox in sharing.received(rows, me):
        if "l" in sharing.rights(rows, owner, mailbox, me):
            owners.setdefault(owner, set()).add(mailbox)
    followed = sharing.followed(rows, me) if owners else set()
    found: list[Named] = []
    for owner, visible in owners.items():
        prefix = prefix_of(rows, owner)
        if prefix is None:
            continue
        held = {mailbox.id: mailbox for mailbox in mailboxes.list_mailboxes(rows, owner)}
        for one in visible:
            name = prefix + SEPARATOR + _whole_name(held, held[one])
            its = msgspec.structs.replace(held[one], role=None, subscribed=(owner, one) in followed)
            rights = sharing.rights(rows, owner, one, me)
            found.append(Named(its, name, has_children=False, owner=owner, rights=rights))
    above = {name for named in found for name in _parents(named.name)}
    found = [replace(named, has_children=named.name in above) for named in found]
    return sorted(found, key=lambda one: one.name)


def attributes_of(named: Named) -> list[bytes]:
    """What LIST always says: children (RFC 3348) and special use (RFC 6154)."""
    attributes = [b"\\HasChildren" if named.has_children else b"\\HasNoChildren"]
    if named.left:
        return [b"\\NonExistent", *attributes]
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
    others = others_mailboxes(view, account)
    own = named_mailboxes(view, account)
    left = left_behind(view, account, own) if command.select_subscribed else []
    found = own + left + others
    inside = _names_above(found, command, patterns) if command.recursive else {}
    for hidden in _hidden_lines(context, command, [*left, *others], inside, own):
        context.out.add(hidden)
    for at, named in enumerate(found):
        if at % SLICE_MESSAGES == SLICE_MESSAGES - 1:
            await trio.lowlevel.checkpoint()
        selected = _selects(command, named)
        below = inside.get(named.name, b"")
        if not (selected or below) or not patterns.match(named.name):
            continue
        context.out.add(_list_line(context, command, named, below))
        if named.left:
            continue
        if command.return_rights and selected:  # RFC 8440 3
            context.out.add(my_rights_line(named.name, named.rights, utf8=context.utf8))
        holder = named.owner or account
        if command.status and selected and "r" in named.rights:
            freed = await deleted_octets(context, holder, named.mailbox.id, command.status)
            recent = await count_recent(context, holder, named.mailbox.id, command.status)
            rows = context.local()
            line = status_line(context, rows, holder, named, command.status, freed, recent)
            context.out.add(line or b"")
        if command.metadata and selected and may_annotate(named.rights):
            number, rows = named.mailbox.id, context.local()
            entries = find_entries(context, rows, holder, number, command.metadata)
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
        view, me = context.local(), context.account
        place = find(view, me, kept)
        if "l" not in place.rights:
            return
        attributes = attributes_of(named_at(view, me, place, kept))
    context.out.add(render_list(attributes, kept, utf8=True, extended=old_name(supplied)))


def normalized(name: str) -> str:
    """RFC 9051 5.1: a name as it is kept (storage/mail/tree.py): Net-Unicode, so NFC."""
    return unicodedata.normalize("NFC", name)


def old_name(supplied: str) -> bytes:
    """RFC 9051 9 oldname-extended-item, parenthesised."""
    return b'("OLDNAME" (%b))' % render_mailbox(supplied, utf8=True)


def named_at(rows: Rows, me: AccountId, place: Place, name: str) -> Named:
    """The mailbox at a place whose name is known. Of another's, what is special to its owner is
    not to others, nor are there children that one may not see."""
    mailbox = place.mailbox
    assert mailbox is not None, name
    if place.own:
        return Named(mailbox, name, bool(child_ids(rows, me, mailbox.id)))
    below = any(one.name.startswith(name + SEPARATOR) for one in others_mailboxes(rows, me))
    its = msgspec.structs.replace(mailbox, role=None)
    return Named(its, name, below, place.account, place.rights)


def _hidden_lines(
    context: Context,
    command: List,
    others: list[Named],
    inside: dict[str, bytes],
    own: list[Named],
) -> Iterator[bytes]:
    """RFC 9051 6.3.9, 7.3.1: a pattern that ends in `%` shows the levels above what others share,
    or what was deleted, though nothing is there that one may see."""
    levels = Patterns(command.reference, tuple(p for p in command.patterns if p.endswith("%")))
    selective = command.select_subscribed or command.select_special
    # RFC 9051 9 mbx-list-sflag: one of them, and a client of RFC 3501 alone knows but the second.
    missing = b"\\NonExistent" if command.extended or context.rev2 else b"\\Noselect"
    seen = {named.name for named in (*others, *own)}
    for name in sorted({above for named in others for above in _parents(named.name)} - seen):
        below = inside.get(name, b"")
        if levels.match(name) and (below or not selective):
            attributes = [missing, b"\\HasChildren"]
            yield render_list(attributes, name, utf8=context.utf8, extended=below)


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
    account = context.account
    own = named_mailboxes(view, account)
    left = left_behind(view, account, own)
    for named in own + left + others_mailboxes(view, account):
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
    place = find(view, context.account, command.mailbox)
    mailbox, holder = need(place, "r"), place.account
    owner = None if place.own else holder
    named = Named(mailbox, command.mailbox, has_children=False, owner=owner)
    freed = await deleted_octets(context, holder, mailbox.id, command.items)
    recent = await count_recent(context, holder, mailbox.id, command.items)
    line = status_line(context, view, holder, named, command.items, freed, recent)
    if line is None:
        return no("No such mailbox", b"NONEXISTENT")
    context.out.add(line)
    return ok("STATUS completed")


def status_line(
    context: Context,
    rows: Rows,
    account: AccountId,
    named: Named,
    items: tuple[StatusItem, ...],
    freed: int = 0,
    recent: int = 0,
) -> bytes | None:
    """RFC 9051 7.3.4 STATUS; None when the mailbox has just gone. `freed` is DELETED-STORAGE,
    `recent` RECENT, which RFC 9051 has no more."""
    counts = read_counts(rows, account, named.mailbox.id)
    if counts is None:
        return None
    told = []
    for item in items:
        if item is StatusItem.DELETED_STORAGE:
            value = b"%d" % freed
        elif item is StatusItem.RECENT:
            value = b"%d" % recent
        elif item is StatusItem.APPENDLIMIT:
            value = b"%d" % context.door.append_bytes_max
        elif item is StatusItem.MAILBOXID:
            value = object_id(shown_id(named.owner, render_mailbox_id(named.mailbox.id)))
        else:
            value = _STATUS[item](named.mailbox, counts)
        told.append(b"%b %b" % (item.value, value))
    whole = render_mailbox(named.name, utf8=context.utf8)
    return b"* STATUS %b (%b)\r\n" % (whole, b" ".join(told))


async def namespace(context: Context, command: Namespace) -> Ending:
    """RFC 9051 6.3.10, RFC 2342: one's own mailboxes, and what others share."""
    others = b"NIL"
    if not shadows_others(context.local(), context.account):
        others = b'(("%b/" "/"))' % OTHER_USERS.encode("ascii")
    context.out.add(b'* NAMESPACE (("" "/")) %b NIL\r\n' % others)
    return responses.ok("NAMESPACE completed")
