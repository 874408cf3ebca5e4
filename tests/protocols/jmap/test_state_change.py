"""What a StateChange says, and what a token brings back."""

from protocols.jmap.state_change import (
    PUSHED_BITS,
    TOKEN_OCTETS_MAX,
    changed_since,
    parse_token,
    render_token,
    state_change,
    told_now,
    type_bits,
)
from storage import changes
from storage.changes import plan_trim
from storage.ids import AccountId, Version
from storage.keys import TypeCode
from storage.mail.state import version
from storage.plan import Plan
from tests.protocols.jmap.desk import Desk, message

MAILBOX, EMAIL, HIDDEN = TypeCode.MAILBOX.bit, TypeCode.EMAIL.bit, TypeCode.HIDDEN_EMAIL.bit


def test_a_token_comes_back_as_it_was() -> None:
    told = {AccountId(7): Version(123), AccountId(12): Version(0)}
    assert render_token(told) == "7.123-12.0"
    assert parse_token(render_token(told)) == told


def test_what_is_no_token() -> None:
    for text in ("", "7", "7.", ".7", "7.1-", "07.1", "7.1 ", "7.-1", "a7.1", "7.1,8.1", "٧.1"):
        assert parse_token(text) is None, text
    assert parse_token("-".join(["1.1"] * TOKEN_OCTETS_MAX)) is None


def test_only_wanted_and_pushed_types_are_told() -> None:
    desk = Desk()
    for kind in (TypeCode.EMAIL, TypeCode.MAILBOX):
        desk.house.run(lambda plan, kind=kind: changes.record(plan, desk.number, kind, updated=[1]))
    rows, name = desk.house.view(), desk.account
    now = version(rows, desk.number)
    changed = {desk.number: (now, MAILBOX | EMAIL | HIDDEN)}
    assert state_change(rows, changed, PUSHED_BITS) == {
        "@type": "StateChange",
        "changed": {name: {"Mailbox": f"{now}", "Email": f"{now - 1}"}},
    }
    assert state_change(rows, changed, type_bits(["Email", "Calendar"])) == {
        "@type": "StateChange",
        "changed": {name: {"Email": f"{now - 1}"}},
    }
    assert state_change(rows, changed, type_bits(["Thread"])) is None
    assert state_change(rows, {desk.number: (now, HIDDEN)}, PUSHED_BITS) is None
    assert type_bits(["PushSubscription", ""]) == 0


async def test_states_told_are_those_that_get_answers() -> None:
    desk = Desk()
    before = told_now(desk.house.view(), [desk.number])
    desk.deliver()
    now = told_now(desk.house.view(), [desk.number])
    rows = desk.house.view()
    told = state_change(rows, changed_since(rows, now, before), PUSHED_BITS)
    assert told is not None
    states = told["changed"][desk.account]
    for name in ("Mailbox", "Email", "Thread"):
        assert states[name] == (await desk.call(f"{name}/get", ids=[]))["state"]


def test_types_that_changed_since_a_token_are_found_in_the_log() -> None:
    desk = Desk()
    rows = desk.house.view()
    before = told_now(rows, [desk.number])

    def rename(plan: Plan) -> None:
        changes.record(plan, desk.number, TypeCode.MAILBOX, updated=[1])

    desk.house.run(rename)
    now = told_now(rows, [desk.number])
    assert changed_since(rows, now, before) == {desk.number: (now[desk.number], MAILBOX)}
    assert changed_since(rows, now, now) == {}


def test_what_the_log_does_not_tell_may_all_have_changed() -> None:
    desk = Desk()
    before = told_now(desk.house.view(), [desk.number])
    desk.deliver(message(number=1))
    desk.deliver(message(number=2))
    now = told_now(desk.house.view(), [desk.number])
    horizon = Version(now[desk.number] - 1)
    desk.house.run(lambda plan: plan_trim(plan, desk.number, horizon))
    now = told_now(desk.house.view(), [desk.number])
    all_of_it = {desk.number: (now[desk.number], PUSHED_BITS)}
    future = {desk.number: Version(now[desk.number] + 1)}
    rows = desk.house.view()
    for old in (None, {}, {AccountId(99): Version(1)}, future):
        assert changed_since(rows, now, old) == all_of_it
    ((_, types),) = changed_since(rows, now, before).values()
    assert types & type_bits(["Email", "Identity"]) == type_bits(["Email", "Identity"])
    assert not types & TypeCode.QUOTA.bit, "its newest change is known, and is older"
