"""APPEND and REPLACE (RFC 9051 6.3.12, RFC 4315, RFC 8508): messages go the way all mail goes.

Each is one command on the account: all of it is done, or nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import trio

from protocols.delivery import prepare
from protocols.imap.append_commands import Append, NewMessage, Replace
from protocols.imap.flags import allowed
from protocols.imap.ops.carrying import MOVE_RIGHTS
from protocols.imap.ops.catching_up import catch_up
from protocols.imap.ops.catenate import Assembly, Refused
from protocols.imap.ops.context import Context, OverLimit, refusal
from protocols.imap.ops.copying import highest_if_resync
from protocols.imap.ops.listing import tell_normalized
from protocols.imap.ops.places import is_own, missing, need, needed, still
from protocols.imap.ops.recent import Taken, plan_taken
from protocols.imap.responses import Ending, no, ok, untagged_ok
from protocols.imap.sets import render_ranges, runs
from storage.batch import BatchError
from storage.ids import AccountId
from storage.mail.errors import EmailNotFound, MailboxNotFound, MailError
from storage.mail.ingest import plan_ingest
from storage.mail.records import NewEmail
from storage.mail.replacing import plan_replace
from storage.plan import Plan

_TOO_MANY: Final = no("Too many messages for one APPEND", b"LIMIT")


@dataclass(frozen=True, slots=True)
class Incoming:
    """An APPEND's messages, ready to be written."""

    command: Append
    emails: Sequence[NewEmail]
    blobs: Sequence[bytes]

    @property
    def octets(self) -> int:
        """Of its messages."""
        return sum(map(len, self.blobs))


Added = tuple[int, list[int]]
"""UIDVALIDITY, and the UIDs of what was added."""


async def append(context: Context, command: Append) -> Ending:
    """Add one message, or several in one batch; OK means that all are durable on a majority."""
    me = context.account
    try:
        _check_count(context, command)
        view = await context.barrier()
        account = needed(view, me, command.mailbox, "i").account  # before the work is done
        with Assembly(context, view) as assembly:
            blobs = await assembly.put_together(command.messages)
            incoming = Incoming(command, await _prepared(context, command.messages, blobs), blobs)
            [added] = await _add(context, account, [incoming])
    except Refused as refused:
        return refused.ending
    except MailboxNotFound as error:
        added = error
    except BatchError:
        return _TOO_MANY
    return _ending(context, command, added)


def goes_along(context: Context, command: Append) -> bool:
    """Whether it may be committed with others: it goes to a mailbox of one's own, and each message
    is one literal. A URL may be of a message that the APPEND before it adds."""
    whole = all(isinstance(part, bytes) for message in command.messages for part in message.parts)
    single = all(len(message.parts) == 1 for message in command.messages)
    return whole and single and is_own(context.local(), context.account, command.mailbox)


async def take_in(context: Context, command: Append) -> Incoming | Ending:
    """What can be done of one that goes along before its turn has come."""
    try:
        _check_count(context, command)
        with Assembly(context, context.local()) as assembly:
            blobs = await assembly.put_together(command.messages)
        return Incoming(command, await _prepared(context, command.messages, blobs), blobs)
    except Refused as refused:
        return refused.ending


async def append_along(context: Context, group: Sequence[Incoming]) -> list[Ending]:
    """Carry out several that go along in one commit: each by itself done, or refused."""
    try:
        added = await _add(context, context.account, group)
    except BatchError:
        if len(group) == 1:
            return [_TOO_MANY]
        return [ending for one in group for ending in await append_along(context, [one])]
    return [_ending(context, one.command, done) for one, done in zip(group, added, strict=True)]


def _check_count(context: Context, command: Append) -> None:
    if len(command.messages) > (most := context.door.save_limit) > 0:
        raise OverLimit(b"MESSAGELIMIT %d" % most)


