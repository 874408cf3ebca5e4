"""Push subscriptions and how far each has been told."""

import random

import msgspec
import pytest

from storage.audit import audit_account
from storage.ids import SYSTEM_ACCOUNT, AccountId, Version
from storage.memory import MemoryEngine
from storage.plan import Plan
from storage.push_keys import key_mark, plan_push_key
from storage.push_rows import push_watch_key, push_watch_range, unpack_push_watch_key
from storage.slices import at_once
from storage.subscriptions import (
    SUBSCRIPTIONS,
    SUBSCRIPTIONS_MAX,
    Subscription,
    TooManySubscriptions,
    Watch,
    credential_mark,
    get_watch,
    is_credited,
    plan_change,
    plan_subscribe,
    plan_told,
    plan_unsubscribe,
    recount_subscriptions,
    subscribers,
    watched,
)

ANN, BEN = AccountId(7), AccountId(300)
SUB = Subscription("phone", "https://push.example/1", None, "c0de", False, 99, None, b"mark")


@pytest.fixture
def plan() -> Plan:
    return Plan(MemoryEngine(), now_ms=77, chance=random.Random(1))


def test_a_subscription_is_watched_from_the_version_that_made_it(plan: Plan) -> None:
    number = plan_subscribe(plan, ANN, SUB)
    made = msgspec.structs.replace(SUB, signed_by=key_mark(plan_push_key(plan)))
    assert watched(plan, ANN) == [(number, made, Watch(plan.version(ANN), asked=False))]
    assert watched(plan, BEN) == []


def test_a_row_of_before_there_were_grants_was_made_by_none(plan: Plan) -> None:
    old = msgspec.msgpack.encode(msgspec.structs.astuple(SUB)[:-1])
    assert msgspec.msgpack.decode(old, type=Subscription) == SUB
    made = msgspec.structs.replace(SUB, credential=credential_mark("secret"))
    assert is_credited(plan, ANN, made, "secret") and not is_credited(plan, ANN, made, "new")
    assert not is_credited(plan, ANN, msgspec.structs.replace(made, grant=7), "secret")


def test_who_has_subscriptions(plan: Plan) -> None:
    for account in (BEN, ANN, ANN):
        plan_subscribe(plan, account, SUB)
    assert list(subscribers(plan)) == [ANN, BEN]
    plan_unsubscribe(plan, ANN, 1)
    assert list(subscribers(plan)) == [ANN, BEN]
    plan_unsubscribe(plan, ANN, 2)
    assert list(subscribers(plan)) == [BEN]


def test_verifying_moves_the_watch_to_now_and_other_changes_do_not(plan: Plan) -> None:
    number = plan_subscribe(plan, ANN, SUB)
    with plan.command():
        plan.touch(ANN, 0)
    verified = msgspec.structs.replace(SUB, verified=True)
    with plan.command():
        plan_change(plan, ANN, number, verified)
    now = Watch(plan.version(ANN), asked=True)
    assert get_watch(plan, ANN, number) == now
    with plan.command():
        plan_change(plan, ANN, number, msgspec.structs.replace(verified, expires_ms=100))
    assert get_watch(plan, ANN, number) == now


def test_a_watch_never_goes_back_and_what_is_gone_stays_gone(plan: Plan) -> None:
    first, second = plan_subscribe(plan, ANN, SUB), plan_subscribe(plan, ANN, SUB)
    plan_told(
        plan, [(ANN, first, Watch(Version(9), True)), (ANN, second, Watch(Version(9), False))]
    )
    plan_told(plan, [(ANN, first, Watch(Version(8), False))])
    assert get_watch(plan, ANN, first) == Watch(Version(9), True)
    assert get_watch(plan, ANN, second) == Watch(Version(9), False)
    plan_unsubscribe(plan, ANN, first)
    plan_told(plan, [(ANN, first, Watch(Version(10), True))])
    assert get_watch(plan, ANN, first) is None


def test_telling_moves_nobodys_version(plan: Plan) -> None:
    number = plan_subscribe(plan, ANN, SUB)
    before = plan.version(ANN), plan.version(SYSTEM_ACCOUNT)
    with plan.command():
        plan_told(plan, [(ANN, number, Watch(Version(50), True))])
    assert (plan.version(ANN), plan.version(SYSTEM_ACCOUNT)) == before


def test_subscriptions_of_an_account_are_bounded(plan: Plan) -> None:
    for _ in range(SUBSCRIPTIONS_MAX):
        plan_subscribe(plan, ANN, SUB)
    with pytest.raises(TooManySubscriptions):
        plan_subscribe(plan, ANN, SUB)
    plan_subscribe(plan, BEN, SUB)


def test_an_audit_finds_halves(plan: Plan) -> None:
    number = plan_subscribe(plan, ANN, SUB)
    assert at_once(recount_subscriptions(plan, ANN)) == []
    assert at_once(audit_account(plan, SYSTEM_ACCOUNT)) == []
    watch = plan.get(push_watch_key(ANN, number))
    assert watch is not None
    plan.delete(push_watch_key(ANN, number))
    assert "not watched" in at_once(recount_subscriptions(plan, ANN))[0]
    plan.put(push_watch_key(ANN, number), watch)
    SUBSCRIPTIONS.destroy(plan, ANN, number)
    assert "no more" in at_once(audit_account(plan, SYSTEM_ACCOUNT))[0]


def test_watches_are_keyed_by_account_and_subscription() -> None:
    key = push_watch_key(ANN, 3)
    assert unpack_push_watch_key(key) == (ANN, 3)
    for window in (push_watch_range(), push_watch_range(ANN)):
        assert window[0] <= key < window[1]
    other = push_watch_range(AccountId(8))
    assert not other[0] <= key < other[1]
