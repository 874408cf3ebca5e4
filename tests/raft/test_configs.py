"""Memberships as bytes, and which of them counts."""

from random import Random

import pytest

from raft.configs import (
    MEMBERS_MAX,
    REMOVED_MAX,
    BadMembership,
    Configs,
    decode_membership,
    encode_membership,
)
from raft.model import Entry, EntryKind, Membership

THREE = Membership(frozenset({1, 2, 3}))
JOINT = Membership(
    frozenset({1, 2, 4}),
    outgoing=frozenset({1, 2, 3}),
    learners=frozenset({7}),
    removed=frozenset({9}),
    contexts=((1, b"one"), (7, b"")),
)


def config(index: int, membership: Membership) -> Entry:
    return Entry(index, 1, EntryKind.CONFIG, encode_membership(membership))


@pytest.mark.parametrize("membership", [THREE, JOINT, Membership(frozenset())])
def test_a_membership_reads_back(membership: Membership) -> None:
    assert decode_membership(encode_membership(membership)) == membership


def test_a_membership_cut_anywhere_is_refused() -> None:
    whole = encode_membership(JOINT)
    for length in range(len(whole)):
        with pytest.raises(BadMembership):
            decode_membership(whole[:length])
    with pytest.raises(BadMembership):
        decode_membership(whole + b"\0")


def test_changed_bytes_are_refused_or_mean_what_they_say() -> None:
    whole, chance = encode_membership(JOINT), Random(1)
    for _ in range(2_000):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        try:
            read = decode_membership(bytes(damaged))
        except BadMembership:
            continue
        assert encode_membership(read) == bytes(damaged)


@pytest.mark.parametrize(
    "wrong",
    [
        Membership(frozenset({1}), learners=frozenset({1})),
        Membership(frozenset({1}), removed=frozenset({1})),
        Membership(frozenset({1}), contexts=((2, b"a stranger"),)),
        Membership(frozenset({1, 2}), contexts=((2, b""), (1, b""))),
        Membership(frozenset(range(1, MEMBERS_MAX + 2))),
        Membership(frozenset({1}), removed=frozenset(range(2, REMOVED_MAX + 3))),
    ],
)
def test_what_no_leader_writes_is_not_read(wrong: Membership) -> None:
    with pytest.raises(BadMembership):
        decode_membership(encode_membership(wrong))


def test_a_configuration_counts_from_its_entry_on() -> None:
    configs = Configs(THREE)
    assert configs.append([Entry(1, 1, EntryKind.NOOP, b""), config(2, JOINT)])
    assert (configs.active, configs.active_index) == (JOINT, 2)
    assert configs.at(1) == THREE and configs.at(2) == configs.at(99) == JOINT


def test_truncation_brings_the_one_before_back() -> None:
    configs = Configs(THREE, entries=[(4, JOINT)])
    assert not configs.truncate(5)
    assert configs.active == JOINT
    assert configs.truncate(4)
    assert (configs.active, configs.active_index) == (THREE, 0)


def test_what_is_settled_is_not_kept() -> None:
    configs = Configs(THREE, entries=[(4, JOINT), (9, THREE)])
    configs.settle(8)
    assert configs.at(1) == JOINT and configs.active == THREE
    configs.truncate(9)
    assert configs.active == JOINT


def test_a_snapshot_takes_the_place_of_all() -> None:
    configs = Configs(THREE, entries=[(4, JOINT)])
    configs.install(20, THREE)
    assert (configs.active, configs.active_index) == (THREE, 20)
