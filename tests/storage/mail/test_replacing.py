"""A new email in the place of a message: one command, the quota by what remains."""

import pytest

from storage.ids import MailboxId
from storage.keys import TypeCode
from storage.mail import messages
from storage.mail.errors import EmailNotFound, OverQuota
from storage.mail.moves import plan_mailboxes
from storage.mail.quota import plan_limit, plan_messages_limit
from storage.mail.records import IngestedEmail, NewEmail
from storage.mail.replacing import plan_replace
from storage.mail.uids import vanished
from tests.storage.mail.story import ALICE, House, new_email


def replace(
    house: House, source: MailboxId, uid: int, email: NewEmail, *, into: MailboxId | None = None
) -> IngestedEmail:
    with house.command() as plan:
        return plan_replace(plan, ALICE, email, mailbox=into or source, source=source, uid=uid)


def uids(house: House, mailbox: MailboxId) -> list[int]:
    return [uid for uid, _ in messages.uid_rows(house.engine, ALICE, mailbox)]


def limit(house: House, *, octets: int = 0, emails: int = 0) -> None:
    with house.command() as plan:
        plan_limit(plan, ALICE, octets)
        plan_messages_limit(plan, ALICE, emails)


def test_one_comes_and_one_goes_at_the_same_version(house: House) -> None:
    drafts, sent = house.role("drafts"), house.role("sent")
    old = house.deliver(drafts, ids=["a@b"], subject="s")
    before = house.version
    new = replace(house, drafts, 1, new_email(ids=["a@b"], subject="s"), into=sent)
    assert (uids(house, drafts), uids(house, sent)) == ([], [1])
    assert house.version == before + 1
    assert vanished(house.engine, ALICE, drafts, before) == [1]
    told = house.changes(TypeCode.EMAIL, before)
    assert (told.created, told.destroyed) == ([new.id], [old.id])


def test_the_thread_of_the_two_stays(house: House) -> None:
    drafts = house.role("drafts")
    old = house.deliver(drafts, ids=["a@b"], subject="s")
    new = replace(house, drafts, 1, new_email(ids=["a@b"], subject="s"))
    assert new.thread == old.thread
    assert new.id != old.id


def test_what_is_gone_is_not_replaced(house: House) -> None:
    drafts = house.role("drafts")
    with pytest.raises(EmailNotFound):
        replace(house, drafts, 1, new_email())
    assert uids(house, drafts) == []


def test_only_what_it_takes_more_must_fit(house: House) -> None:
    inbox = house.role("inbox")
    house.deliver(size=900)
    limit(house, octets=1_000, emails=1)
    replace(house, inbox, 1, new_email(size=1_000))
    with pytest.raises(OverQuota):
        replace(house, inbox, 2, new_email(size=1_001))
    assert uids(house, inbox) == [2]
    limit(house, octets=10)  # over its limit already: what takes no more is still taken
    replace(house, inbox, 2, new_email(size=1_000))
    assert uids(house, inbox) == [3]


def test_one_that_is_elsewhere_too_stays_there_and_frees_nothing(house: House) -> None:
    inbox, archive = house.role("inbox"), house.role("archive")
    old = house.deliver(size=900)
    with house.command() as plan:
        plan_mailboxes(plan, ALICE, old.id, add=[archive])
    limit(house, octets=1_000)
    with pytest.raises(OverQuota):
        replace(house, inbox, 1, new_email(size=101))
    limit(house, emails=1)
    with pytest.raises(OverQuota):
        replace(house, inbox, 1, new_email(size=100))
    limit(house)
    replace(house, inbox, 1, new_email(size=101))
    assert (uids(house, inbox), uids(house, archive)) == ([2], [1])
