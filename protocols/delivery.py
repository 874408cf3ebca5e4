"""The one way mail comes in: LMTP, IMAP APPEND, JMAP Email/import and Email/set all pass here.

`prepare` reads a message once and renders all that lists will show of it; it is pure and costs
under a millisecond for ordinary mail. `deliver` plans it into an inbox. Both are bounded by the
limits of protocols/mime, so no message is too odd to take.
"""

import re
from collections.abc import Collection
from hashlib import blake2b
from typing import Final

from protocols.mime.envelope import Summary, summarise
from protocols.ports import Ports
from protocols.render.bodystructure import render_bodystructure
from protocols.render.envelope import render_envelope
from protocols.render.list_json import render_list
from storage.deliveries import KEY_BYTES, plan_remember, was_delivered
from storage.ids import AccountId, blob_id
from storage.mail.ingest import plan_ingest
from storage.mail.mailboxes import id_by_role
from storage.mail.records import EmailView, IngestedEmail, NewEmail
from storage.plan import Plan

# Which code rendered a view; one more whenever any renderer gives other bytes for the same mail.
# What an older one made is shown as it is: a client may keep a BODYSTRUCTURE for ever (RFC 9051
# 2.3.1.1), so it must not change under its UID.
# 2: a parameter that is not ASCII is one in BODYSTRUCTURE, however long (RFC 2231).
# 3: names in ENVELOPE keep their encoded words as written, and routes are told.
RENDERER: Final = 3

# What tells a message from another of the same words, and how much of a header is searched for it.
_TELLING: Final = re.compile(rb"^(?:message-id|received)[ \t]*:", re.IGNORECASE | re.MULTILINE)
_HEADER_BYTES_MAX: Final = 64 * 1024


class NoInbox(Exception):
    """The account has no inbox: it went away since the recipient was asked for."""


def prepare(message: bytes, *, received_ms: int, east_minutes: int = 0) -> NewEmail:
    """Everything ingest keeps of a message."""
    summary = summarise(message)
    return NewEmail(
        blob=blob_id(message),
        size=len(message),
        received_ms=received_ms,
        east_minutes=east_minutes,
        message_ids=_thread_ids(summary),
        thread_subject=_thread_subject(summary.base_subject),
        view=EmailView(
            renderer=RENDERER,
            json=render_list(summary),
            envelope=render_envelope(summary.root, message, summary.headers),
            bodystructure=render_bodystructure(summary.root, message),
        ),
        parts=summary.structure_bytes,
    )


def delivery_key(sender: str, content: bytes | bytearray) -> bytes | None:
    """What is the same when an MTA sends a message again, and never of two messages; or None.

    `content` is as it came, without the trace we put before it. An MTA that sends again sends the
    very octets, its own Received with its queue id among them. A Message-ID alone would let anyone
    who guesses it keep mail from being delivered. A message with neither field may well be sent
    twice on purpose, word for word.
    """
    end = 0 if content.startswith(b"\r\n") else content.find(b"\r\n\r\n", 0, _HEADER_BYTES_MAX)
    if not _TELLING.search(content, 0, _HEADER_BYTES_MAX if end < 0 else end):
        return None
    digest = blake2b(content, digest_size=KEY_BYTES, key=blake2b(sender.encode()).digest())
    return digest.digest()


async def deliver(
    ports: Ports,
    account: AccountId,
    email: NewEmail,
    message: bytes,
    *,
    key: bytes | None = None,
    keywords: Collection[str] = (),
) -> IngestedEmail | None:
    """Put a prepared message into the account's inbox; durable on a majority when this returns.

    None when a message of this `key` (see `delivery_key`) was put there before: that is as durable.
    Raises ports.Unavailable, NoInbox, and the MailErrors of `plan_ingest`.
    """

    def command(plan: Plan) -> IngestedEmail | None:
        if key is not None and was_delivered(plan, account, key, plan.now_ms):
            return None
        ingested = plan_delivery(plan, account, email, keywords=keywords)
        if key is not None:
            plan_remember(plan, account, key)
        return ingested

    if key is not None and was_delivered(ports.reader.local(), account, key, ports.clock.now_ms()):
        return None  # what is applied here is durable; its octets need not travel again
    return await ports.writer.write(account, command, blobs=[message])


def plan_delivery(
    plan: Plan, account: AccountId, email: NewEmail, *, keywords: Collection[str] = ()
) -> IngestedEmail:
    """Plan a prepared message into the account's inbox; raises NoInbox and MailErrors."""
    inbox = id_by_role(plan, account, "inbox")
    if inbox is None:
        raise NoInbox(f"account {account} has no inbox")
    return plan_ingest(plan, account, email, mailboxes=[inbox], keywords=keywords)


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
