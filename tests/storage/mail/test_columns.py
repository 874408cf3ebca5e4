"""Columns: read once, brought forward, read anew when the log does not reach back; bounded."""

import pytest

from storage.changes import plan_trim
from storage.ids import AccountId, Version
from storage.mail import columns
from storage.mail.columns import ColumnCache, Columns, count
from storage.mail.records import DELETED
from tests.protocols.jmap.desk import Desk, message


def current(desk: Desk, held: Columns) -> Columns:
    """The columns when they are up to date."""
    for _ in range(100):
        if held.advance(desk.house.view()):
            return held
    raise AssertionError("the columns never came to an end")


def shown(held: Columns) -> list[str]:
    """The emails, newest first."""
    return [f"e{held.emails[slot]}" for slot in held.newest_first(held.all())]


def deliver(desk: Desk, count_: int) -> list[str]:
    return [desk.deliver(message(number=n), received_ms=n % 3 * 1000 + 1) for n in range(count_)]


async def test_hidden_emails_are_none_until_they_are_shown_again() -> None:
    desk = Desk()
    held = Columns(desk.number)
    first, hidden = desk.deliver(message()), desk.deliver(message(number=2), keywords=[DELETED])
    assert shown(current(desk, held)) == [first]
    await desk.call("Email/set", destroy=[first, hidden])
    new = desk.deliver(message(number=3), received_ms=5)
    assert shown(current(desk, held)) == [new]
    assert count(held.all()) == 1 and len(held) == 3


def test_what_the_log_does_not_tell_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "PAGE_ROWS", 3)
    desk = Desk()
    held = Columns(desk.number)
    assert shown(current(desk, held)) == []
    deliver(desk, 7)
    version = held.version
    desk.house.run(lambda plan: plan_trim(plan, desk.number, Version(version + 5)))
    assert shown(current(desk, held)) == shown(current(desk, Columns(desk.number)))
    assert len(shown(held)) == 7


def test_a_condition_on_groups_is_the_same_for_few_and_for_many() -> None:
    desk = Desk()
    for number in range(300):
        desk.deliver(message(number=number), keywords=[f"k{number}"])
        if number in (5, 299):
            held = current(desk, Columns(desk.number))
            found = held.octets(held.where_group(lambda group: "k5" in group[0]))
            assert [slot for slot, met in enumerate(found) if met] == [5]


def test_a_cache_keeps_what_was_used_last() -> None:
    desk = Desk()
    deliver(desk, 5)
    held = current(desk, Columns(desk.number))
    cache = ColumnCache(held.bytes_held)
    current(desk, cache.get(desk.number))
    cache.trim()
    assert cache.get(desk.number) is cache.get(desk.number)
    assert cache.bytes_held == held.bytes_held
    deliver(desk, 1)
    before = current(desk, cache.get(desk.number))
    cache.get(AccountId(99))
    cache.trim()
    assert cache.get(desk.number) is not before
