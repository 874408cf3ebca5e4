"""CREATE, DELETE, RENAME, SUBSCRIBE and UNSUBSCRIBE (RFC 9051 6.3.4-6.3.8).

Each is one command on the account; only a mailbox with more messages than fit one batch is
emptied, or an INBOX renamed, in several.
"""

from collections.abc import Sequence
from typing import Final

from protocols.imap.commands import Create, Delete, Rename, Subscribe
from protocols.imap.ops.context import Context
from protocols.imap.ops.copying import remove_uids
from protocols.imap.ops.listing import SPECIAL_USE, normalized, tell_normalized
from protocols.imap.ops.portions import in_portions
from protocols.imap.patterns import SEPARATOR
from protocols.imap.responses import Ending, no, object_id, ok
from storage.ids import AccountId, MailboxId, render_mailbox
from storage.mail import mailboxes
from storage.mail.annotations import plan_copy_annotations
from storage.mail.errors import (
    MailboxExists,
    MailboxHasChild,
    MailboxNotFound,
    MailboxProtected,
    MailboxTooLarge,
    RoleInvalid,
    RoleTaken,
    TooManyEmails,
)
from storage.mail.ledger import COMMAND_EMAILS_MAX
from storage.mail.mailbox_rows import TOP, child_ids
from storage.mail.moves import plan_move_uids
from storage.mail.records import Mailbox
from storage.mail.uids import uid_rows
from storage.plan import Plan

_ROLES: Final = {attribute.upper(): role for role, attribute in SPECIAL_USE.items()}


async def create(context: Context, command: Create) -> Ending:
    """RFC 9051 6.3.4: with all names above it; a trailing separator is ignored. RFC 6154 3: of
    special uses a mailbox has one at most, and each is one mailbox's.
    """
    account = context.account
    roles = [_ROLES.get(use) for use in command.uses]
    if len(roles) > 1 or None in roles:
        return no("No mailbox here can be used so", b"USEATTR")
    role = roles[0] if roles else None
    names = command.mailbox.removesuffix(SEPARATOR).split(SEPARATOR)

    def plan_create(plan: Plan) -> MailboxId:
        if mailboxes.by_path(plan, account, names) is not None:
            raise MailboxExists("a mailbox has this name")
        return _make(plan, account, names, role)

    try:
        made = await context.ports.writer.write(account, plan_create)
    except (RoleTaken, RoleInvalid):
        return no("Another mailbox has this use", b"USEATTR")
    tell_normalized(context, command.mailbox.removesuffix(SEPARATOR))
    return ok("CREATE completed", b"MAILBOXID " + object_id(render_mailbox(made)))  # RFC 8474 4.1


def _make(plan: Plan, account: AccountId, names: list[str], role: str | None = None) -> MailboxId:
    """The mailbox at this path, made with those above it where they are missing."""
    parent = TOP
    for depth, name in enumerate(names, 1):
        found = mailboxes.by_path(plan, account, names[:depth])
        if found is None:
            its = role if depth == len(names) else None
            found = mailboxes.plan_create(
                plan, account, name, parent=parent, role=its, subscribed=False
            )
        parent = found.id
    return parent


def _find(plan: Plan, account: AccountId, name: str) -> Mailbox:
    found = mailboxes.by_path(plan, account, name.split(SEPARATOR))
    if found is None:
        raise MailboxNotFound("no such mailbox")
    return found


async def delete(context: Context, command: Delete) -> Ending:
    """RFC 9051 6.3.5: never INBOX, never one with children."""
    account = context.account

    def plan_delete(plan: Plan) -> None:
        found = _find(plan, account, command.mailbox)
        mailboxes.plan_destroy_mailbox(plan, account, found.id, remove_emails=True)

    while True:
        try:
            await context.ports.writer.write(account, plan_delete)
            tell_normalized(context, command.mailbox, gone=True)
            return ok("DELETE completed")
        except (MailboxTooLarge, TooManyEmails):
            await _empty_some(context, command.mailbox)


