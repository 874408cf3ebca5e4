"""RFC 8621 4.6, the create half of Email/set: build the message, then take it in like any other."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from protocols.delivery import prepare
from protocols.jmap.blob_access import read_blob
from protocols.jmap.context import Context
from protocols.jmap.draft import read_draft
from protocols.jmap.email_places import Places, ingest, read_places, told_of
from protocols.jmap.standard_set import Prepared, Resolve
from protocols.jmap.values import render_utc_date
from protocols.mime.build import build
from storage.ids import AccountId, EmailId
from storage.mail.records import NewEmail
from storage.plan import Plan


@dataclass(frozen=True, slots=True)
class EmailDraft:
    """A message that was built, and where it is to go."""

    email: NewEmail
    places: Places
    chosen: Mapping[str, Any]
    """Properties that the client left to the server (RFC 8620 5.3: they are told)."""


async def prepare_draft(
    context: Context, account: AccountId, values: dict[str, Any]
) -> Prepared[EmailDraft]:
    """Read the object of a create and build its message; raises SetError."""
    ports = context.ports
    now_ms = ports.clock.now_ms()
    places = read_places(values, now_ms)
    draft = read_draft(
        values,
        lambda blob_id: read_blob(context, account, blob_id),
        octets_max=context.limits.upload_bytes_max,
    )
    token = f"{ports.chance.getrandbits(96):024x}"
    chosen: dict[str, Any] = {}
    if not draft.has("message-id"):
        chosen["messageId"] = [f"{token}@{ports.hostname}"]
    if not draft.has("date"):
        chosen["sentAt"] = render_utc_date(now_ms)
    if values.get("keywords") is None:
        chosen["keywords"] = {}
    if values.get("receivedAt") is None:
        chosen["receivedAt"] = render_utc_date(places.received_ms)
    message = build(
        draft.fields,
        draft.root,
        message_id=chosen["messageId"][0] if "messageId" in chosen else None,
        date=_moment(now_ms) if "sentAt" in chosen else None,
        boundary_token=token,
    )
    await context.caller.pause()
    email = prepare(message, received_ms=places.received_ms)
    return Prepared(EmailDraft(email, places, chosen), (message,))


def create_draft(
    plan: Plan, account: AccountId, draft: EmailDraft, resolve: Resolve
) -> tuple[EmailId, dict[str, Any]]:
    """Take the message in; what is told are the properties the server set."""
    places = draft.places
    done = ingest(plan, account, draft.email, places.mailboxes(resolve), places.keywords)
    return done.id, {**draft.chosen, **told_of(done)}


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds // 1000, UTC)
