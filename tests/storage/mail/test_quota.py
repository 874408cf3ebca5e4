"""The account's limits."""

import pytest

from storage.keys import TypeCode
from storage.mail.errors import OverQuota
from storage.mail.moves import plan_copy_uids, plan_move_uids
from storage.mail.quota import (
    LIMIT_MAX,
    MAILBOXES_ID,
    MESSAGES_ID,
    OCTETS_ID,
    Limits,
    Quota,
    check_room,
    limits,
    plan_limit,
    plan_limits,
    plan_messages_limit,
    quotas,
    room,
)
from storage.mail.tree import MAILBOXES_MAX
from tests.storage.mail.story import ALICE, House


def set_limit(house: House, octets: int) -> None:
    with house.command() as plan:
        plan_limit(plan, ALICE, octets)


def test_it_bounds_what_comes_in(house: House) -> None:
    set_limit(house, 1_500)
    house.deliver(size=1_000)
    assert room(house.engine, ALICE) == 500
    with pytest.raises(OverQuota):
        house.deliver(size=501)
    house.deliver(size=500)
    assert room(house.engine, ALICE) == 0


def set_messages(house: House, messages: int) -> None:
    with house.command() as plan:
        plan_messages_limit(plan, ALICE, messages)


def test_messages_are_bounded_where_they_come_in(house: House) -> None:
    before = house.version
    set_messages(house, 2)
    assert house.changes(TypeCode.QUOTA, before).created == [MESSAGES_ID]
    house.deliver(size=10)
    before = house.version
    inbox = house.role("inbox")
    uid = dict(house.deliver(size=10).mailboxes)[inbox]
    assert house.changes(TypeCode.QUOTA, before).updated == [MESSAGES_ID]
    assert quotas(house.engine, ALICE)[-1] == Quota(MESSAGES_ID, 2, 2)
    with pytest.raises(OverQuota):
        house.deliver(size=10)
    with pytest.raises(OverQuota), house.command() as plan:
        plan_copy_uids(plan, ALICE, inbox, [uid], inbox)
    check_room(house.engine, ALICE, 2**62)  # an upload is no message
    with house.command() as plan:
        plan_move_uids(plan, ALICE, inbox, [uid], inbox)
    set_messages(house, 1)
    with pytest.raises(OverQuota):
        house.deliver(size=10)
    before = house.version
    set_messages(house, 0)
    assert house.changes(TypeCode.QUOTA, before).destroyed == [MESSAGES_ID]
    house.deliver(size=10)


def test_each_limit_leaves_the_other_alone(house: House) -> None:
    set_limit(house, 100)
    set_messages(house, 5)
    set_limit(house, 200)
    set_messages(house, 6)
    house.deliver(size=10)
    limits = {held.id: held.limit for held in quotas(house.engine, ALICE)}
    assert (limits[OCTETS_ID], limits[MESSAGES_ID]) == (200, 6)


def test_without_a_limit_all_fits(house: House) -> None:
    assert limits(house.engine, ALICE) == Limits()
    assert room(house.engine, ALICE) is None
    check_room(house.engine, ALICE, 2**62)


def test_who_is_over_a_new_limit_keeps_what_is_there(house: House) -> None:
    house.deliver(size=1_000)
    set_limit(house, 10)
    assert limits(house.engine, ALICE) == Limits(octets=10)
    assert room(house.engine, ALICE) == 0
    with pytest.raises(OverQuota):
        house.deliver(size=1)
    set_limit(house, 0)
    house.deliver(size=1_000)


def test_setting_what_is_set_changes_nothing(house: House) -> None:
    plan = house.plan()
    with plan.command():
        plan_limit(plan, ALICE, 0)
    assert plan.empty


def test_the_limit_comes_changes_and_goes(house: House) -> None:
    before = house.version
    set_limit(house, 1_500)
    assert house.changes(TypeCode.QUOTA, before).created == [OCTETS_ID]
    assert quotas(house.engine, ALICE)[0] == Quota(OCTETS_ID, 0, 1_500)
    before = house.version
    set_limit(house, 2_000)
    found = house.changes(TypeCode.QUOTA, before)
    assert (found.created, found.updated, found.counts_only) == ([], [OCTETS_ID], False)
    before = house.version
    set_limit(house, 0)
    assert house.changes(TypeCode.QUOTA, before).destroyed == [OCTETS_ID]
    assert [held.id for held in quotas(house.engine, ALICE)] == [MAILBOXES_ID]