async def _empty_some(context: Context, name: str) -> None:
    """Take a portion of messages out of a mailbox that is about to be deleted."""
    account, rows = context.account, context.local()
    found = mailboxes.by_path(rows, account, name.split(SEPARATOR))
    if found is None:
        raise MailboxNotFound("no such mailbox")
    if found.role == mailboxes.INBOX_ROLE:
        raise MailboxProtected("the inbox stays")
    if child_ids(rows, account, found.id):
        raise MailboxHasChild("the mailbox has children")
    some = uid_rows(rows, account, found.id, limit=COMMAND_EMAILS_MAX)
    await remove_uids(context, found.id, [uid for uid, _ in some])


async def rename(context: Context, command: Rename) -> Ending:
    """RFC 9051 6.3.6: what is below moves along; INBOX gives away its messages and stays."""
    account = context.account
    names = command.target.split(SEPARATOR)
    if command.source == "INBOX":
        return await _rename_inbox(context, names)

    def plan_rename(plan: Plan) -> None:
        found = _find(plan, account, command.source)
        _check_free(plan, account, names)
        if normalized(command.target).startswith(normalized(command.source) + SEPARATOR):
            # Names above the target would be made inside what moves.
            raise MailboxProtected("a mailbox cannot move into itself")
        parent = _make(plan, account, names[:-1])
        mailboxes.plan_update(plan, account, found.id, name=names[-1], parent=parent)

    await context.ports.writer.write(account, plan_rename)
    _tell_renamed(context, command)
    return ok("RENAME completed")


def _tell_renamed(context: Context, command: Rename) -> None:
    """RFC 9051 6.3.6: where either name was given in another form than it is kept in."""
    kept = normalized(command.target)
    if kept != command.target or normalized(command.source) != command.source:
        tell_normalized(context, command.source, kept)


def _check_free(plan: Plan, account: AccountId, names: list[str]) -> None:
    if mailboxes.by_path(plan, account, names) is not None:
        raise MailboxExists("a mailbox has this name")


async def _rename_inbox(context: Context, names: list[str]) -> Ending:
    account = context.account

    def plan_target(plan: Plan) -> MailboxId:
        _check_free(plan, account, names)
        made = _make(plan, account, names)
        inbox = mailboxes.by_role(plan, account, mailboxes.INBOX_ROLE)
        if inbox is not None:  # RFC 5464 4.1: they are on both from now on
            plan_copy_annotations(plan, account, inbox.id, made)
        return made

    target = await context.ports.writer.write(account, plan_target)
    inbox = mailboxes.by_role(context.local(), account, mailboxes.INBOX_ROLE)
    if inbox is None:
        raise MailboxNotFound("no inbox")

    async def carry(portion: Sequence[int]) -> None:
        def plan_some(plan: Plan) -> None:
            plan_move_uids(plan, account, inbox.id, portion, target)

        await context.ports.writer.write(account, plan_some)

    await in_portions(context.door.indexes.get(context.local(), account, inbox.id).uids, carry)
    return ok("RENAME completed")


async def subscribe(context: Context, command: Subscribe) -> Ending:
    """RFC 9051 6.3.7, 6.3.8. A subscription is a property of the mailbox (RFC 8621 2)."""
    account = context.account
    verb = "SUBSCRIBE" if command.wanted else "UNSUBSCRIBE"

    def plan_subscribe(plan: Plan) -> bool:
        found = mailboxes.by_path(plan, account, command.mailbox.split(SEPARATOR))
        if found is None:
            return False
        mailboxes.plan_update(plan, account, found.id, subscribed=command.wanted)
        return True

    if not await context.ports.writer.write(account, plan_subscribe) and command.wanted:
        return no("No such mailbox", b"NONEXISTENT")
    return ok(f"{verb} completed")
