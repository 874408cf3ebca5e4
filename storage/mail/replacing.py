"""Plan a new email in the place of a message (RFC 8508): one comes, one goes, in one command."""

from collections.abc import Collection

from storage.ids import AccountId, MailboxId
from storage.mail.errors import EmailNotFound
from storage.mail.ingest import plan_ingest
from storage.mail.messages import metas_at
from storage.mail.moves import plan_expunge
from storage.mail.records import IngestedEmail, NewEmail
from storage.plan import Plan


def plan_replace(
    plan: Plan,
    account: AccountId,
    email: NewEmail,
    *,
    mailbox: MailboxId,
    source: MailboxId,
    uid: int,
    keywords: Collection[str] = (),
) -> IngestedEmail:
    """Add an email to `mailbox` and take the message `uid` out of `source`.

    Only what it takes more than that one leaves must fit the quota. It comes before that one goes,
    so a thread of the two stays. Raises EmailNotFound, and what `plan_ingest` does.
    """
    found = metas_at(plan, account, source, [uid])
    if not found:
        raise EmailNotFound("the message to be replaced is gone")
    old = found[0][1]
    # One that other mailboxes hold too stays there and frees nothing.
    replaces = old if len(old.mailboxes) == 1 else None
    added = plan_ingest(
        plan, account, email, mailboxes=[mailbox], keywords=keywords, replaces=replaces
    )
    plan_expunge(plan, account, source, [uid])
    return added
