"""Submissions of email (RFC 8621 7): what is to be sent, to whom, when, and what became of it.

A submission keeps the message's blob until it is sent or canceled, whatever happens to the email.
It is due (storage/due.py) from its making until every recipient has an answer: whoever sends,
answers recipients and removes the row in the commands that deliver, so each gets the message once.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Final

import msgspec

from storage import blob_links
from storage.collection import Collection, Missing
from storage.due import Due, plan_done, plan_due
from storage.engine import Rows
from storage.ids import AccountId, BlobId, Version
from storage.keys import TypeCode
from storage.plan import Plan
from storage.values import pack_u64, unpack_u64

# Submissions that are done with are kept until there are so many newer ones (RFC 8621 7: a server
# may destroy them at any time).
SUBMISSIONS_KEPT: Final = 1_000
# Old ones that go with one new one.
_TRIMMED_MAX: Final = 8
# What is to be sent at once is sent by the node that was asked. After this the leader takes over.
GRACE_MS: Final = 5_000

PENDING: Final = "pending"
FINAL: Final = "final"
CANCELED: Final = "canceled"
QUEUED: Final = "queued"
DELIVERED: Final = "yes"
FAILED: Final = "no"

Parameters = dict[str, str | None]


class Recipient(msgspec.Struct, array_like=True, frozen=True):
    """One address of the envelope, and what became of it (RFC 8621 7 DeliveryStatus)."""

    email: str
    parameters: Parameters | None = None
    delivered: str = QUEUED
    reply: str = "250 2.1.5 queued"
    is_displayed: bool = False


class Submission(msgspec.Struct, array_like=True, frozen=True):
    """RFC 8621 7, without its id. Times in milliseconds since 1970."""

    identity: int
    email: int
    thread: int
    blob: BlobId
    mail_from: str
    mail_parameters: Parameters | None
    recipients: tuple[Recipient, ...]
    send_at_ms: int
    due_ms: int
    undo_status: str = PENDING
    dsn_blobs: tuple[BlobId, ...] = ()
    mdn_blobs: tuple[BlobId, ...] = ()
    is_hidden: bool = False
    """Its owner destroyed it while it was still to be sent (RFC 8621 7.5): it is sent, and only
    whoever sends sees it."""

    @property
    def waiting(self) -> list[str]:
        """The recipients that have no answer yet; none when it is canceled."""
        if self.undo_status == CANCELED:
            return []
        return [each.email for each in self.recipients if each.delivered == QUEUED]


class CannotUnsend(Exception):
    """It is on its way, or canceled, already."""


_SUBMISSIONS: Final = Collection(TypeCode.SUBMISSION, Submission)


def get_submission(rows: Rows, account: AccountId, number: int) -> Submission | None:
    """The submission with this number, unless its owner destroyed it."""
    held = _SUBMISSIONS.get(rows, account, number)
    return None if held is None or held.is_hidden else held


def to_be_sent(rows: Rows, account: AccountId, number: int) -> Submission | None:
    """The submission with this number, for whoever sends it: destroyed or not."""
    return _SUBMISSIONS.get(rows, account, number)


def list_submissions(
    rows: Rows, account: AccountId, *, limit: int | None = None
) -> list[tuple[int, Submission]]:
    """All of an account, oldest first."""
    found = (pair for pair in _SUBMISSIONS.walk(rows, account) if not pair[1].is_hidden)
    return list(islice(found, limit))


def _due(account: AccountId, number: int, submission: Submission) -> Due:
    return Due(submission.due_ms, TypeCode.SUBMISSION, account, pack_u64(number))


def number_due(due: Due) -> int:
    """Which submission is due."""
    assert due.kind is TypeCode.SUBMISSION, due
    return unpack_u64(due.what)


def plan_create(plan: Plan, account: AccountId, submission: Submission) -> int:
    """Have it sent when it is due; old ones that are done with go."""
    number = _SUBMISSIONS.create(plan, account, submission)
    blob_links.plan_link(plan, account, submission.blob, TypeCode.SUBMISSION, number)
    plan_due(plan, _due(account, number, submission))
    for old, held in _SUBMISSIONS.list(plan, account, limit=_TRIMMED_MAX):
        if old <= number - SUBMISSIONS_KEPT and not held.waiting:
            _destroy(plan, account, old, held)
    return number


def plan_cancel(plan: Plan, account: AccountId, number: int) -> None:
    """Have it not sent; raises Missing, CannotUnsend."""
    held = get_submission(plan, account, number)
    if held is None:
        raise Missing(number)
    if held.undo_status != PENDING:
        raise CannotUnsend(number)
    _change(plan, account, number, held, msgspec.structs.replace(held, undo_status=CANCELED))


def plan_answers(
    plan: Plan, account: AccountId, number: int, answers: Mapping[str, tuple[str, str]]
) -> Version:
    """What became of recipients: (delivered, SMTP reply) by address. It cannot be unsent now."""
    held = to_be_sent(plan, account, number)
    if held is None:
        raise Missing(number)
    recipients = tuple(
        msgspec.structs.replace(
            each, delivered=answers[each.email][0], reply=answers[each.email][1]
        )
        if each.email in answers
        else each
        for each in held.recipients
    )
    changed = msgspec.structs.replace(held, recipients=recipients, undo_status=FINAL)
    _change(plan, account, number, held, changed)
    return plan.version(account)


def plan_destroy(plan: Plan, account: AccountId, number: int) -> None:
    """Forget it; what is still to be sent of it is sent (RFC 8621 7.5). Raises Missing."""
    held = get_submission(plan, account, number)
    if held is None:
        raise Missing(number)
    if held.waiting:
        hidden = msgspec.structs.replace(held, is_hidden=True)
        _SUBMISSIONS.hide(plan, account, number, hidden)
    else:
        _destroy(plan, account, number, held)


def _change(plan: Plan, account: AccountId, number: int, old: Submission, new: Submission) -> None:
    if old.is_hidden:
        _SUBMISSIONS.replace_hidden(plan, account, number, new if new.waiting else None)
    else:
        _SUBMISSIONS.update(plan, account, number, new)
    if old.waiting and not new.waiting:
        blob_links.plan_unlink(plan, account, old.blob, TypeCode.SUBMISSION, number)
        plan_done(plan, _due(account, number, old))


def _destroy(plan: Plan, account: AccountId, number: int, held: Submission) -> None:
    for blob in (*held.dsn_blobs, *held.mdn_blobs):
        blob_links.plan_unlink(plan, account, blob, TypeCode.SUBMISSION, number)
    _SUBMISSIONS.destroy(plan, account, number)
