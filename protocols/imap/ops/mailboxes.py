"""CREATE, DELETE, RENAME, SUBSCRIBE and UNSUBSCRIBE (RFC 9051 6.3.4-6.3.8).

Each is one command on the account; only a mailbox with more messages than fit one batch is
emptied, or an INBOX renamed, in several.
"""

from collections.abc import Sequence
from typing import Final

from protocols.imap.commands import Create, Delete, Rename, Subscribe
from protocols.imap.ops.context import Context
from protocols.imap.ops.listing import normalized, tell_normalized
from protocols.imap.ops.places import (
    SPECIAL_USE,
    Place,
    check_creation,
    find,
    need,
    needed,
    still,
)
from protocols.imap.ops.portions import in_portions
from protocols.imap.patterns import SEPARATOR
from protocols.imap.responses import Ending, no, object_id, ok
from protocols.imap.selected import shown_id
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
from storage.mail.left_names import plan_leave_name, plan_take_name
from storage.mail.mailbox_rows import TOP, child_ids
from storage.mail.moves import plan_expunge, plan_move_uids
from storage.mail.sharing import plan_follow
from storage.mail.uids import uid_rows
from storage.plan import Plan

_ROLES: Final = {attribute.upper(): role for role, attribute in SPECIAL_USE.items()}


async def create(context: Context, command: Create) -> Ending:
    """RFC 9051 6.3.4: with all names above it; a trailing separator is ignored. RFC 6154 3: of
    special uses a mailbox has one at most, and each is one mailbox's.
    """
    roles = [_ROLES.get(use) for use in command.uses]
    if len(roles) > 1 or None in roles:
        return no("No mailbox here can be used so", b"USEATTR")
    role = roles[0] if roles else None
    name, me = command.mailbox.removesuffix(SEPARATOR), context.account
    place = find(await context.barrier(), me, name)
    check_creation(context.local(), me, place)
    if role is not None and not place.own:
        return no("What a mailbox is used for is its owner's to say", b"USEATTR")

    def plan_create(plan: Plan) -> MailboxId:
        there = _free(plan, me, name, place.account)
        return _make(plan, place.account, there.names, role)

    try:
        made = await context.ports.writer.write(place.account, plan_create)
    except (RoleTaken, RoleInvalid):
        return no("Another mailbox has this use", b"USEATTR")
    tell_normalized(context, name)
    named = shown_id(None if place.own else place.account, render_mailbox(made))
    return ok("CREATE completed", b"MAILBOXID " + object_id(named))  # RFC 8474 4.1


def _free(plan: Plan, me: AccountId, name: str, account: AccountId) -> Place:
    """Where a new mailbox of the account can be; raises MailboxExists, NoPermission, and
    MailboxNotFound where the name leads to another's by now."""
    place = find(plan, me, name)
    if place.account != account:
        raise MailboxNotFound("No such mailbox")
    check_creation(plan, me, place)
    if place.mailbox is not None:
        raise MailboxExists("a mailbox has this name")
    return place


def _make(
    plan: Plan, account: AccountId, names: Sequence[str], role: str | None = None
) -> MailboxId:
    """The mailbox at this path, made with those above it where they are missing."""
    parent = TOP
    for depth, name in enumerate(names, 1):
        found = mailboxes.by_path(plan, account, names[:depth])
        if found is None:
            its = role if depth == len(names) else None
            was = plan_take_name(plan, account, SEPARATOR.join(names[:depth]))
            found = mailboxes.plan_create(
                plan, account, name, parent=parent, role=its, subscribed=was
            )
        parent = found.id
    return parent


