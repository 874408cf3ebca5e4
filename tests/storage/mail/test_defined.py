"""Keywords of a mailbox: each once, however they came into it, and gone with it."""

from storage.ids import EmailId
from storage.mail import mailboxes
from storage.mail.defined import DEFINED_MAX, defined, plan_define
from storage.mail.keywords import plan_keywords
from storage.mail.moves import plan_copy_uids
from tests.storage.mail.story import ALICE, House


def change(house: House, email: EmailId, *keywords: str) -> None:
    with house.command() as plan:
        plan_keywords(plan, ALICE, email, replace=keywords)


def test_what_messages_come_with_and_get_is_defined_from_then_on(house: House) -> None:
    inbox = house.role("inbox")
    email = house.deliver(keywords=["$seen", "work", "$forwarded"]).id
    assert defined(house.engine, ALICE, inbox) == ("work",)
    change(house, email, "urgent", "home")
    assert defined(house.engine, ALICE, inbox) == ("work", "home", "urgent")
    change(house, email)
    assert defined(house.engine, ALICE, inbox) == ("work", "home", "urgent")


def test_a_copy_brings_its_keywords_along(house: House) -> None:
    inbox, other = house.role("inbox"), house.create("Other").id
    house.deliver(keywords=["work"])
    with house.command() as plan:
        plan_copy_uids(plan, ALICE, inbox, [1], other)
    assert defined(house.engine, ALICE, other) == ("work",)


def test_no_more_are_kept_than_a_mailbox_may_have(house: House) -> None:
    inbox = house.role("inbox")
    names = [f"k{number:03}" for number in range(DEFINED_MAX + 5)]
    with house.command() as plan:
        plan_define(plan, ALICE, inbox, names)
    assert defined(house.engine, ALICE, inbox) == tuple(names[:DEFINED_MAX])


def test_nothing_is_kept_of_a_mailbox_that_is_gone(house: House) -> None:
    with house.command() as plan:
        other = mailboxes.plan_create(plan, ALICE, "Other").id
        plan_define(plan, ALICE, other, ["work"])
    with house.command() as plan:
        mailboxes.plan_destroy_mailbox(plan, ALICE, other, remove_emails=True)
    assert defined(house.engine, ALICE, other) == ()
