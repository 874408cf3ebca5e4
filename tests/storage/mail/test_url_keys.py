"""The keys of URLs: one for each user and mailbox, made, replaced and gone with the mailbox."""

import random

import pytest

from storage.ids import AccountId, MailboxId
from storage.keys import TypeCode
from storage.mail import mailboxes, url_keys
from storage.mail.errors import TooManyUrlKeys
from storage.mail.sharing import plan_rights
from storage.mail.url_keys import (
    last_reset,
    plan_reset_all_url_keys,
    plan_reset_url_key,
    plan_url_key,
    reset_at,
    url_key,
)
from storage.plan import Plan
from tests.storage.mail.story import ALICE, NOON_MS, PID, House

BOB = AccountId(8)


class Chances:
    """Plans of a house that never draw the same twice."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.chance = random.Random(1)

    def plan(self) -> Plan:
        return Plan(self.house.engine, now_ms=NOON_MS, chance=self.chance)

    def make(self, user: AccountId, owner: AccountId, mailbox: MailboxId) -> bytes:
        plan = self.plan()
        with plan.command():
            made = plan_url_key(plan, user, owner, mailbox)
        self.house.apply(plan)
        return made

    def reset(self, user: AccountId, owner: AccountId, mailbox: MailboxId) -> None:
        plan = self.plan()
        with plan.command():
            plan_reset_url_key(plan, user, owner, mailbox)
        self.house.apply(plan)

    def reset_all(self, user: AccountId) -> None:
        plan = self.plan()
        with plan.command():
            plan_reset_all_url_keys(plan, user)
        self.house.apply(plan)


@pytest.fixture
def keys(house: House) -> Chances:
    return Chances(house)


def test_every_user_has_another_key_for_every_mailbox(house: House, keys: Chances) -> None:
    inbox, drafts = house.role("inbox"), house.role("drafts")
    assert url_key(house.engine, ALICE, ALICE, inbox) is None
    made = [
        keys.make(ALICE, ALICE, inbox),
        keys.make(ALICE, ALICE, drafts),
        keys.make(BOB, ALICE, inbox),
        keys.make(ALICE, BOB, inbox),
    ]
    assert len(set(made)) == 4
    assert {len(key) for key in made} == {url_keys.KEY_OCTETS}
    assert url_key(house.engine, BOB, ALICE, inbox) == made[2]


def test_a_key_is_made_once_and_no_reset(house: House, keys: Chances) -> None:
    inbox = house.role("inbox")
    made, version = keys.make(ALICE, ALICE, inbox), house.version
    assert keys.make(ALICE, ALICE, inbox) == made
    assert house.version == version
    assert last_reset(house.engine, ALICE) == reset_at(house.engine, ALICE, ALICE, inbox) == 0


def test_two_who_make_the_first_key_at_once_do_not_both_succeed(
    house: House, keys: Chances
) -> None:
    inbox = house.role("inbox")
    rival, mine = keys.plan(), keys.plan()
    for plan in (rival, mine):
        with plan.command():
            plan_url_key(plan, ALICE, ALICE, inbox)
    house.apply(rival)
    expected = mine.batch(PID, 0).expects
    assert any(house.engine.get(one.key) != one.value for one in expected)


def test_a_reset_is_of_one_mailbox_and_says_when(house: House, keys: Chances) -> None:
    inbox, drafts = house.role("inbox"), house.role("drafts")
    old, kept = keys.make(ALICE, ALICE, inbox), keys.make(ALICE, ALICE, drafts)
    keys.reset(ALICE, ALICE, inbox)
    assert url_key(house.engine, ALICE, ALICE, inbox) not in (None, old)
    assert url_key(house.engine, ALICE, ALICE, drafts) == kept
    assert last_reset(house.engine, ALICE) == house.version
    assert reset_at(house.engine, ALICE, ALICE, inbox) == house.version
    assert reset_at(house.engine, ALICE, ALICE, drafts) == 0


def test_a_reset_of_all_is_of_one_user(house: House, keys: Chances) -> None:
    inbox = house.role("inbox")
    keys.make(ALICE, ALICE, inbox)
    keys.make(ALICE, BOB, MailboxId(3))
    other = keys.make(BOB, ALICE, inbox)
    keys.reset_all(ALICE)
    assert url_key(house.engine, ALICE, ALICE, inbox) is None
    assert url_key(house.engine, ALICE, BOB, MailboxId(3)) is None
    assert url_key(house.engine, BOB, ALICE, inbox) == other
    assert reset_at(house.engine, ALICE, ALICE, inbox) == house.version
    keys.make(ALICE, ALICE, inbox)
    assert reset_at(house.engine, ALICE, ALICE, inbox) < house.version


def test_a_change_is_announced(house: House, keys: Chances) -> None:
    plan = keys.plan()
    with plan.command():
        plan_reset_all_url_keys(plan, ALICE)
    (told,) = plan.batch(PID, 0).announces
    assert (told.account, told.types) == (ALICE, TypeCode.URL_KEY.bit)


def test_a_mailbox_takes_all_keys_with_it(house: House, keys: Chances) -> None:
    made = house.create("short")
    with house.command() as plan:
        plan_rights(plan, ALICE, made.id, BOB, "lr")
    keys.make(ALICE, ALICE, made.id)
    keys.make(BOB, ALICE, made.id)
    kept = keys.make(BOB, BOB, made.id)  # his own, of the same number
    with house.command() as plan:
        mailboxes.plan_destroy_mailbox(plan, ALICE, made.id, remove_emails=True)
    assert url_key(house.engine, ALICE, ALICE, made.id) is None
    assert url_key(house.engine, BOB, ALICE, made.id) is None
    assert url_key(house.engine, BOB, BOB, made.id) == kept
    assert house.create("short").id != made.id


def test_a_full_table_forgets_mailboxes_that_are_gone_and_then_is_full(
    house: House, keys: Chances, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(url_keys, "KEYS_MAX", 2)
    inbox, gone = house.role("inbox"), MailboxId(999)
    keys.make(BOB, ALICE, inbox)
    keys.make(BOB, ALICE, gone)
    kept = keys.make(BOB, ALICE, house.role("drafts"))
    assert url_key(house.engine, BOB, ALICE, gone) is None
    with pytest.raises(TooManyUrlKeys):
        keys.make(BOB, ALICE, house.role("sent"))
    assert keys.make(BOB, ALICE, house.role("drafts")) == kept
    keys.reset(BOB, ALICE, inbox)  # in its own place
    assert url_key(house.engine, BOB, ALICE, house.role("drafts")) == kept
