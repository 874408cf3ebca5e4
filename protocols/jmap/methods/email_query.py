"""RFC 8621 4.4-4.5: Email/query over a mailbox or all mail by receivedAt, and Email/queryChanges.

Other conditions and orders answer unsupportedFilter and unsupportedSort, as RFC 8620 5.5 has it,
and queryChanges answers cannotCalculateChanges, which canCalculateChanges tells beforehand.
"""

from collections.abc import Mapping
from typing import Any

from protocols.jmap.context import Context
from protocols.jmap.errors import MethodError, invalid_arguments
from protocols.jmap.standard import Answer
from protocols.jmap.standard_query import (
    query_answer,
    read_order,
    read_window,
    refuse_query_changes,
)
from protocols.jmap.values import Arguments, is_id, is_reference, render_state
from storage.ids import MailboxId, parse_email, parse_mailbox
from storage.mail.errors import AnchorNotFound, MailboxNotFound
from storage.mail.search import query
from storage.mail.state import version


async def email_query(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 4.4."""
    arguments = Arguments(raw)
    account = context.account(arguments)
    condition = arguments.object("filter")
    order = read_order(arguments, lambda name: name == "receivedAt")
    window = read_window(context, arguments)
    collapse = arguments.boolean("collapseThreads")
    arguments.done()
    mailbox = None if not condition else _in_mailbox(context, condition)
    state = render_state(version(context.rows, account))
    anchor = None
    if window.anchor is not None:
        anchor = parse_email(window.anchor)
        if anchor is None:
            raise MethodError("anchorNotFound")
    try:
        page = query(
            context.rows,
            account,
            mailbox=mailbox,
            newest_first=not (order and order[0].ascending),
            position=window.position,
            anchor=anchor,
            anchor_offset=window.anchor_offset,
            limit=window.limit,
            collapse_threads=collapse,
            want_total=window.calculate_total,
        )
    except AnchorNotFound:
        raise MethodError("anchorNotFound") from None
    except MailboxNotFound:
        # RFC 8621 4.4.1: a condition on a mailbox that is not there matches nothing.
        none = 0 if window.calculate_total else None
        return query_answer(account, state, window, [], 0, none, changes=False)
    ids = [f"e{email}" for email in page.emails]
    return query_answer(account, state, window, ids, page.position, page.total, changes=False)


def _in_mailbox(context: Context, condition: Mapping[str, Any]) -> MailboxId:
    if "operator" in condition:
        raise MethodError("unsupportedFilter", "operators are not supported")
    others = condition.keys() - {"inMailbox"}
    if others:
        raise MethodError("unsupportedFilter", f"no condition {min(others)[:100]!r}")
    mailbox = condition["inMailbox"]
    if not is_id(mailbox) and not is_reference(mailbox):
        raise invalid_arguments("inMailbox is not an Id")
    # An id we never gave is a mailbox that is not there.
    return parse_mailbox(context.resolve(mailbox)) or MailboxId(0)


async def email_query_changes(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 4.5."""
    arguments = Arguments(raw)
    refusal = refuse_query_changes(context, arguments)
    arguments.boolean("collapseThreads")
    arguments.done()
    raise refusal
