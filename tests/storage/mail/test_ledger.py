"""One command's changes: under one version, all or nothing, however many share a batch."""

import pytest

from storage.ids import AccountId
from storage.keys import TypeCode, lone_blob_key, version_key
from storage.mail.errors import NoMailbox, OverQuota
from storage.mail.ingest import plan_ingest
from storage.mail.keywords import plan_keywords
from storage.mail.moves import plan_expunge, plan_mailboxes
from storage.mail.quota import plan_limit
from storage.mail.recount import recount
from storage.mail.state import state, version
from tests.storage.mail.story import ALICE, PID, House, new_email


def test_several_commands_share_a_batch_and_each_has_its_version(house: House) -> None:
    inbox, before = house.role("inbox"), house.version
    plan = house.plan()
    with plan.command():
        first = plan_ingest(plan, ALICE, new_email(), mailboxes=[inbox])
    with plan.command():
        second = plan_ingest(plan, ALICE, new_email(), mailboxes=[inbox])
    with plan.command():
        plan_keywords(plan, ALICE, first.id, add=["$seen"])
    house.apply(plan)
    assert (first.version, second.version, house.version) == (before + 1, before + 2, before + 3)
    assert house.changes(TypeCode.EMAIL, before + 1).created == [second.id]
    assert house.counts(inbox).unseen == 1


def test_a_refused_command_leaves_nothing_with_its_neighbours(house: House) -> None:
    inbox, archive = house.role("inbox"), house.role("archive")
    with house.command() as plan:
        plan_limit(plan, ALICE, 1_500)
    plan = house.plan()
    with plan.command():
        came = plan_ingest(plan, ALICE, new_email(), mailboxes=[inbox])
    with pytest.raises(OverQuota), plan.command():
        plan_mailboxes(plan, ALICE, came.id, add=[archive])
        plan_ingest(plan, ALICE, new_email(), mailboxes=[inbox])
    house.apply(plan)
    assert house.version == came.version
    assert house.counts(archive).uidnext == 1


def test_an_attempt_that_is_refused_shares_a_version_and_leaves_nothing(house: House) -> None:
    inbox = house.role("inbox")
    one, two = house.deliver(inbox), house.deliver(inbox)
    plan = house.plan()
    with plan.command():
        with plan.attempt():
            plan_keywords(plan, ALICE, one.id, add=["$seen"])
        with pytest.raises(NoMailbox), plan.attempt():
            plan_keywords(plan, ALICE, two.id, add=["$seen"])
            plan_mailboxes(plan, ALICE, two.id, replace=[])
        with plan.attempt():
            plan_expunge(plan, ALICE, inbox, [1])
    house.apply(plan)
    told = house.changes(TypeCode.EMAIL, two.version)
    assert (told.updated, told.destroyed) == ([], [one.id])
    assert house.version == two.version + 1


def test_two_plans_on_one_state_conflict(house: House) -> None:
    plans = [house.plan(), house.plan()]
    for plan in plans:
        with plan.command():
            plan_ingest(plan, ALICE, new_email(), mailboxes=[house.role("inbox")])
    expected = [plan.batch(PID, 0).expects for plan in plans]
    assert expected[0] == expected[1]
    lone = lone_blob_key(new_email().blob)  # nobody shall be about to collect it
    assert [one.key for one in expected[0]] == [version_key(ALICE), lone]


def test_an_account_without_mail_is_at_its_start() -> None:
    house = House()
    nobody = AccountId(99)
    assert version(house.engine, nobody) == 0
    assert state(house.engine, nobody).next_email == 1
    assert recount(house.engine, nobody) == []
