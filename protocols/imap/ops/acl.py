"""SETACL, DELETEACL, GETACL, LISTRIGHTS and MYRIGHTS (RFC 4314).

An identifier is an address that logs in, of an account or as an alias of one, or "anyone". The
owner has every right and keeps them; everyone else can be given any. There are no negative rights.

SETACL and LISTRIGHTS say when an identifier is nobody's, and GETACL shows an alias by its account's
own address. Both are told on purpose, to whoever has logged in: who mistypes an address must hear
that he has shared with nobody, and rights kept for a name that is nobody's yet would be found by
whoever is given it one day. RFC 4314 6 keeps mailboxes secret, not users; whose address there is
hear all who send mail (LMTP's 550, JMAP's invalidRecipients).
"""

from collections.abc import Callable

from protocols.imap.acl_commands import (
    Change,
    DeleteAcl,
    GetAcl,
    ListRights,
    MyRights,
    SetAcl,
    render_rights,
)
from protocols.imap.ops.context import Context
from protocols.imap.ops.places import Place, find, need, still
from protocols.imap.responses import Ending, no, ok, render_mailbox
from protocols.render.strings import render_string
from storage.accounts import by_address, get_account
from storage.engine import Rows
from storage.ids import AccountId
from storage.mail import sharing
from storage.mail.errors import MailboxNotFound
from storage.mail.sharing import ALL, ANYONE
from storage.plan import Plan

# RFC 4314 2
_ANYONE = "anyone"
# RFC 4314 4: one of these is enough to ask for one's own rights.
_TELLING = frozenset("lrikxa")

_UNKNOWN = no("Nobody here logs in by that name", b"CANNOT")
_OWNERS = no("The owner has every right", b"CANNOT")


def _named(rows: Rows, identifier: str) -> AccountId | None:
    """Whom an identifier names; one with a dash in front, which is for negative rights, nobody."""
    if identifier.startswith("-"):
        return None
    return ANYONE if identifier == _ANYONE else by_address(rows, identifier)


def _identifier(rows: Rows, reader: AccountId) -> bytes | None:
    """How an account is named in answers; None: it is gone."""
    if reader == ANYONE:
        return _ANYONE.encode("ascii")
    held = get_account(rows, reader)
    return None if held is None else render_string(held.address.encode())


async def set_acl(context: Context, command: SetAcl) -> Ending:
    """RFC 4314 3.1."""

    def changed(before: str) -> str:
        match command.change:
            case Change.ADD:
                return before + command.rights
            case Change.REMOVE:
                return "".join(letter for letter in before if letter not in command.rights)
            case Change.REPLACE:
                return command.rights

    view = await context.barrier()
    place = find(view, context.account, command.mailbox)
    need(place, "a")
    reader = _named(view, command.identifier)
    if reader is None:
        return _UNKNOWN
    if reader == place.account:
        kept = changed(ALL)
        return ok("SETACL completed") if set(kept) == set(ALL) else _OWNERS
    await _change(context, place, command.mailbox, reader, changed)
    return ok("SETACL completed")


async def delete_acl(context: Context, command: DeleteAcl) -> Ending:
    """RFC 4314 3.2."""
    view = await context.barrier()
    place = find(view, context.account, command.mailbox)
    need(place, "a")
    reader = _named(view, command.identifier)
    if reader == place.account:
        return _OWNERS
    if reader is not None:  # nobody's identifier is in no list
        await _change(context, place, command.mailbox, reader, lambda _: "")
    return ok("DELETEACL completed")


async def _change(
    context: Context, place: Place, name: str, reader: AccountId, change: Callable[[str], str]
) -> None:
    me, owner = context.account, place.account

    def plan_change(plan: Plan) -> None:
        mailbox = need(still(plan, me, name, "a", owner), "a")
        before = sharing.readers(plan, owner, mailbox.id).get(reader, "")
        sharing.plan_rights(plan, owner, mailbox.id, reader, change(before))

    await context.ports.writer.write(owner, plan_change)


async def get_acl(context: Context, command: GetAcl) -> Ending:
    """RFC 4314 3.3: the owner first."""
    view = await context.barrier()
    place = find(view, context.account, command.mailbox)
    mailbox = need(place, "a")
    listed = {place.account: ALL, **sharing.readers(view, place.account, mailbox.id)}
    told = [b"* ACL", render_mailbox(command.mailbox, utf8=context.utf8)]
    for reader, rights in listed.items():
        identifier = _identifier(view, reader)
        if identifier is not None:
            told += (identifier, render_rights(rights))
    context.out.add(b" ".join(told) + b"\r\n")
    return ok("GETACL completed")


async def list_rights(context: Context, command: ListRights) -> Ending:
    """RFC 4314 3.4: the identifier is told as it was given; no rights are tied to others."""
    view = await context.barrier()
    place = find(view, context.account, command.mailbox)
    need(place, "a")
    reader = _named(view, command.identifier)
    if reader is None:
        return _UNKNOWN
    name = render_mailbox(command.mailbox, utf8=context.utf8)
    told = [b"* LISTRIGHTS", name, render_string(command.identifier.encode())]
    if reader == place.account:
        told.append(render_rights(ALL))
    else:
        told.append(b'""')
        told += (letter.encode("ascii") for letter in ALL + "cd")
    context.out.add(b" ".join(told) + b"\r\n")
    return ok("LISTRIGHTS completed")


async def my_rights(context: Context, command: MyRights) -> Ending:
    """RFC 4314 3.5."""
    place = find(await context.barrier(), context.account, command.mailbox)
    if place.mailbox is None or not _TELLING & set(place.rights):
        raise MailboxNotFound("No such mailbox")
    context.out.add(my_rights_line(command.mailbox, place.rights, utf8=context.utf8))
    return ok("MYRIGHTS completed")


def my_rights_line(name: str, rights: str, *, utf8: bool) -> bytes:
    """RFC 4314 3.8."""
    return b"* MYRIGHTS %b %b\r\n" % (render_mailbox(name, utf8=utf8), render_rights(rights))
