"""Columns: read once, brought forward, read anew when the log does not reach back; bounded."""

import random
from collections.abc import Sequence
from itertools import product

import pytest

from storage import keys
from storage.changes import plan_trim
from storage.ids import AccountId, BlobId, EmailId, MailboxId, ThreadId, Version
from storage.mail import columns
from storage.mail.columns import ColumnCache, Columns, Flags, count
from storage.mail.records import DELETED, EmailMeta, pack
from tests.protocols.jmap.desk import Desk, message


def current(desk: Desk, held: Columns) -> Columns:
    """The columns when they are up to date."""
    for _ in range(100):
        if held.advance(desk.house.view()):
            return held
    raise AssertionError("the columns never came to an end")


def shown(held: Columns) -> list[str]:
    """The emails, newest first."""
    return [f"e{held.emails[slot]}" for slot in held.in_order(held.all(), newest_first=True)]


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


def scattered(chance: random.Random, emails: int) -> Columns:
    """Columns of emails of any date and size, some of which are gone."""
    desk = Desk()
    rows, blob = desk.house.engine, BlobId(bytes(32))
    metas = [
        EmailMeta(
            EmailId(number),
            ThreadId(chance.randrange(1, emails)),
            blob,
            chance.choice((0, 7, 8, 300, 4095, 4096, chance.randrange(10**6), 2**40)),
            chance.randrange(50) * 1000,
            chance.choice(((), (DELETED,), ("$flagged",))),
            ((MailboxId(1), number),),
            Version(1),
            Version(1),
        )
        for number in range(1, emails + 1)
    ]
    rows.write([(keys.email_meta_key(desk.number, meta.id), pack(meta)) for meta in metas])
    return current(desk, Columns(desk.number))


@pytest.mark.parametrize("sorted_max", [0, 40, 10_000])
def test_the_order_by_date_is_the_same_for_few_and_for_many(
    monkeypatch: pytest.MonkeyPatch, sorted_max: int
) -> None:
    monkeypatch.setattr(columns, "SORTED_MAX", sorted_max)
    held = scattered(random.Random(5), 200)
    flags = held.where_group(lambda group: "$flagged" in group[0])
    for some in (0, flags, held.all()):
        expected = [slot for slot, met in enumerate(held.octets(some)) if met]
        expected.sort(key=lambda slot: (held.received[slot], slot))
        assert list(held.in_order(some, newest_first=False)) == expected
        assert list(held.in_order(some, newest_first=True)) == expected[::-1]
        assert held.count_threads(some) == len({held.threads[slot] for slot in expected})


def test_ranges_are_exact_whatever_they_cut() -> None:
    held = scattered(random.Random(6), 300)
    alive = held.octets(held.all())

    def check(found: Flags, column: Sequence[int], low: int, high: int) -> None:
        wanted = [lives and low <= value < high for value, lives in zip(column, alive, strict=True)]
        assert [bool(met) for met in held.octets(found)] == [bool(each) for each in wanted]

    sizes = (0, 1, 7, 8, 9, 300, 301, 4095, 4096, 4097, 500_000, 2**40, 2**40 + 1, 2**64)
    for low, high in product(sizes, sizes):
        check(held.where_sized(low, high), held.sizes, low, high)
    times = (-(2**62), 0, 1, 1000, 24_000, 48_999, 49_000, 49_001, 2**62)
    for low, high in product(times, times):
        check(held.where_received(low, high), held.received, low, high)


def test_size_classes_never_fall() -> None:
    sizes = [*range(5000), *(2**bits + more for bits in range(13, 60) for more in (-1, 0, 1))]
    classes = [columns._size_class(size) for size in sorted(sizes)]
    assert classes == sorted(classes)
    assert classes[-1] == 255 and len(set(classes)) > 100
