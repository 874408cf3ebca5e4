"""RFC 8621 4.6, the create half of Email/set: build the message, then take it in like any other."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from protocols.delivery import prepare
from protocols.jmap.blob_access import read_blob
from protocols.jmap.context import Context
from protocols.jmap.draft import read_draft
from protocols.jmap.email_places import Places, ingest, read_places, told_of
from protocols.jmap.standard_set import Prepared, Resolve
from protocols.mime.build import build
from storage.ids import AccountId, EmailId
from storage.mail.records import NewEmail
from storage.plan import Plan


@dataclass(frozen=True, slots=True)
class EmailDraft:
    """A message that was built, and where it is to go."""

    email: NewEmail
    places: Places


async def prepare_draft(
    context: Context, account: AccountId, values: dict[str, Any]
) -> Prepared[EmailDraft]:
    """Read the object of a create and build its message; raises SetError."""
    ports = context.ports
    places = read_places(values, ports.clock.now_ms())
    draft = read_draft(
        values,
        lambda blob_id: read_blob(context, account, blob_id),
        octets_max=context.limits.upload_bytes_max,
    )
    token = f"{ports.chance.getrandbits(96):024x}"
    message = build(
        draft.fields,
        draft.root,
        message_id=None if draft.has("message-id") else f"{token}@{ports.hostname}",
        date=None if draft.has("date") else _moment(ports.clock.now_ms()),
        boundary_token=token,
    )
    await context.caller.pause()
    email = prepare(message, received_ms=places.received_ms)
    return Prepared(EmailDraft(email, places), (message,))


def create_draft(
    plan: Plan, account: AccountId, draft: EmailDraft, resolve: Resolve
) -> tuple[EmailId, dict[str, Any]]:
    """Take the message in; what is told are the properties the server set."""
    places = draft.places
    done = ingest(plan, account, draft.email, places.mailboxes(resolve), places.keywords)
    return done.id, told_of(done)


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds // 1000, UTC)
