"""Submissions: due until every recipient has an answer, kept for a while after that."""

import msgspec
import pytest

from storage import blob_links
from storage.changes import since
from storage.collection import Missing
from storage.due import list_due
from storage.ids import AccountId, Version, blob_id
from storage.keys import TypeCode
from storage.submissions import (
    CANCELED,
    FINAL,
    PENDING,
    SUBMISSIONS_KEPT,
    CannotUnsend,
    Recipient,
    Submission,
    get_submission,
    list_submissions,
    number_due,
    plan_answers,
    plan_cancel,
    plan_create,
    plan_destroy,
    to_be_sent,
)
from tests.fakes import FakeHouse, make_house

ALICE = AccountId(7)
BLOB = blob_id(b"message")
YES = ("yes", "250 2.1.5 delivered")
PLAIN = Submission(
    identity=1,
    email=2,
    thread=3,
    blob=BLOB,
    mail_from="alice@example.org",
    mail_parameters=None,
    recipients=(Recipient("a@x.example"), Recipient("b@x.example")),
    send_at_ms=100,
    due_ms=200,
)


@pytest.fixture
def house() -> FakeHouse:
    return make_house()


def create(house: FakeHouse, submission: Submission = PLAIN) -> int:
    return house.run(lambda plan: plan_create(plan, ALICE, submission))


def due(house: FakeHouse) -> list[int]:
    """The submissions that are due."""
    return [number_due(each) for each, _ in list_due(house.engine, 200, limit=10)]


def held(house: FakeHouse, number: int) -> Submission:
    found = get_submission(house.engine, ALICE, number)
    assert found is not None
    return found


def test_it_is_due_until_all_have_an_answer(house: FakeHouse) -> None:
    number = create(house)
    assert held(house, number) == PLAIN and held(house, number).undo_status == PENDING
    assert due(house) == [number] and blob_links.holds(house.engine, ALICE, BLOB)
    house.run(lambda plan: plan_answers(plan, ALICE, number, {"a@x.example": YES}))
    assert held(house, number).undo_status == FINAL
    assert held(house, number).waiting == ["b@x.example"] and due(house) == [number]
    refused = ("no", "550 5.1.1 unknown")
    house.run(lambda plan: plan_answers(plan, ALICE, number, {"b@x.example": refused}))
    assert [each.delivered for each in held(house, number).recipients] == ["yes", "no"]
    assert due(house) == [] and not blob_links.holds(house.engine, ALICE, BLOB)


def test_it_may_be_canceled_until_the_first_answer(house: FakeHouse) -> None:
    first, second = create(house), create(house)
    house.run(lambda plan: plan_cancel(plan, ALICE, first))
    assert held(house, first).undo_status == CANCELED and due(house) == [second]
    house.run(lambda plan: plan_answers(plan, ALICE, second, {"a@x.example": YES}))
    for number in (first, second):
        with pytest.raises(CannotUnsend):
            house.run(lambda plan, number=number: plan_cancel(plan, ALICE, number))
    with pytest.raises(Missing):
        house.run(lambda plan: plan_cancel(plan, ALICE, 9))


def test_what_is_destroyed_is_gone_at_once_and_sent_all_the_same(house: FakeHouse) -> None:
    number = create(house)
    house.run(lambda plan: plan_destroy(plan, ALICE, number))
    assert get_submission(house.engine, ALICE, number) is None and due(house) == [number]
    assert list_submissions(house.engine, ALICE) == []
    found = since(house.engine, ALICE, TypeCode.SUBMISSION, Version(1))
    assert (found.created, found.updated, found.destroyed) == ([], [], [number])
    for gone in (plan_cancel, plan_destroy):
        with pytest.raises(Missing):
            house.run(lambda plan, gone=gone: gone(plan, ALICE, number))
    for address, left in (("a@x.example", [number]), ("b@x.example", [])):
        house.run(lambda plan, to=address: plan_answers(plan, ALICE, number, {to: YES}))
        assert due(house) == left and blob_links.holds(house.engine, ALICE, BLOB) is bool(left)
    assert to_be_sent(house.engine, ALICE, number) is None
    later = since(house.engine, ALICE, TypeCode.SUBMISSION, found.new_version)
    assert not later.updated and not later.destroyed
    assert create(house) == number + 1


def test_what_was_canceled_is_destroyed_for_good(house: FakeHouse) -> None:
    number = create(house)
    house.run(lambda plan: plan_cancel(plan, ALICE, number))
    house.run(lambda plan: plan_destroy(plan, ALICE, number))
    assert to_be_sent(house.engine, ALICE, number) is None and due(house) == []


def test_old_ones_go_but_none_that_is_still_to_be_sent(house: FakeHouse) -> None:
    sent = msgspec.structs.replace(PLAIN, recipients=())
    waiting = create(house)
    plan = house.plan()
    with plan.command():
        for _ in range(SUBMISSIONS_KEPT + 1):
            plan_create(plan, ALICE, sent)
    kept = [number for number, _ in list_submissions(plan, ALICE)]
    assert kept[0] == waiting and kept[1] == 3 and len(kept) == SUBMISSIONS_KEPT + 1
