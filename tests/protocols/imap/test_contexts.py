"""Updating contexts: a client that does what it is told holds what we hold (RFC 5267 4.3)."""

import random

import pytest

from protocols.imap.contexts import (
    CONTEXTS_BYTES_MAX,
    CONTEXTS_MAX,
    FOUND_BYTES,
    Contexts,
    Found,
    Parts,
    Place,
    Ranked,
    Watched,
    place_of,
)
from protocols.imap.search_commands import All, Criterion, SortKey
from protocols.imap.selected import Selected
from protocols.imap.sorting import Sortable, in_order
from storage.ids import AccountId, MailboxId, Version

BY_SIZE = (Criterion(SortKey.SIZE, reverse=True), Criterion(SortKey.ARRIVAL))


def place(uid: int, size: int, arrival: int = 0) -> Place:
    return place_of(Sortable(uid - 1, (size, arrival)), uid, BY_SIZE)


class Listener:
    """A client's results, kept by the words of RFC 5267 4.3.3 and 4.3.4."""

    def __init__(self, results: list[int]) -> None:
        self.results = results

    def remove(self, parts: Parts) -> None:
        for at, uids in parts:
            if at:
                assert self.results[at - 1 : at - 1 + len(uids)] == uids
                del self.results[at - 1 : at - 1 + len(uids)]
            else:
                self.results = [uid for uid in self.results if uid not in uids]

    def add(self, parts: Parts) -> None:
        for at, uids in parts:
            if at:
                assert at <= len(self.results) + 1
                self.results[at - 1 : at - 1] = uids
            else:
                self.results = sorted([*self.results, *uids])


def test_a_position_is_that_after_what_was_said_before() -> None:
    ranked = Ranked([place(1, 10), place(2, 30), place(3, 20)])
    assert ranked.add([place(4, 25), place(5, 24), place(6, 5)]) == [(2, [4, 5]), (6, [6])]
    assert ranked.remove([2, 4, 6, 99]) == [(6, [6]), (1, [2, 4])]
    assert [uid in ranked for uid in (1, 2, 3, 4, 5)] == [True, False, True, False, True]


def test_in_mailbox_order_there_are_no_positions() -> None:
    found = Found([2, 4])
    assert found.add([(9,), (3,)]) == [(0, [3, 9])]
    assert found.remove([4, 2, 7]) == [(0, [2, 4])]
    assert found.remove([4]) == [] and found.add([]) == []


@pytest.mark.parametrize("seed", range(20))
def test_whoever_follows_holds_the_same(seed: int) -> None:
    chance = random.Random(seed)
    sizes = {uid: (chance.randrange(4), chance.randrange(4)) for uid in range(1, 60)}
    inside = set(chance.sample(sorted(sizes), 20))

    def sorted_anew() -> list[int]:
        messages = [Sortable(uid, sizes[uid]) for uid in sorted(inside)]
        return in_order(messages, BY_SIZE)

    ranked, found = Ranked(place(uid, *sizes[uid]) for uid in inside), Found(sorted(inside))
    by_size, by_uid = Listener(sorted_anew()), Listener(sorted(inside))
    for _ in range(30):
        out = set(chance.sample(sorted(sizes), 12))
        by_size.remove(ranked.remove(out))
        by_uid.remove(found.remove(out))
        inside -= out
        new = set(chance.sample(sorted(sizes.keys() - inside), 6))
        by_size.add(ranked.add([place(uid, *sizes[uid]) for uid in new]))
        by_uid.add(found.add([(uid,) for uid in new]))
        inside |= new
        assert by_size.results == sorted_anew()
        assert by_uid.results == sorted(inside)


def contexts() -> Contexts:
    selected = Selected(
        AccountId(1), MailboxId(1), "INBOX", Found([1])._uids, Version(1), read_only=False
    )
    return Contexts(selected, Version(1))


def watched(tag: bytes, results: int = 0) -> Watched:
    return Watched(tag, True, All(), (), Found(range(1, results + 1)))


def test_there_are_so_many_contexts_and_no_more() -> None:
    held = contexts()
    for number in range(CONTEXTS_MAX):
        assert held.has_room(0)
        held.keep(watched(b"%d" % number))
    assert not held.has_room(0)
    held.cancel(b"3")
    assert held.has_room(0)


def test_contexts_remember_so_much_but_the_first_as_much_as_it_needs() -> None:
    most = CONTEXTS_BYTES_MAX // FOUND_BYTES
    held = contexts()
    assert held.has_room(CONTEXTS_BYTES_MAX + 1)
    held.keep(watched(b"a", most - 10))
    assert held.has_room(10 * FOUND_BYTES)
    assert not held.has_room(10 * FOUND_BYTES + 1)
