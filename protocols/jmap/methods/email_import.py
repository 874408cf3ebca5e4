"""RFC 8621 4.8 Email/import: messages that were uploaded, or are attached to others, become emails.

Reading and rendering come before the command. Broken mail is taken as best it can be read; what
has no header field at all is no message (invalidEmail).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from protocols.delivery import prepare
from protocols.jmap.blob_access import read_blob
from protocols.jmap.context import Context
from protocols.jmap.email_places import ingest, read_places, told_of
from protocols.jmap.errors import MethodError, SetError, invalid_arguments, invalid_properties
from protocols.jmap.refusals import set_error
from protocols.jmap.standard import Answer
from protocols.jmap.standard_set import expect_state
from protocols.jmap.values import Arguments, render_state
from protocols.mime import headers
from storage.changes import changed_at
from storage.ids import AccountId, MailboxId
from storage.keys import TypeCode
from storage.mail.errors import MailError
from storage.mail.records import NewEmail
from storage.plan import Plan

# Messages of one call, which are in memory together; one alone may be as large as an upload.
ARRIVING_OCTETS_MAX: Final = 100_000_000

_PROPERTIES: Final = frozenset(("blobId", "mailboxIds", "keywords", "receivedAt"))


@dataclass(frozen=True, slots=True)
class Arrival:
    """One email to be taken in, read and rendered."""

    email: NewEmail
    mailboxes: list[MailboxId]
    keywords: frozenset[str]
    message: bytes


async def email_import(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 4.8."""
    arguments = Arguments(raw)
    account = context.account(arguments)
    if_in_state = arguments.string("ifInState")
    if arguments.raw("emails") is None:
        raise invalid_arguments("emails is missing")
    wanted = arguments.objects("emails")
    arguments.done()
    if len(wanted) > context.limits.set_objects_max:
        raise MethodError("requestTooLarge", f"{len(wanted)} emails are too many")
    return await arrive(
        context, account, if_in_state, wanted, lambda values: _read(context, account, values)
    )


async def arrive(
    context: Context,
    account: AccountId,
    if_in_state: str | None,
    wanted: Mapping[str, dict[str, Any]],
    read: Callable[[Mapping[str, Any]], Arrival],
) -> Answer:
    """Take in what `read` makes of each object; the answer of Email/import, and of Email/copy."""
    ready: dict[str, Arrival] = {}
    refused: dict[str, dict[str, Any]] = {}
    room = ARRIVING_OCTETS_MAX
    for creation, values in wanted.items():
        try:
            arrival = read(values)
            if room < len(arrival.message) and ready:
                raise SetError("tooLarge", "the messages of one call are too large together")
        except SetError as error:
            refused[creation] = error.document()
        else:
            ready[creation] = arrival
            room -= len(arrival.message)
        await context.caller.pause()

    def command(plan: Plan) -> Answer:
        return _run(plan, account, if_in_state, ready, dict(refused))

    blobs = [item.message for item in ready.values()]
    answer = await context.write(account, command, blobs=blobs)
    for creation, told in (answer["created"] or {}).items():
        context.created_ids[creation] = told["id"]
    return answer


def _run(
    plan: Plan,
    account: AccountId,
    if_in_state: str | None,
    ready: Mapping[str, Arrival],
    refused: dict[str, dict[str, Any]],
) -> Answer:
    old = expect_state(plan, account, TypeCode.EMAIL, if_in_state)
    created: dict[str, dict[str, Any]] = {}
    for creation, item in ready.items():
        try:
            with plan.attempt():
                done = ingest(plan, account, item.email, item.mailboxes, item.keywords)
        except (SetError, MailError) as error:
            refused[creation] = set_error(error).document()
        else:
            created[creation] = told_of(done)
    return {
        "accountId": f"a{account}",
        "oldState": render_state(old),
        "newState": render_state(changed_at(plan, account, TypeCode.EMAIL)),
        "created": created or None,
        "notCreated": refused or None,
    }


def _read(context: Context, account: AccountId, values: Mapping[str, Any]) -> Arrival:
    unknown = values.keys() - _PROPERTIES
    if unknown:
        raise invalid_properties("unknown properties", *sorted(unknown))
    places = read_places(values, context.ports.clock.now_ms())
    message = read_blob(context, account, values.get("blobId"))
    if message is None:
        raise invalid_properties("there is no such blob", "blobId")
    if not is_message(message):
        raise SetError("invalidEmail", "the blob is no message: it has no header")
    return Arrival(
        prepare(message, received_ms=places.received_ms),
        places.mailboxes(context.resolve),
        places.keywords,
        message,
    )


def is_message(data: bytes) -> bool:
    """Whether octets are a message, however broken: it has a header field."""
    return bool(headers.split(data, *headers.block_end(data, 0, len(data))))