async def _add(
    context: Context, account: AccountId, group: Sequence[Incoming]
) -> list[Added | MailError]:
    """One commit. A refusal among others knows all that was acknowledged before, as one alone does:
    the batch applies on the very version of the account that it was planned on."""

    into = {one.command.mailbox for one in group}
    here = context.selected if context.selected and context.selected.name in into else None

    def plan_group(plan: Plan) -> tuple[list[Added | MailError], Taken | None]:
        done = [_plan_one(plan, context.account, account, one) for one in group]
        return done, None if here is None else plan_taken(plan, here)

    blobs = [blob for one in group for blob in one.blobs]
    done, taken = await context.ports.writer.write(account, plan_group, blobs=blobs)
    if here is not None and here.recents is not None and taken is not None:
        here.recents.decide(*taken)
    return done


def _plan_one(plan: Plan, me: AccountId, account: AccountId, one: Incoming) -> Added | MailError:
    try:
        with plan.attempt():
            place = still(plan, me, one.command.mailbox, "i", account)
            mailbox = need(place, "i")
            uids = []
            for message, email in zip(one.command.messages, one.emails, strict=True):
                keywords = allowed(message.keywords, place.rights)  # RFC 4314 4
                added = plan_ingest(plan, account, email, mailboxes=[mailbox.id], keywords=keywords)
                uids.append(dict(added.mailboxes)[mailbox.id])
            return mailbox.uidvalidity, uids
    except MailError as error:
        return error


def _ending(context: Context, command: Append, added: Added | MailError) -> Ending:
    if isinstance(added, MailboxNotFound):
        return missing(context.local(), context.account, command.mailbox)
    if isinstance(added, MailError):
        return refusal(added)
    tell_normalized(context, command.mailbox)
    return ok("APPEND completed", _appenduid(*added))


async def replace(context: Context, command: Replace) -> Ending:
    """RFC 8508 3.4: the new message is added and the old one expunged, whatever its flags."""
    me, selected = context.account, context.mailbox
    account = selected.account
    if selected.read_only:
        return no("The mailbox is selected read-only", b"CANNOT")
    named = selected.uids_at(selected.positions(command.number, uid=command.uid))
    if not named:
        return no("No such message", b"NONEXISTENT")
    old = named[0]
    view = await context.barrier()

    def plan_both(plan: Plan) -> tuple[int, int]:
        selected.check(plan, MOVE_RIGHTS)
        place = still(plan, me, command.mailbox, "i", account)
        mailbox = need(place, "i")
        added = plan_replace(
            plan,
            account,
            email,
            mailbox=mailbox.id,
            source=selected.mailbox,
            uid=old,
            keywords=allowed(command.message.keywords, place.rights),
        )
        return mailbox.uidvalidity, dict(added.mailboxes)[mailbox.id]

    try:
        selected.check(view, MOVE_RIGHTS)
        if needed(view, me, command.mailbox, "i").account != account:
            return no("Only among mailboxes of one account", b"CANNOT")
        with Assembly(context, view) as assembly:
            blobs = await assembly.put_together([command.message])
            [email] = await _prepared(context, [command.message], blobs)
            uidvalidity, uid = await context.ports.writer.write(account, plan_both, blobs=blobs)
    except MailboxNotFound:
        return missing(context.local(), me, command.mailbox)
    except Refused as refused:
        return refused.ending
    except EmailNotFound:
        return no("The message is gone", b"NONEXISTENT" if command.uid else b"EXPUNGEISSUED")
    # RFC 8508 4.3: the client learns of the new message before the old one goes
    tell_normalized(context, command.mailbox)
    context.out.add(untagged_ok("Replacement message ready", _appenduid(uidvalidity, [uid])))
    await catch_up(context, expunges=False)
    return ok("REPLACE completed", await highest_if_resync(context))


async def _prepared(
    context: Context, messages: Sequence[NewMessage], octets: Sequence[bytes]
) -> list[NewEmail]:
    now_ms = context.ports.clock.now_ms()
    emails = []
    for message, content in zip(messages, octets, strict=True):
        received_ms = now_ms if message.received_ms is None else message.received_ms
        emails.append(prepare(content, received_ms=received_ms, east_minutes=message.east_minutes))
        await trio.lowlevel.checkpoint()
    return emails


def _appenduid(uidvalidity: int, uids: Sequence[int]) -> bytes:
    """RFC 9051 7.1 APPENDUID."""
    return b"APPENDUID %d %b" % (uidvalidity, render_ranges(runs(uids)))
