"""The mark over messages that somebody was told of: it goes forward, and with all else."""

from storage.mail import mailboxes
from storage.mail.recent import first_recent, plan_take_recent
from tests.storage.mail.story import ALICE, PID, House


def test_each_message_is_taken_once() -> None:
    house = House().open()
    inbox = house.role("inbox")
    with house.command() as plan:
        assert plan_take_recent(plan, ALICE, inbox, 5) == 1
    with house.command() as plan:
        assert plan_take_recent(plan, ALICE, inbox, 9) == 5
        assert plan_take_recent(plan, ALICE, inbox, 9) == 9
    assert first_recent(house.engine, ALICE, inbox) == 9


def test_the_mark_never_falls() -> None:
    house = House().open()
    with house.command() as plan:
        plan_take_recent(plan, ALICE, house.role("inbox"), 9)
    with house.command() as plan:
        assert plan_take_recent(plan, ALICE, house.role("inbox"), 5) == 9
    assert first_recent(house.engine, ALICE, house.role("inbox")) == 9


def test_nothing_is_kept_of_a_mailbox_that_is_gone() -> None:
    house = House().open()
    with house.command() as plan:
        other = mailboxes.plan_create(plan, ALICE, "Other").id
    with house.command() as plan:
        plan_take_recent(plan, ALICE, other, 5)
    with house.command() as plan:
        mailboxes.plan_destroy_mailbox(plan, ALICE, other, remove_emails=True)
        assert plan_take_recent(plan, ALICE, other, 7) == 1
    assert first_recent(house.engine, ALICE, other) == 1


def test_of_two_who_take_the_same_at_once_one_takes_again() -> None:
    house = House().open()
    plans = [house.plan(), house.plan()]
    for plan in plans:
        with plan.command():
            assert plan_take_recent(plan, ALICE, house.role("inbox"), 5) == 1
    house.apply(plans[0])
    late = plans[1].batch(PID, 0).expects
    assert any(house.engine.get(each.key) != each.value for each in late)
    with house.command() as again:
        assert plan_take_recent(again, ALICE, house.role("inbox"), 5) == 5
