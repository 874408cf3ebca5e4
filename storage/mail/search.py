"""Filter and sort: from a question to ids (RFC 8621 4.4).

What mail clients ask most, a mailbox or all mail by date, is a walk of the index by date that
ends with the page: its cost is the page and what comes before it, never the mailbox. Totals come
from counters. Only a condition on the emails themselves makes a query look at each of them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from storage.engine import Rows
from storage.ids import AccountId, EmailId, MailboxId, ThreadId
from storage.mail.errors import AnchorNotFound
from storage.mail.ledger import ALL_MAIL
from storage.mail.mailboxes import counts
from storage.mail.messages import DateRow, by_date, meta
from storage.mail.records import EmailMeta
from storage.mail.state import state

# Rows of the index read at a time: at first what the page may need, then twice as many each time.
FIRST_ROWS: Final = 64
SCAN_ROWS: Final = 1_024


@dataclass(frozen=True, slots=True)
class QueryPage:
    """RFC 8620 5.5: where the first id stands among the results, the ids, and how many in all
    (None: not asked)."""

    position: int
    emails: list[EmailId]
    total: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """RFC 8621 4.4.1's conditions on what EmailMeta tells; all that are given must hold.

    Times are milliseconds since 1970, sizes octets, keywords lower case.
    """

    in_mailbox: MailboxId | None = None
    in_mailbox_other_than: frozenset[MailboxId] | None = None
    before_ms: int | None = None
    after_ms: int | None = None
    min_size: int | None = None
    max_size: int | None = None
    has_keyword: str | None = None
    not_keyword: str | None = None


def matches(found: EmailMeta, condition: Condition) -> bool:
    """Whether an email meets a condition."""
    wanted = condition
    boxes = [mailbox for mailbox, _ in found.mailboxes]
    others = wanted.in_mailbox_other_than
    return (
        (wanted.in_mailbox is None or wanted.in_mailbox in boxes)
        and (others is None or any(mailbox not in others for mailbox in boxes))
        and (wanted.before_ms is None or found.received_ms < wanted.before_ms)
        and (wanted.after_ms is None or found.received_ms >= wanted.after_ms)
        and (wanted.min_size is None or found.size >= wanted.min_size)
        and (wanted.max_size is None or found.size < wanted.max_size)
        and (wanted.has_keyword is None or wanted.has_keyword in found.keywords)
        and (wanted.not_keyword is None or wanted.not_keyword not in found.keywords)
    )


def query(
    rows: Rows,
    account: AccountId,
    *,
    mailbox: MailboxId | None = None,
    newest_first: bool = True,
    position: int = 0,
    anchor: EmailId | None = None,
    anchor_offset: int = 0,
    limit: int | None = None,
    collapse_threads: bool = False,
    want_total: bool = False,
    where: Callable[[EmailMeta], bool] | None = None,
) -> QueryPage:
    """Emails of a mailbox (None: of the account) by receivedAt, then by id (RFC 8620 5.5).

    A negative position counts from the end. With an anchor, the page begins `anchor_offset`
    after it; AnchorNotFound when it is not among the results. With `where`, and a total or a
    negative position asked for, every email of the mailbox is looked at; otherwise the walk ends
    with the page. Raises MailboxNotFound. A mailbox that may be large is better filtered in
    pages, with `metas_by_date`.
    """
    found = _results(rows, account, ALL_MAIL if mailbox is None else mailbox, newest_first, where)
    if collapse_threads:
        found = _first_of_threads(found)
    total: int | None = None
    if where is None:
        total = _total(rows, account, mailbox, collapse_threads)
    elif want_total or (anchor is None and position < 0):
        held = list(found)
        found, total = iter(held), len(held)
    if anchor is not None:
        return _page_at_anchor(found, anchor, anchor_offset, limit, total if want_total else None)
    if position < 0:
        assert total is not None
        position = max(0, total + position)
    emails = _take(found, position, limit)
    return QueryPage(position, emails, total if want_total else None)


def _page_at_anchor(
    found: Iterator[DateRow],
    anchor: EmailId,
    offset: int,
    limit: int | None,
    total: int | None,
) -> QueryPage:
    before: list[EmailId] = []
    for _, email, _ in found:
        if email == anchor:
            break
        before.append(email)
    else:
        raise AnchorNotFound(f"email {anchor} is not among the results")
    start = max(0, len(before) + offset)
    emails = [*before, anchor][start : None if limit is None else start + limit]
    if limit is None or len(emails) < limit:
        rest = None if limit is None else limit - len(emails)
        emails += _take(found, max(0, start - len(before) - 1), rest)
    return QueryPage(start, emails, total)


def _take(found: Iterator[DateRow], skip: int, limit: int | None) -> list[EmailId]:
    emails: list[EmailId] = []
    if limit == 0:
        return emails
    for at, (_, email, _) in enumerate(found):
        if at >= skip:
            emails.append(email)
            if len(emails) == limit:
                break
    return emails


def _total(
    rows: Rows, account: AccountId, mailbox: MailboxId | None, collapse_threads: bool
) -> int:
    """How many results there are, from the counters."""
    if mailbox is None:
        whole = state(rows, account)
        return whole.threads if collapse_threads else whole.emails - whole.deleted
    held = counts(rows, account, mailbox)
    return held.threads if collapse_threads else held.emails - held.deleted


def _results(
    rows: Rows,
    account: AccountId,
    mailbox: MailboxId,
    newest_first: bool,
    where: Callable[[EmailMeta], bool] | None,
) -> Iterator[DateRow]:
    after: tuple[int, EmailId] | None = None
    size = FIRST_ROWS
    while page := by_date(
        rows, account, mailbox, newest_first=newest_first, after=after, limit=size
    ):
        for row in page:
            if where is None or where(_held(rows, account, row[1])):
                yield row
        if len(page) < size:
            return
        after, size = page[-1][:2], min(2 * size, SCAN_ROWS)


def _held(rows: Rows, account: AccountId, email: EmailId) -> EmailMeta:
    found = meta(rows, account, email)
    assert found is not None, (account, email)
    return found


def _first_of_threads(found: Iterator[DateRow]) -> Iterator[DateRow]:
    """RFC 8621 4.4.3: of each thread only the email that comes first."""
    seen: set[ThreadId] = set()
    for row in found:
        if row[2] not in seen:
            seen.add(row[2])
            yield row


def metas_by_date(
    rows: Rows,
    account: AccountId,
    mailbox: MailboxId | None = None,
    *,
    newest_first: bool = True,
    after: tuple[int, EmailId] | None = None,
    limit: int = SCAN_ROWS,
) -> tuple[list[EmailMeta], tuple[int, EmailId] | None]:
    """A page of emails by date, and where the next one goes on (None: this was the last).

    A door filters long mailboxes so: it lets other tasks run between two pages, and starts again
    when the account's version has moved.
    """
    place = ALL_MAIL if mailbox is None else mailbox
    page = by_date(rows, account, place, newest_first=newest_first, after=after, limit=limit)
    metas = [_held(rows, account, email) for _, email, _ in page]
    return metas, page[-1][:2] if len(page) == limit else None
