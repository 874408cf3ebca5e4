"""A plan reads its own writes, takes back refused commands, and expects what it relied on."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.batch import Announce, Expect, ProposalId
from storage.ids import AccountId, Version
from storage.keys import version_key
from storage.memory import MemoryEngine
from storage.plan import READ_BYTES_MAX, READS_KEPT_MAX, Plan
from storage.values import pack_u64

ALICE, BOB = AccountId(1), AccountId(2)
PID = ProposalId(1, 1, 1)


def plan_over(rows: dict[bytes, bytes] | None = None) -> Plan:
    return Plan(MemoryEngine((rows or {}).items()), now_ms=5, chance=random.Random(1))


def test_a_plan_reads_its_own_writes() -> None:
    plan = plan_over({b"a": b"1", b"b": b"2"})
    plan.put(b"a", b"new")
    plan.delete(b"b")
    plan.put(b"c", b"3")
    assert [plan.get(key) for key in (b"a", b"b", b"c")] == [b"new", None, b"3"]
    assert plan.scan(b"a", b"z") == [(b"a", b"new"), (b"c", b"3")]
    batch = plan.batch(PID, 1)
    assert batch.puts == ((b"a", b"new"), (b"c", b"3")) and batch.deletes == (b"b",)


class CountingRows(MemoryEngine):
    """Rows that count how often they are asked."""

    asked = 0

    def get(self, key: bytes) -> bytes | None:
        self.asked += 1
        return super().get(key)


def test_small_rows_are_read_once_for_a_plan() -> None:
    rows = CountingRows([(b"a", b"1"), (b"large", bytes(READ_BYTES_MAX + 1))])
    plan = Plan(rows, now_ms=5, chance=random.Random(1))
    assert [plan.get(b"a"), plan.expect(b"a"), plan.get(b"a")] == [b"1"] * 3
    assert [plan.get(b"none"), plan.get(b"none")] == [None, None]
    assert rows.asked == 2
    assert plan.get(b"large") == plan.get(b"large") and rows.asked == 4
    assert [each.key for each in plan.batch(PID, 1).expects] == [b"a"]  # what was only read is not


def test_of_many_rows_that_a_plan_reads_so_many_are_kept() -> None:
    rows = CountingRows([])
    plan = Plan(rows, now_ms=5, chance=random.Random(1))
    keys = [b"%d" % number for number in range(READS_KEPT_MAX + 1)]
    for _ in range(2):
        assert not any(plan.get(key) for key in keys)
    assert rows.asked == len(keys) + 1


def test_a_row_that_was_read_and_is_written_reads_as_written() -> None:
    plan = plan_over({b"a": b"1"})
    assert plan.get(b"a") == b"1"
    with pytest.raises(KeyError), plan.command():
        plan.put(b"a", b"2")
        assert plan.get(b"a") == b"2"
        raise KeyError
    assert plan.get(b"a") == b"1"
    plan.delete(b"a")
    assert plan.get(b"a") is None


def test_each_command_moves_the_version_once() -> None:
    plan = plan_over({version_key(ALICE): pack_u64(41)})
    with plan.command():
        assert plan.touch(ALICE, 2) == plan.touch(ALICE, 4) == 42
    with plan.command():
        assert plan.touch(ALICE, 8) == 43
        assert plan.touch(BOB, 1) == 1
    batch = plan.batch(PID, 1)
    assert batch.announces == (
        Announce(ALICE, Version(43), 14),
        Announce(BOB, Version(1), 1),
    )
    assert batch.expects == (
        Expect(version_key(ALICE), pack_u64(41)),
        Expect(version_key(BOB), None),
    )


def test_a_refused_command_leaves_nothing() -> None:
    plan = plan_over({b"a": b"1", b"b": b"2"})
    with plan.command():
        plan.touch(ALICE, 1)
        plan.put(b"a", b"kept")
    before = plan.batch(PID, 1), plan.octets, plan.version(ALICE)
    with pytest.raises(KeyError), plan.command():
        plan.touch(ALICE, 2)
        plan.touch(BOB, 2)
        plan.put(b"a", b"lost")
        plan.delete(b"a")
        plan.put(b"x", b"lost")
        plan.delete(b"b")
        plan.expect(b"unread before")
        raise KeyError("refused")
    assert (plan.batch(PID, 1), plan.octets, plan.version(ALICE)) == before


def test_a_refused_attempt_leaves_the_rest_of_its_command() -> None:
    plan = plan_over()
    with plan.command():
        plan.touch(ALICE, 1)
        plan.put(b"a", b"1")
        with pytest.raises(KeyError), plan.attempt():
            plan.put(b"a", b"2")
            plan.touch(BOB, 1)
            raise KeyError("refused")
        plan.put(b"b", b"3")
    batch = plan.batch(PID, 1)
    assert dict(batch.puts) == {b"a": b"1", b"b": b"3", version_key(ALICE): pack_u64(1)}
    assert [each.account for each in batch.announces] == [ALICE]


def test_whoever_is_told_hears_of_a_command_that_changes_nothing_of_his() -> None:
    plan = plan_over({version_key(BOB): pack_u64(7)})
    with plan.command():
        plan.touch(ALICE, 1)
        plan.tell(BOB, 2)
        with pytest.raises(KeyError), plan.attempt():
            plan.tell(BOB, 4)
            raise KeyError("refused")
    with pytest.raises(KeyError), plan.command():
        plan.tell(BOB, 8)
        raise KeyError("refused")
    batch = plan.batch(PID, 1)
    assert batch.announces == (Announce(ALICE, Version(1), 1), Announce(BOB, Version(7), 2))
    assert [each.key for each in batch.expects] == [version_key(ALICE)]


def test_an_expectation_is_of_the_view_and_not_of_the_plan() -> None:
    plan = plan_over({b"a": b"1"})
    plan.put(b"a", b"2")
    assert plan.expect(b"a") == b"2"
    assert plan.batch(PID, 1).expects == (Expect(b"a", b"1"),)


def test_a_plan_that_only_reads_is_empty() -> None:
    plan = plan_over({b"a": b"1"})
    with plan.command():
        plan.get(b"a")
        plan.expect(b"a")
    assert plan.empty


KEY = st.binary(min_size=1, max_size=2).map(lambda key: bytes(byte % 5 for byte in key))
WRITES = st.lists(st.tuples(KEY, st.none() | st.binary(max_size=3)), max_size=12)


@given(
    st.dictionaries(KEY, st.binary(max_size=3), max_size=12),
    st.lists(st.tuples(WRITES, st.sampled_from(["one by one", "at once", "refused"])), max_size=4),
    KEY,
    KEY,
    st.booleans(),
    st.none() | st.integers(0, 6),
)
def test_any_plan_against_a_dict(
    rows: dict[bytes, bytes],
    commands: list[tuple[list[tuple[bytes, bytes | None]], str]],
    start: bytes,
    end: bytes,
    reverse: bool,
    limit: int | None,
) -> None:
    """Commands that end or are refused, then any scan: as a dict with the same done to it."""
    plan, model = plan_over(rows), dict(rows)
    written: dict[bytes, bytes | None] = {}
    for writes, how in commands:
        try:
            with plan.command():
                for key, value in writes if how != "at once" else ():
                    plan.delete(key) if value is None else plan.put(key, value)
                if how != "one by one":
                    plan.write_all(dict(writes))
                if how == "refused":
                    plan.scan(start, end)
                    raise KeyError
        except KeyError:
            continue
        written.update(writes)
    for key, value in written.items():
        if value is None:
            model.pop(key, None)
        else:
            model[key] = value
    expected = sorted(
        ((key, value) for key, value in model.items() if start <= key < end), reverse=reverse
    )
    assert list(plan.scan(start, end, reverse=reverse, limit=limit)) == expected[:limit]
    assert plan.octets == sum(len(key) + len(value or b"") for key, value in written.items())
    batch = plan.batch(PID, 1)
    assert dict(batch.puts) == {k: v for k, v in written.items() if v is not None}
    assert set(batch.deletes) == {key for key, value in written.items() if value is None}
