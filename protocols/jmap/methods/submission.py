"""RFC 8621 7: EmailSubmission/get, /changes, /query, /queryChanges and /set."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from protocols.jmap.context import Context
from protocols.jmap.envelopes import Sending, read_sending
from protocols.jmap.errors import SetError, invalid_properties
from protocols.jmap.listed_query import (
    Listing,
    Test,
    listed_query,
    listed_query_changes,
    text,
    texts,
)
from protocols.jmap.plain import read_patch, renderer
from protocols.jmap.standard import Answer, Kind, get, read_changes, read_get
from protocols.jmap.standard_set import Outcome, Resolve, Rules, read_set, set_objects
from protocols.jmap.values import Arguments, parse_utc_date, render_utc_date
from protocols.ports import Unavailable
from storage import submissions
from storage.changes import changed_at
from storage.collection import Missing
from storage.engine import Rows
from storage.ids import AccountId, Version, parse_numbered, render_blob
from storage.keys import TypeCode
from storage.plan import Plan
from storage.submissions import CANCELED, PENDING, CannotUnsend, Recipient, Submission

_PROPERTIES: Final = (
    *("id", "identityId", "emailId", "threadId", "envelope", "sendAt", "undoStatus"),
    *("deliveryStatus", "dsnBlobIds", "mdnBlobIds"),
)


def _all(rows: Rows, account: AccountId, limit: int) -> Sequence[int]:
    return [number for number, _ in submissions.list_submissions(rows, account, limit=limit)]


SUBMISSION_KIND: Final[Kind[int]] = Kind(
    name="EmailSubmission",
    code=TypeCode.SUBMISSION,
    parse_id=partial(parse_numbered, "s"),
    render_id=lambda number: f"s{number}",
    all_ids=_all,
    known=_PROPERTIES.__contains__,
    default=_PROPERTIES,
)


def _describe(number: int, held: Submission) -> dict[str, Any]:
    return {
        "id": f"s{number}",
        "identityId": f"i{held.identity}",
        "emailId": f"e{held.email}",
        "threadId": f"t{held.thread}",
        "envelope": {
            "mailFrom": {"email": held.mail_from, "parameters": held.mail_parameters},
            "rcptTo": [
                {"email": each.email, "parameters": each.parameters} for each in held.recipients
            ],
        },
        "sendAt": render_utc_date(held.send_at_ms),
        "undoStatus": held.undo_status,
        "deliveryStatus": None
        if held.undo_status == CANCELED
        else {each.email: _status(each) for each in held.recipients},
        "dsnBlobIds": [render_blob(blob) for blob in held.dsn_blobs],
        "mdnBlobIds": [render_blob(blob) for blob in held.mdn_blobs],
    }


def _status(recipient: Recipient) -> dict[str, str]:
    return {
        "smtpReply": recipient.reply,
        "delivered": recipient.delivered,
        "displayed": "yes" if recipient.is_displayed else "unknown",
    }


async def submission_get(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 7.1."""
    arguments = Arguments(raw)
    call = read_get(context, SUBMISSION_KIND, arguments)
    arguments.done()

    def describe(number: int) -> dict[str, Any] | None:
        held = submissions.get_submission(context.rows, call.account, number)
        return None if held is None else _describe(number, held)

    return await get(context, SUBMISSION_KIND, call, renderer(describe, call.properties))


