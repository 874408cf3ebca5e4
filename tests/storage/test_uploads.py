"""Uploads: readable while they are kept, gone when their time or their room is over."""

import pytest

from storage import blob_links
from storage.due import list_due
from storage.ids import AccountId, BlobId, blob_id
from storage.keys import TypeCode
from storage.uploads import (
    UPLOAD_KEPT_MS,
    plan_expire,
    plan_forget,
    plan_upload,
    uploaded_octets,
)
from tests.fakes import FakeHouse, make_house

ALICE = AccountId(7)
MAX = 100


@pytest.fixture
def house() -> FakeHouse:
    return make_house()


def upload(house: FakeHouse, name: str, octets: int) -> BlobId:
    """Keep a blob; a second passes."""
    blob = blob_id(name.encode())
    house.run(lambda plan: plan_upload(plan, ALICE, blob, octets, octets_max=MAX))
    house.clock.pass_s(1)
    return blob


def kept(house: FakeHouse, *blobs: BlobId) -> list[bool]:
    """Which of them may be read."""
    return [blob_links.holds(house.engine, ALICE, blob) for blob in blobs]


def expire(house: FakeHouse) -> int:
    """Do what is due; how much was."""
    due = list_due(house.engine, house.clock.now_ms(), limit=10)
    for each, _ in due:
        house.run(lambda plan, each=each: plan_expire(plan, each))
    return len(due)


def test_an_upload_is_kept_for_its_time(house: FakeHouse) -> None:
    blob = upload(house, "a", 60)
    assert kept(house, blob) == [True] and uploaded_octets(house.engine, ALICE) == 60
    house.clock.pass_s(UPLOAD_KEPT_MS / 1000 - 2)
    assert expire(house) == 0
    house.clock.pass_s(2)
    assert expire(house) == 1 and expire(house) == 0
    assert kept(house, blob) == [False] and uploaded_octets(house.engine, ALICE) == 0


def test_its_time_begins_anew_with_another_upload(house: FakeHouse) -> None:
    blob = upload(house, "a", 60)
    house.clock.pass_s(3600)
    assert upload(house, "a", 60) == blob
    assert uploaded_octets(house.engine, ALICE) == 60
    house.clock.pass_s(UPLOAD_KEPT_MS / 1000 - 3600)
    assert expire(house) == 0 and kept(house, blob) == [True]


def test_the_oldest_make_room(house: FakeHouse) -> None:
    a, b, c = (upload(house, name, 40) for name in "abc")
    assert kept(house, a, b, c) == [False, True, True]
    assert uploaded_octets(house.engine, ALICE) == 80
    d = upload(house, "d", 20)
    assert kept(house, b, c, d) == [True, True, True]
    large = upload(house, "large", MAX + 1)
    assert kept(house, b, c, d, large) == [False, False, False, True]
    assert expire(house) == 0
    house.clock.pass_s(UPLOAD_KEPT_MS / 1000)
    assert expire(house) == 1  # those pushed out left nothing to do


def test_what_an_email_came_to_hold_stays(house: FakeHouse) -> None:
    blob = upload(house, "a", 60)
    house.run(lambda plan: blob_links.plan_link(plan, ALICE, blob, TypeCode.EMAIL, 1))
    house.clock.pass_s(UPLOAD_KEPT_MS / 1000)
    assert expire(house) == 1
    assert kept(house, blob) == [True] and uploaded_octets(house.engine, ALICE) == 0


def test_forgetting_what_is_gone_changes_nothing(house: FakeHouse) -> None:
    blob = upload(house, "a", 60)
    when_ms = house.clock.now_ms() - 1000
    for _ in range(2):
        house.run(lambda plan: plan_forget(plan, ALICE, when_ms, blob))
        assert uploaded_octets(house.engine, ALICE) == 0
