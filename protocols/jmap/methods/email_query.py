"""RFC 8621 4.4-4.5: Email/query and Email/queryChanges.

A mailbox, or all mail, by receivedAt is what clients ask most: it is a walk of the rows by date.
All else goes over the account's columns (email_search).
"""

from collections.abc import Mapping
from typing import Any

from protocols.jmap.capabilities import EMAIL_SORTS
from protocols.jmap.context import Context
from protocols.jmap.email_filter import read_filter
from protocols.jmap.email_search import (
    KEYWORD_SORTS,
    EmailQuery,
    current_columns,
    find_emails,
)
from protocols.jmap.errors import MethodError
from protocols.jmap.standard import Answer
from protocols.jmap.standard_query import (
    Window,
    cut_window,
    query_answer,
    read_order,
    read_since,
    read_window,
)
from protocols.jmap.values import Arguments, render_state
from storage import changes
from storage.changes import Changes, TooOld, changed_at
from storage.ids import AccountId, EmailId, MailboxId, Version, parse_email, parse_mailbox
from storage.keys import TypeCode
from storage.mail.errors import AnchorNotFound, MailboxNotFound
from storage.mail.search import QueryPage, query


def _read_query(context: Context, arguments: Arguments) -> EmailQuery:
    return EmailQuery(
        filter=read_filter(arguments.object("filter"), context.resolve),
        order=tuple(read_order(arguments, EMAIL_SORTS.__contains__, keyworded=KEYWORD_SORTS)),
        collapse_threads=arguments.boolean("collapseThreads"),
    )


async def email_query(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 4.4."""
    arguments = Arguments(raw)
    account = context.account(arguments)
    wanted = _read_query(context, arguments)
    window = read_window(context, arguments)
    arguments.done()
    if _is_walk(raw.get("filter"), wanted):
        state = _state(context, account)
        walked = _walk(context, account, raw.get("filter"), wanted, window)
        ids = [f"e{email}" for email in walked.emails]
        return query_answer(
            account, state, window, ids, walked.position, walked.total, changes=True
        )
    whole = window.anchor is not None or window.position < 0
    found = await find_emails(
        context,
        account,
        wanted,
        enough=None if whole else window.position + window.limit,
        want_total=window.calculate_total,
    )
    if window.anchor is not None:
        page, position = cut_window(found.emails, window, parse_email)
    else:
        slots, position = cut_window(found.slots, window, lambda _: None)
        page = found.numbers(slots)
    return query_answer(
        account,
        _state(context, account, found.version),
        window,
        [f"e{email}" for email in page],
        position,
        found.total if window.calculate_total else None,
        changes=True,
    )


def _state(context: Context, account: AccountId, up_to: Version | None = None) -> str:
    """The state of emails, now or as of a version of the account."""
    return render_state(changed_at(context.rows, account, TypeCode.EMAIL, up_to))


def _is_walk(condition: Any, wanted: EmailQuery) -> bool:
    """Whether the rows by date hold the results in order."""
    in_order = not wanted.order or (
        len(wanted.order) == 1 and wanted.order[0].property == "receivedAt"
    )
    return in_order and (not condition or condition.keys() == {"inMailbox"})


def _walk(
    context: Context, account: AccountId, condition: Any, wanted: EmailQuery, window: Window
) -> QueryPage:
    mailbox = None if not condition else _mailbox(context, condition["inMailbox"])
    anchor = None
    if window.anchor is not None:
        anchor = parse_email(window.anchor)
        if anchor is None:
            raise MethodError("anchorNotFound")
    try:
        return query(
            context.rows,
            account,
            mailbox=mailbox,
            newest_first=not (wanted.order and wanted.order[0].ascending),
            position=window.position,
            anchor=anchor,
            anchor_offset=window.anchor_offset,
            limit=window.limit,
            collapse_threads=wanted.collapse_threads,
            want_total=window.calculate_total,
        )
    except AnchorNotFound:
        raise MethodError("anchorNotFound") from None
    except MailboxNotFound:
        # RFC 8621 4.4.1: a condition on a mailbox that is not there matches nothing.
        if window.anchor is not None:
            raise MethodError("anchorNotFound") from None
        return QueryPage(0, [], 0 if window.calculate_total else None)


def _mailbox(context: Context, text: str) -> MailboxId:
    # An id we never gave is a mailbox that is not there.
    return parse_mailbox(context.resolve(text)) or MailboxId(0)


async def email_query_changes(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 4.5: what may have moved is removed, and added again where it is now."""
    arguments = Arguments(raw)
    account = context.account(arguments)
    wanted = _read_query(context, arguments)
    asked = read_since(context, arguments)
    arguments.done()
    since_version = asked.version()
    _changes(context, account, TypeCode.EMAIL, since_version)  # or it is too old to begin
    found = await find_emails(context, account, wanted)
    changed = _changes(context, account, TypeCode.EMAIL, since_version)
    gone = set(changed.destroyed) | (set() if wanted.immutable else set(changed.updated))
    touched = {*changed.created, *gone}
    if wanted.about_threads and (touched or changed.updated):
        beside = await _beside(context, account, wanted, changed, since_version)
        gone |= beside.difference(changed.created)
        touched |= beside
    emails = found.emails
    last = len(emails)
    if asked.up_to_id is not None and wanted.immutable and not wanted.about_threads:
        last = _end(emails, asked.up_to_id)
    added = [
        {"id": f"e{email}", "index": index}
        for index, email in enumerate(emails[:last])
        if email in touched
    ]
    removed = [f"e{email}" for email in sorted(gone)]
    asked.check(len(removed) + len(added))
    told: Answer = {
        "accountId": f"a{account}",
        "oldQueryState": asked.state,
        "newQueryState": _state(context, account, found.version),
        "removed": removed,
        "added": added,
    }
    return told | {"total": len(emails)} if asked.calculate_total else told


def _end(emails: list[EmailId], up_to_id: str) -> int:
    """RFC 8620 5.6: changes behind this one need not be told; all are when it is not there."""
    number = parse_email(up_to_id)
    return emails.index(number) + 1 if number in emails else len(emails)


def _changes(context: Context, account: AccountId, kind: TypeCode, version_: int) -> Changes:
    try:
        return changes.since(context.rows, account, kind, version_)
    except TooOld:
        raise MethodError("cannotCalculateChanges", "sinceQueryState is too old") from None


async def _beside(
    context: Context, account: AccountId, wanted: EmailQuery, changed: Changes, since_version: int
) -> set[int]:
    """Emails whose threads changed, or hold an email whose change may matter to them."""
    columns = await current_columns(context, account, views=False)
    threads = _changes(context, account, TypeCode.THREAD, since_version)
    names = {*threads.created, *threads.updated}
    moved = changed.created if wanted.immutable else (*changed.created, *changed.updated)
    names |= columns.threads_of(columns.where_email(moved))
    octets = columns.octets(columns.where_thread(names))
    return {email for email, beside in zip(columns.emails, octets, strict=True) if beside}


__all__ = ["email_query", "email_query_changes"]
