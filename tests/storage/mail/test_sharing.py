"""Mailboxes that others may see: who may do what, and how they learn of it."""

import pytest

from storage.ids import AccountId, MailboxId
from storage.keys import TypeCode
from storage.mail import mailboxes, sharing
from storage.mail.errors import (
    MailboxNameInvalid,
    MailboxNotFound,
    NoPermission,
    TooManyFollowed,
    TooManyReaders,
)
from storage.mail.sharing import ALL, ANYONE, plan_follow, plan_rights
from storage.mail.tree import OTHER_USERS
from tests.storage.mail.story import ALICE, PID, House

BOB = AccountId(8)
CAROL = AccountId(9)


def share(house: House, mailbox: MailboxId, reader: AccountId, letters: str) -> None:
    with house.command() as plan:
        plan_rights(plan, ALICE, mailbox, reader, letters)


def rights(house: House, mailbox: MailboxId, reader: AccountId) -> str:
    return sharing.rights(house.engine, ALICE, mailbox, reader)


def test_the_owner_has_every_right_and_nobody_else_any(house: House) -> None:
    inbox = house.role("inbox")
    assert rights(house, inbox, ALICE) == ALL
    assert rights(house, inbox, BOB) == ""
    assert sharing.received(house.engine, BOB) == []


def test_rights_are_given_changed_and_taken(house: House) -> None:
    inbox = house.role("inbox")
    before = house.version
    share(house, inbox, BOB, "srl")
    assert house.version == before + 1
    assert rights(house, inbox, BOB) == "lrs"
    assert sharing.received(house.engine, BOB) == [(ALICE, inbox)]
    share(house, inbox, BOB, "lr")
    assert sharing.readers(house.engine, ALICE, inbox) == {BOB: "lr"}
    share(house, inbox, BOB, "")
    assert rights(house, inbox, BOB) == ""
    assert sharing.readers(house.engine, ALICE, inbox) == {}
    assert sharing.received(house.engine, BOB) == []


def test_a_reader_is_told_of_his_rights_and_nothing_of_his_is_changed(house: House) -> None:
    plan = house.plan()
    with plan.command():
        plan_rights(plan, ALICE, house.role("inbox"), BOB, "lr")
    announced = {each.account: each.types for each in plan.batch(PID, 1).announces}
    assert announced == {ALICE: TypeCode.RIGHTS.bit, BOB: TypeCode.RIGHTS.bit}
    assert plan.version(BOB) == 0


def test_the_same_rights_again_are_no_change(house: House) -> None:
    share(house, house.role("inbox"), BOB, "lr")
    plan = house.plan()
    with plan.command():
        plan_rights(plan, ALICE, house.role("inbox"), BOB, "rl")
        plan_rights(plan, ALICE, house.role("inbox"), CAROL, "")
    assert plan.empty


def test_what_anyone_may_adds_to_what_one_may(house: House) -> None:
    inbox, sent = house.role("inbox"), house.role("sent")
    share(house, inbox, ANYONE, "lr")
    share(house, inbox, BOB, "i")
    share(house, sent, BOB, "l")
    assert rights(house, inbox, BOB) == "lri"
    assert rights(house, inbox, CAROL) == "lr"
    assert sharing.received(house.engine, BOB) == sorted([(ALICE, inbox), (ALICE, sent)])
    assert sharing.received(house.engine, CAROL) == [(ALICE, inbox)]
    assert sharing.received(house.engine, ALICE) == []


def test_a_missing_right_is_refused_and_a_hidden_mailbox_is_none(house: House) -> None:
    inbox = house.role("inbox")
    share(house, inbox, BOB, "lr")
    share(house, inbox, CAROL, "i")
    assert sharing.check_right(house.engine, ALICE, inbox, BOB, "r") == "lr"
    with pytest.raises(NoPermission):
        sharing.check_right(house.engine, ALICE, inbox, BOB, "i")
    assert sharing.check_right(house.engine, ALICE, inbox, CAROL, "i") == "i"
    with pytest.raises(MailboxNotFound):
        sharing.check_right(house.engine, ALICE, inbox, CAROL, "r")


def test_a_new_mailbox_is_shared_as_the_one_above_it(house: House) -> None:
    top = house.create("Projects")
    share(house, top.id, BOB, "lr")
    below = house.create("2026", parent=top.id)
    assert rights(house, below.id, BOB) == "lr"
    share(house, top.id, BOB, "")
    assert rights(house, below.id, BOB) == "lr"
    assert rights(house, house.create("Other").id, BOB) == ""


def test_a_mailbox_that_is_renamed_keeps_its_list(house: House) -> None:
    top = house.create("Projects")
    share(house, top.id, BOB, "lr")
    with house.command() as plan:
        mailboxes.plan_update(plan, ALICE, top.id, name="Work", parent=house.role("archive"))
    assert rights(house, top.id, BOB) == "lr"


def test_a_mailbox_that_goes_takes_its_list_along(house: House) -> None:
    top = house.create("Projects")
    share(house, top.id, BOB, "lr")
    share(house, top.id, ANYONE, "l")
    with house.command() as plan:
        mailboxes.plan_destroy_mailbox(plan, ALICE, top.id, remove_emails=True)
    assert sharing.readers(house.engine, ALICE, top.id) == {}
    assert sharing.received(house.engine, BOB) == []
    with pytest.raises(MailboxNotFound):
        share(house, top.id, BOB, "lr")


def test_readers_of_a_mailbox_are_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "READERS_MAX", 2)
    inbox = house.role("inbox")
    share(house, inbox, BOB, "l")
    share(house, inbox, ANYONE, "l")
    with pytest.raises(TooManyReaders):
        share(house, inbox, CAROL, "l")
    share(house, inbox, BOB, "lr")
    share(house, inbox, BOB, "")
    share(house, inbox, CAROL, "l")


def test_others_are_followed_and_left(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox, sent = house.role("inbox"), house.role("sent")

    def follow(mailbox: MailboxId, *, wanted: bool) -> None:
        with house.command() as plan:
            plan_follow(plan, BOB, ALICE, mailbox, wanted=wanted)

    follow(inbox, wanted=True)
    follow(inbox, wanted=True)
    assert sharing.followed(house.engine, BOB) == {(ALICE, inbox)}
    monkeypatch.setattr(sharing, "FOLLOWED_MAX", 1)
    with pytest.raises(TooManyFollowed):
        follow(sent, wanted=True)
    follow(inbox, wanted=False)
    follow(sent, wanted=False)
    assert sharing.followed(house.engine, BOB) == set()


def test_the_place_of_others_mailboxes_is_kept_free(house: House) -> None:
    with pytest.raises(MailboxNameInvalid):
        house.create(OTHER_USERS)
    with pytest.raises(MailboxNameInvalid), house.command() as plan:
        mailboxes.plan_update(plan, ALICE, house.role("sent"), name=OTHER_USERS)
    top = house.create("Top")
    assert house.create(OTHER_USERS, parent=top.id).name == OTHER_USERS
