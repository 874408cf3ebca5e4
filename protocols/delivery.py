"""The one way mail comes in: LMTP, IMAP APPEND, JMAP Email/import and Email/set all pass here.

`prepare` reads a message once and renders all that lists will show of it; it is pure and costs
under a millisecond for ordinary mail. `deliver` plans it into an inbox. Both are bounded by the
limits of protocols/mime, so no message is too odd to take.
"""

from collections.abc import Collection
from typing import Final

from protocols.mime.envelope import Summary, summarise
from protocols.ports import Ports
from protocols.render.bodystructure import render_bodystructure
from protocols.render.envelope import render_envelope
from protocols.render.list_json import render_list
from storage.ids import AccountId, blob_id
from storage.mail.ingest import plan_ingest
from storage.mail.mailboxes import by_role
from storage.mail.records import EmailView, IngestedEmail, NewEmail
from storage.plan import Plan

# Which code rendered a view; one more whenever any renderer gives other bytes for the same mail.
RENDERER: Final = 1


class NoInbox(Exception):
    """The account has no inbox: it went away since the recipient was asked for."""


def prepare(message: bytes, *, received_ms: int) -> NewEmail:
    """Everything ingest keeps of a message."""
    summary = summarise(message)
    return NewEmail(
        blob=blob_id(message),
        size=len(message),
        received_ms=received_ms,
        message_ids=_thread_ids(summary),
        thread_subject=_thread_subject(summary.base_subject),
        view=EmailView(
            renderer=RENDERER,
            json=render_list(summary),
            envelope=render_envelope(summary.root, message),
            bodystructure=render_bodystructure(summary.root, message),
        ),
        parts=summary.structure_bytes,
    )


async def deliver(
    ports: Ports,
    account: AccountId,
    email: NewEmail,
    message: bytes,
    *,
    keywords: Collection[str] = (),
) -> IngestedEmail:
    """Put a prepared message into the account's inbox; durable on a majority when this returns.

    Raises ports.Unavailable, NoInbox, and the MailErrors of `plan_ingest`.
    """

    def command(plan: Plan) -> IngestedEmail:
        return plan_delivery(plan, account, email, keywords=keywords)

    return await ports.writer.write(account, command, blobs=[message])


def plan_delivery(
    plan: Plan, account: AccountId, email: NewEmail, *, keywords: Collection[str] = ()
) -> IngestedEmail:
    """Plan a prepared message into the account's inbox; raises NoInbox and MailErrors."""
    inbox = by_role(plan, account, "inbox")
    if inbox is None:
        raise NoInbox(f"account {account} has no inbox")
    return plan_ingest(plan, account, email, mailboxes=[inbox.id], keywords=keywords)


def _thread_ids(summary: Summary) -> tuple[str, ...]:
    """RFC 8621 3: the ids that bind a thread, most telling first.

    Its own, the message it answers, then the References from the nearest to the farthest: what
    is cut off where ids are bounded is farthest away.
    """
    nearest_first = reversed(summary.references or ())
    named = (*(summary.message_id or ()), *(summary.in_reply_to or ()), *nearest_first)
    return tuple(dict.fromkeys(named))


def _thread_subject(base_subject: str) -> str:
    """RFC 8621 3: base subjects agree when they are the same but for white space (and case)."""
    return "".join(base_subject.split()).casefold()