def test_what_is_used_is_logged_where_it_is_limited(house: House) -> None:
    before = house.version
    house.deliver(size=1_000)
    assert house.changes(TypeCode.QUOTA, before).updated == []
    set_limit(house, 5_000)
    before = house.version
    house.deliver(size=1_000)
    found = house.changes(TypeCode.QUOTA, before)
    assert (found.updated, found.counts_only) == ([OCTETS_ID], True)
    assert quotas(house.engine, ALICE)[0].used == 2_000


def test_mailboxes_are_counted(house: House) -> None:
    (held,) = quotas(house.engine, ALICE)
    before = house.version
    house.create("New")
    found = house.changes(TypeCode.QUOTA, before)
    assert (found.updated, found.counts_only) == ([MAILBOXES_ID], True)
    (after,) = quotas(house.engine, ALICE)
    assert after == Quota(MAILBOXES_ID, held.used + 1, MAILBOXES_MAX)


def set_limits(house: House, limits: Limits) -> None:
    with house.command() as plan:
        plan_limits(plan, ALICE, limits)


def test_mailboxes_may_be_limited_to_fewer(house: House) -> None:
    (held,) = quotas(house.engine, ALICE)
    before = house.version
    set_limits(house, Limits(mailboxes=held.used + 1))
    found = house.changes(TypeCode.QUOTA, before)
    assert (found.updated, found.counts_only) == ([MAILBOXES_ID], False)
    house.create("Last")
    assert quotas(house.engine, ALICE) == [Quota(MAILBOXES_ID, held.used + 1, held.used + 1)]
    with pytest.raises(OverQuota):
        house.create("One more")
    set_limits(house, Limits())
    house.create("One more")
    assert quotas(house.engine, ALICE)[0].limit == MAILBOXES_MAX


def test_a_limit_of_mailboxes_that_is_ours_is_none(house: House) -> None:
    plan = house.plan()
    with plan.command():
        plan_limits(plan, ALICE, Limits(mailboxes=MAILBOXES_MAX))
    assert plan.empty


def test_all_limits_are_set_at_once_and_what_is_not_named_goes(house: House) -> None:
    every = Limits(octets=5_000, messages=10, mailboxes=20)
    set_limits(house, every)
    assert limits(house.engine, ALICE) == every
    told = [(held.id, held.limit) for held in quotas(house.engine, ALICE)]
    assert told == [(OCTETS_ID, 5_000), (MAILBOXES_ID, 20), (MESSAGES_ID, 10)]
    before = house.version
    set_limits(house, Limits(messages=11))
    assert limits(house.engine, ALICE) == Limits(messages=11)
    found = house.changes(TypeCode.QUOTA, before)
    assert (found.updated, found.destroyed) == ([MAILBOXES_ID, MESSAGES_ID], [OCTETS_ID])


def test_nothing_at_all_is_a_limit_too(house: House) -> None:
    house.deliver(size=1)
    nothing = Limits(octets=0, messages=0, mailboxes=0)
    set_limits(house, nothing)
    assert limits(house.engine, ALICE) == nothing
    assert [held.limit for held in quotas(house.engine, ALICE)] == [0, 0, 0]
    assert room(house.engine, ALICE) == 0
    check_room(house.engine, ALICE, 0)
    with pytest.raises(OverQuota):
        check_room(house.engine, ALICE, 1)
    with pytest.raises(OverQuota):
        check_room(house.engine, ALICE, 0, messages=1)
    with pytest.raises(OverQuota):
        house.create("None")


def test_the_largest_limit_is_kept(house: House) -> None:
    largest = Limits(octets=LIMIT_MAX, messages=LIMIT_MAX)
    set_limits(house, largest)
    assert limits(house.engine, ALICE) == largest
    house.deliver(size=10)
