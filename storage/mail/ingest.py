"""Plan a new email into an account: all its rows, in one command.

The email comes parsed and rendered (protocols/delivery); nothing here looks into it. Nothing is
deduplicated: a message delivered twice is two emails.
"""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from storage import blob_links, keys
from storage.ids import AccountId, MailboxId
from storage.keys import TypeCode
from storage.mail import quota
from storage.mail.errors import NoMailbox, TooManyMailboxes
from storage.mail.keywords import canonical_keywords
from storage.mail.ledger import Ledger
from storage.mail.mailbox_rows import check_mailbox
from storage.mail.records import EmailMeta, IngestedEmail, NewEmail, pack
from storage.mail.threads import hints_of, join_thread, pack_hints
from storage.plan import Plan

# Each mailbox holds a copy of the email's changing facts; more are of no use to anyone we know.
EMAIL_MAILBOXES_MAX: Final = 64


def check_mailboxes(plan: Plan, account: AccountId, mailboxes: Collection[MailboxId]) -> None:
    """May an email be in just these; raises NoMailbox, TooManyMailboxes, MailboxNotFound."""
    if not mailboxes:
        raise NoMailbox("an email must be in a mailbox")
    if len(mailboxes) > EMAIL_MAILBOXES_MAX:
        raise TooManyMailboxes(f"{len(mailboxes)} mailboxes are over {EMAIL_MAILBOXES_MAX}")
    for mailbox in mailboxes:
        check_mailbox(plan, account, mailbox)


def plan_ingest(
    plan: Plan,
    account: AccountId,
    email: NewEmail,
    *,
    mailboxes: Sequence[MailboxId],
    keywords: Collection[str] = (),
    replaces: EmailMeta | None = None,
) -> IngestedEmail:
    """Add an email; raises what `check_mailboxes` does, OverQuota, and for its keywords.

    The room of one that it `replaces`, and that the same command destroys, counts as free.
    """
    kept = canonical_keywords(keywords)
    chosen = sorted(set(mailboxes))
    check_mailboxes(plan, account, chosen)
    freed = 0 if replaces is None else replaces.size
    quota.check_room(plan, account, email.size - freed, messages=1 if replaces is None else 0)
    ledger = Ledger(plan, account)
    hints = hints_of(email.message_ids, email.thread_subject)
    new = EmailMeta(
        id=ledger.next_email(),
        thread=join_thread(ledger, hints),
        blob=email.blob,
        size=email.size,
        received_ms=email.received_ms,
        keywords=kept,
        mailboxes=tuple((mailbox, ledger.next_uid(mailbox)) for mailbox in chosen),
        modseq=ledger.version,
        created=ledger.version,
        east_minutes=email.east_minutes,
    )
    view = msgspec.structs.replace(email.view, hints=pack_hints(hints))
    ledger.change(None, new)
    ledger.rows[keys.email_view_key(account, new.id)] = pack(view)
    ledger.rows[keys.email_parts_key(account, new.id)] = email.parts
    blob_links.plan_link(plan, account, new.blob, TypeCode.EMAIL, new.id)
    ledger.log_delivery(new.id)
    ledger.close()
    return IngestedEmail(
        account=account,
        id=new.id,
        thread=new.thread,
        blob=new.blob,
        size=new.size,
        mailboxes=new.mailboxes,
        version=ledger.version,
    )
