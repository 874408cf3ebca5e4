"""Keywords of an email: which are allowed, in what form they are kept, and changing them.

JMAP's keywords and IMAP's flags are one set. IMAP's system flags are kept under their JMAP names
("\\Seen" is "$seen"), "\\Deleted" as "$deleted": while an email has it no JMAP client sees the
email, its threads or its counts (RFC 8621 4.1.1), and doors never show the keyword itself.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from storage.batch import KIB
from storage.ids import AccountId, EmailId, MailboxId
from storage.mail.errors import EmailNotFound, KeywordInvalid, TooManyEmails, TooManyKeywords
from storage.mail.ledger import COMMAND_EMAILS_MAX, Ledger
from storage.mail.mailbox_rows import check_mailbox
from storage.mail.messages import meta, metas_at
from storage.mail.records import EmailMeta
from storage.plan import Plan

# RFC 8621 4.1.1: "1-255 characters in the ASCII subset".
KEYWORD_BYTES_MAX: Final = 255
# An email's keywords are written once for itself and once for each mailbox it is in; with the
# largest number of mailboxes these two keep its rows well under a batch.
KEYWORDS_PER_EMAIL_MAX: Final = 64
KEYWORDS_OCTETS_MAX: Final = 2 * KIB

# RFC 8621 4.1.1: %x21-%x7e without ( ) { ] % * " \
_ALLOWED: Final = re.compile(r"[!#$&'+-Z\[^-z|}~]+\Z", re.ASCII)
# RFC 8621 10.4.5 registers it so that no one uses it: IMAP's \Recent belongs to sessions.
_RESERVED: Final = "$recent"


def canonical_keyword(keyword: str) -> str:
    """The keyword as it is kept, in lower case; raises KeywordInvalid."""
    if not 1 <= len(keyword) <= KEYWORD_BYTES_MAX or not _ALLOWED.match(keyword):
        raise KeywordInvalid(f"not a keyword: {keyword[:KEYWORD_BYTES_MAX]!r}")
    lowered = keyword.lower()
    if lowered == _RESERVED:
        raise KeywordInvalid(f"{_RESERVED} is reserved")
    return lowered


def canonical_keywords(keywords: Iterable[str]) -> tuple[str, ...]:
    """Sorted, lower case, each once; raises KeywordInvalid, TooManyKeywords."""
    found = tuple(sorted({canonical_keyword(keyword) for keyword in keywords}))
    if len(found) > KEYWORDS_PER_EMAIL_MAX:
        raise TooManyKeywords(f"{len(found)} keywords are over {KEYWORDS_PER_EMAIL_MAX}")
    if sum(map(len, found)) > KEYWORDS_OCTETS_MAX:
        raise TooManyKeywords(f"keywords of over {KEYWORDS_OCTETS_MAX} octets together")
    return found


def plan_keywords(
    plan: Plan,
    account: AccountId,
    email: EmailId,
    *,
    add: Collection[str] = (),
    remove: Collection[str] = (),
    replace: Collection[str] | None = None,
) -> EmailMeta:
    """Change an email's keywords: to `replace` (None: as they are), without `remove`, with `add`.

    Returns the email as it is now; when nothing changes the account's version stays.
    """
    old = meta(plan, account, email)
    if old is None:
        raise EmailNotFound(f"no email {email}")
    keywords = changed_keywords(old.keywords, add=add, remove=remove, replace=replace)
    if keywords == old.keywords:
        return old
    ledger = Ledger(plan, account)
    new = _with_keywords(ledger, old, keywords)
    ledger.close()
    return new


def plan_store(
    plan: Plan,
    account: AccountId,
    mailbox: MailboxId,
    uids: Sequence[int],
    *,
    add: Collection[str] = (),
    remove: Collection[str] = (),
    replace: Collection[str] | None = None,
    unchanged_since: int | None = None,
) -> tuple[list[tuple[int, EmailMeta]], list[int]]:
    """IMAP STORE: the same change to many messages of a mailbox, under one version.

    Returns the messages that are there, as they are now, by UID; and the UIDs left alone because
    they changed after `unchanged_since` (RFC 7162 3.1.3). UIDs that name nothing are passed over
    (RFC 9051 6.4.9).
    """
    check_mailbox(plan, account, mailbox)
    if len(uids) > COMMAND_EMAILS_MAX:
        raise TooManyEmails(f"{len(uids)} messages are over {COMMAND_EMAILS_MAX}")
    stored: list[tuple[int, EmailMeta]] = []
    modified: list[int] = []
    ledger: Ledger | None = None
    after: dict[tuple[str, ...], tuple[str, ...]] = {}  # mail has few combinations of keywords
    for uid, old in metas_at(plan, account, mailbox, uids):
        if unchanged_since is not None and old.modseq > unchanged_since:
            modified.append(uid)
            continue
        keywords = after.get(old.keywords)
        if keywords is None:
            keywords = changed_keywords(old.keywords, add=add, remove=remove, replace=replace)
            after[old.keywords] = keywords
        if keywords == old.keywords:
            stored.append((uid, old))
            continue
        ledger = ledger or Ledger(plan, account)
        stored.append((uid, _with_keywords(ledger, old, keywords)))
    if ledger is not None:
        ledger.close()
    return stored, modified


def changed_keywords(
    before: tuple[str, ...],
    *,
    add: Collection[str],
    remove: Collection[str],
    replace: Collection[str] | None,
) -> tuple[str, ...]:
    """The keywords that a change makes of `before`; raises KeywordInvalid, TooManyKeywords."""
    kept = before if replace is None else replace
    gone = {canonical_keyword(keyword) for keyword in remove}
    return canonical_keywords([*(keyword for keyword in kept if keyword.lower() not in gone), *add])


def _with_keywords(ledger: Ledger, old: EmailMeta, keywords: tuple[str, ...]) -> EmailMeta:
    new = msgspec.structs.replace(old, keywords=keywords, modseq=ledger.version)
    ledger.change(old, new)
    return new
