"""Roles, and unread threads with the trash apart (RFC 8621 2)."""

import pytest

from storage.ids import MailboxId
from storage.keys import TypeCode
from storage.mail import mailboxes, roles
from storage.mail.errors import MailboxTooLarge, RoleInvalid
from storage.mail.roles import check_role
from tests.storage.mail.story import ALICE, House


def set_role(house: House, mailbox: MailboxId, role: str | None) -> None:
    with house.command() as plan:
        mailboxes.plan_update(plan, ALICE, mailbox, role=role)


def unread(house: House, *boxes: MailboxId) -> list[int]:
    return [house.counts(box).unread_threads for box in boxes]


def test_the_rfcs_own_example(house: House) -> None:
    inbox, trash = house.role("inbox"), house.role("trash")
    house.deliver(trash, ids=["a"], subject="s")
    house.deliver(inbox, ids=["b", "a"], subject="s", keywords=["$seen"])
    assert unread(house, trash, inbox) == [1, 0]


def test_an_unread_answer_elsewhere_makes_the_thread_unread_everywhere(house: House) -> None:
    inbox, sent, trash = (house.role(role) for role in ("inbox", "sent", "trash"))
    house.deliver(sent, ids=["a"], subject="s", keywords=["$seen"])
    before = house.version
    house.deliver(inbox, ids=["b", "a"], subject="s")
    assert unread(house, sent, inbox, trash) == [1, 1, 0]
    assert house.changes(TypeCode.MAILBOX, before).updated == sorted([inbox, sent])
    assert house.counts(sent).modseq <= before


def test_an_email_in_the_trash_and_elsewhere_counts_in_both(house: House) -> None:
    inbox, trash = house.role("inbox"), house.role("trash")
    house.deliver(inbox, trash)
    assert unread(house, inbox, trash) == [1, 1]


def test_when_the_trash_becomes_another_all_is_counted_anew(house: House) -> None:
    inbox, trash, archive = (house.role(role) for role in ("inbox", "trash", "archive"))
    house.deliver(trash, ids=["a"], subject="s")
    house.deliver(inbox, ids=["b", "a"], subject="s", keywords=["$seen"])
    house.deliver(archive, ids=["c"], subject="t")
    house.deliver(inbox, ids=["d", "c"], subject="t", keywords=["$seen"])
    assert unread(house, inbox, trash, archive) == [1, 1, 1]
    before = house.version
    set_role(house, trash, None)
    assert unread(house, inbox, trash, archive) == [2, 1, 1]
    told = house.changes(TypeCode.MAILBOX, before)
    assert (told.updated, told.counts_only) == (sorted([inbox, trash]), False)
    set_role(house, archive, None)
    set_role(house, archive, "trash")
    assert unread(house, inbox, trash, archive) == [1, 1, 1]


def test_a_trash_too_large_to_count_anew_stays(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert roles.TRASH_EMAILS_MAX == 10_000
    monkeypatch.setattr(roles, "TRASH_EMAILS_MAX", 2)
    trash = house.role("trash")
    for _ in range(3):
        house.deliver(trash)
    with pytest.raises(MailboxTooLarge):
        set_role(house, trash, None)
    assert house.role("trash") == trash


@pytest.mark.parametrize("role", ["Inbox", "", "hasnochildren", "tr\u00e4sh"])
def test_what_is_no_role_is_refused(role: str) -> None:
    with pytest.raises(RoleInvalid):
        check_role(role)
