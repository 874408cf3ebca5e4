"""What Email/set and Email/import have in common: where an email goes, and what is told of it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from protocols.jmap.errors import SetError, invalid_properties
from protocols.jmap.standard_set import Resolve
from protocols.jmap.values import boolean_set, parse_utc_date
from storage.ids import AccountId, MailboxId, parse_mailbox, render_blob
from storage.mail.errors import MailboxNotFound
from storage.mail.ingest import plan_ingest
from storage.mail.records import DELETED, IngestedEmail, NewEmail
from storage.plan import Plan


@dataclass(frozen=True, slots=True)
class Places:
    """mailboxIds, keywords and receivedAt of an email to be."""

    mailbox_texts: frozenset[str]
    keywords: frozenset[str]
    received_ms: int

    def mailboxes(self, resolve: Resolve) -> list[MailboxId]:
        """The mailboxes; raises SetError for what names none."""
        return mailbox_numbers(self.mailbox_texts, resolve)


def read_places(values: Mapping[str, Any], now_ms: int) -> Places:
    """The three properties of an object, checked; raises SetError."""
    given = values.get("keywords")
    keywords = boolean_set({} if given is None else given, "keywords")
    refuse_hidden(keywords)
    received_ms: int | None = now_ms
    if values.get("receivedAt") is not None:
        received_ms = parse_utc_date(values["receivedAt"])
    if received_ms is None or received_ms < 0:
        # Rows in order of the date begin in 1970.
        raise invalid_properties("receivedAt is not a UTCDate from 1970 on", "receivedAt")
    mailboxes = boolean_set(values.get("mailboxIds"), "mailboxIds")
    if not mailboxes:
        raise invalid_properties("an email must be in a mailbox", "mailboxIds")
    return Places(mailboxes, keywords, received_ms)


def mailbox_numbers(texts: Iterable[str], resolve: Resolve) -> list[MailboxId]:
    """The mailboxes that ids or creation references name; raises SetError for what names none."""
    found: list[MailboxId] = []
    for text in texts:
        number = parse_mailbox(resolve(text))
        if not number:
            raise invalid_properties(f"there is no mailbox {text[:100]!r}", "mailboxIds")
        found.append(number)
    return sorted(found)


def refuse_hidden(keywords: Iterable[str]) -> None:
    """RFC 8621 4.1.1: IMAP's \\Deleted is no keyword here, under whatever name."""
    if any(keyword.lower() == DELETED for keyword in keywords):
        raise invalid_properties(f"{DELETED} is no keyword of JMAP", "keywords")


def ingest(
    plan: Plan,
    account: AccountId,
    email: NewEmail,
    mailboxes: Sequence[MailboxId],
    keywords: Collection[str],
) -> IngestedEmail:
    """Take a message in; raises SetError or MailError."""
    try:
        return plan_ingest(plan, account, email, mailboxes=mailboxes, keywords=keywords)
    except MailboxNotFound as error:
        raise no_such_mailbox(error) from None


def no_such_mailbox(error: MailboxNotFound) -> SetError:
    """A mailbox an email was to be in is not there: the property is wrong (RFC 8621 4.6, 4.8)."""
    return invalid_properties(str(error), "mailboxIds")


def told_of(done: IngestedEmail) -> dict[str, Any]:
    """RFC 8621 4.6, 4.8: what is told of an email that was made."""
    return {
        "id": f"e{done.id}",
        "blobId": render_blob(done.blob),
        "threadId": f"t{done.thread}",
        "size": done.size,
    }