async def delete(context: Context, command: Delete) -> Ending:
    """RFC 9051 6.3.5: never INBOX, never one with children."""
    me = context.account
    account = needed(await context.barrier(), me, command.mailbox, "x").account

    def plan_delete(plan: Plan) -> None:
        found = need(still(plan, me, command.mailbox, "x", account), "x")
        if found.subscribed:
            names = mailboxes.path(plan, account, found.id)
            plan_leave_name(plan, account, SEPARATOR.join(names))
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
    rows = context.local()
    place = needed(rows, context.account, name, "x")
    found, account = need(place, "x"), place.account
    if found.role == mailboxes.INBOX_ROLE:
        raise MailboxProtected("the inbox stays")
    if child_ids(rows, account, found.id):
        raise MailboxHasChild("the mailbox has children")
    some = uid_rows(rows, account, found.id, limit=COMMAND_EMAILS_MAX)

    async def carry(portion: Sequence[int]) -> None:
        def plan_some(plan: Plan) -> None:
            still(plan, context.account, name, "x", account)
            plan_expunge(plan, account, found.id, portion)

        await context.ports.writer.write(account, plan_some)

    await in_portions([uid for uid, _ in some], carry)


async def rename(context: Context, command: Rename) -> Ending:
    """RFC 9051 6.3.6: what is below moves along; INBOX gives away its messages and stays."""
    me, view = context.account, await context.barrier()
    if command.source == "INBOX":
        return await _rename_inbox(context, command.target)
    source, target = needed(view, me, command.source, "x"), find(view, me, command.target)
    check_creation(view, me, target)
    if source.account != target.account:
        return no("A mailbox stays with whose it is", b"CANNOT")
    account = source.account

    def plan_rename(plan: Plan) -> None:
        found = need(still(plan, me, command.source, "x", account), "x")
        names = _free(plan, me, command.target, account).names
        if normalized(command.target).startswith(normalized(command.source) + SEPARATOR):
            # Names above the target would be made inside what moves.
            raise MailboxProtected("a mailbox cannot move into itself")
        parent = _make(plan, account, names[:-1])
        moved = mailboxes.plan_update(plan, account, found.id, name=names[-1], parent=parent)
        if plan_take_name(plan, account, SEPARATOR.join(names)) and not moved.subscribed:
            mailboxes.plan_update(plan, account, found.id, subscribed=True)

    await context.ports.writer.write(account, plan_rename)
    _tell_renamed(context, command)
    return ok("RENAME completed")


def _tell_renamed(context: Context, command: Rename) -> None:
    """RFC 9051 6.3.6: where either name was given in another form than it is kept in."""
    kept = normalized(command.target)
    if kept != command.target or normalized(command.source) != command.source:
        tell_normalized(context, command.source, kept)


async def _rename_inbox(context: Context, name: str) -> Ending:
    account = context.account
    if not find(context.local(), account, name).own:
        return no("A mailbox stays with whose it is", b"CANNOT")

    def plan_target(plan: Plan) -> MailboxId:
        made = _make(plan, account, _free(plan, account, name, account).names)
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

    await in_portions((await context.index(account, inbox.id)).uids, carry)
    return ok("RENAME completed")


async def subscribe(context: Context, command: Subscribe) -> Ending:
    """RFC 9051 6.3.7, 6.3.8. A subscription is a property of the mailbox (RFC 8621 2), or of the
    account that follows another's; only of names that were a mailbox's it is the name's."""
    account = context.account
    verb, name = "SUBSCRIBE" if command.wanted else "UNSUBSCRIBE", normalized(command.mailbox)

    def plan_subscribe(plan: Plan) -> bool:
        place = find(plan, account, command.mailbox)
        found, wanted = place.mailbox, command.wanted
        if place.own and found is None and plan_take_name(plan, account, name):
            if wanted:  # as it was
                plan_leave_name(plan, account, name)
            return True
        if found is None or (wanted and "l" not in place.rights):  # RFC 4314 4
            return False
        if place.own:
            mailboxes.plan_update(plan, account, found.id, subscribed=wanted)
        else:
            plan_follow(plan, account, place.account, found.id, wanted=wanted)
        return True

    if not await context.ports.writer.write(account, plan_subscribe) and command.wanted:
        return no("No such mailbox", b"NONEXISTENT")
    return ok(f"{verb} completed")