async def submission_changes(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 7.2."""
    return read_changes(context, SUBMISSION_KIND, Arguments(raw))[0]


# --- queries


def _condition(context: Context, name: str, value: Any) -> Test[Submission] | None:
    match name:
        case "identityIds" | "emailIds" | "threadIds":
            wanted = {context.resolve(each) for each in texts(value)}
            return {
                "identityIds": lambda held: f"i{held.identity}" in wanted,
                "emailIds": lambda held: f"e{held.email}" in wanted,
                "threadIds": lambda held: f"t{held.thread}" in wanted,
            }[name]
        case "undoStatus":
            status = text(value)
            return lambda held: held.undo_status == status
        case "before" | "after":
            moment = parse_utc_date(value)
            if moment is None:
                raise ValueError(value)
            # sendAt is told in whole seconds.
            if name == "before":
                return lambda held: held.send_at_ms // 1000 * 1000 < moment
            return lambda held: held.send_at_ms // 1000 * 1000 >= moment
        case _:
            return None


def _listing(context: Context) -> Listing[Submission]:
    return Listing(
        condition=partial(_condition, context),
        sorts={
            "emailId": lambda held: held.email,
            "threadId": lambda held: held.thread,
            # RFC 8621 7.3 says sentAt where it means sendAt.
            "sentAt": lambda held: held.send_at_ms,
            "sendAt": lambda held: held.send_at_ms,
        },
    )


async def submission_query(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 7.3."""

    def every(account: AccountId) -> Iterable[tuple[int, Submission]]:
        return submissions.list_submissions(context.rows, account)

    return await listed_query(context, SUBMISSION_KIND, raw, _listing(context), every)


async def submission_query_changes(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 7.4."""

    def every(account: AccountId) -> Iterable[tuple[int, Submission]]:
        return submissions.list_submissions(context.rows, account)

    return await listed_query_changes(context, SUBMISSION_KIND, raw, _listing(context), every)


# --- set


async def submission_set(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 7.5: what is to be sent now is sent before the answer, which tells of it."""
    arguments = Arguments(raw)
    call = read_set(context, arguments)
    update_email = arguments.patches("onSuccessUpdateEmail")
    destroy_email = arguments.ids("onSuccessDestroyEmail") or []
    arguments.done()
    emails = _emails_of(context, call.account, [*call.update, *call.destroy])
    rules: Rules[int, Sending] = Rules(
        prepare=read_sending, create=_create, update=_update, destroy=_destroy
    )
    outcome = await set_objects(context, SUBMISSION_KIND, rules, call)
    for creation, told in outcome.created.items():
        number = parse_numbered("s", told["id"])
        assert number is not None, told
        held = submissions.to_be_sent(context.rows, call.account, number)
        assert held is not None, number
        await _send_now(context, call.account, number, held, outcome)
        # One that was destroyed at once is gone when it was sent.
        held = submissions.to_be_sent(context.rows, call.account, number) or held
        emails[f"#{creation}"] = f"e{held.email}"
        outcome.created[creation] = _told(number, held, call.create[creation])
    done = {f"#{creation}" for creation in outcome.created}
    done |= {*outcome.updated, *outcome.destroyed}
    _imply(context, call.account, update_email, destroy_email, emails, done)
    return outcome.answer(call.account)


def _emails_of(context: Context, account: AccountId, ids: Sequence[str]) -> dict[str, str]:
    """The emails of submissions that are there before the call."""
    found: dict[str, str] = {}
    for each in ids:
        number = parse_numbered("s", context.resolve(each))
        held = None if number is None else submissions.get_submission(context.rows, account, number)
        if held is not None:
            found[context.resolve(each)] = f"e{held.email}"
    return found


async def _send_now(
    context: Context, account: AccountId, number: int, held: Submission, outcome: Outcome
) -> None:
    """Send what waits for nothing; when it cannot be now, the leader sees to it."""
    ports = context.ports
    if held.send_at_ms > ports.clock.now_ms():
        return
    try:
        versions = await ports.submitter.send(ports, account, number)
    except Unavailable:
        versions = ()
    context.refresh()
    for version in versions:
        # What this call did is in its newState, as long as nobody else changed one between.
        before = changed_at(context.rows, account, TypeCode.SUBMISSION, Version(version - 1))
        if before == outcome.new:
            outcome.new = version


def _told(number: int, held: Submission, given: Mapping[str, Any]) -> dict[str, Any]:
    told = _describe(number, held)
    if given.get("envelope") is not None:
        del told["envelope"]
    return {name: value for name, value in told.items() if name not in ("identityId", "emailId")}


def _imply(
    context: Context,
    account: AccountId,
    update_email: Mapping[str, Mapping[str, Any]],
    destroy_email: Sequence[str],
    emails: Mapping[str, str],
    done: set[str],
) -> None:
    """The Email/set that follows what succeeded."""
    update: dict[str, dict[str, Any]] = {}
    for key, patch in update_email.items():
        email = _email(context, key, emails, done)
        if email is not None:
            update.setdefault(email, {}).update(patch)
    found = (_email(context, key, emails, done) for key in destroy_email)
    destroy = list(dict.fromkeys(email for email in found if email is not None))
    if update or destroy:
        arguments = {"accountId": f"a{account}", "update": update, "destroy": destroy}
        context.imply("Email/set", arguments)


def _email(context: Context, key: str, emails: Mapping[str, str], done: set[str]) -> str | None:
    known = key if key in done else context.resolve(key)
    return emails.get(known) if known in done else None


def _create(
    plan: Plan, account: AccountId, sending: Sending, _: Resolve
) -> tuple[int, dict[str, Any]]:
    return submissions.plan_create(plan, account, sending.submission(plan.now_ms)), {}


def _update(
    plan: Plan, account: AccountId, number: int, patch: dict[str, Any], _: Resolve
) -> dict[str, Any] | None:
    held = submissions.get_submission(plan, account, number)
    if held is None:
        raise SetError("notFound")
    checks = {"undoStatus": lambda value: value in (PENDING, CANCELED, held.undo_status)}
    wish = read_patch(patch, checks, _describe(number, held), {})
    wanted = wish.get("undoStatus", held.undo_status)
    if wanted == held.undo_status:
        return None
    if wanted != CANCELED:
        raise invalid_properties("a submission can only be canceled", "undoStatus")
    try:
        submissions.plan_cancel(plan, account, number)
    except CannotUnsend:
        raise SetError("cannotUnsend", "it has been sent already") from None
    return {"deliveryStatus": None}


def _destroy(plan: Plan, account: AccountId, number: int) -> None:
    try:
        submissions.plan_destroy(plan, account, number)
    except Missing:
        raise SetError("notFound") from None
