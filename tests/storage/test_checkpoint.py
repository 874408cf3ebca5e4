"""Power cuts: whatever the disk kept, the node ends where the others are."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import checkpoint as checkpoints
from storage import local_keys
from storage.checkpoint import checkpoint_index, verify_groups
from storage.dump import state_hash
from storage.engine import EngineRefused
from storage.memory import MemoryEngine
from tests.storage.story import Log, Store, blobs_are_whole, deliveries, reference


@pytest.fixture
def log() -> Log:
    return deliveries(20)


def test_without_a_checkpoint_everything_is_replayed(log: Log) -> None:
    store = Store()
    store.catch_up(log)
    after = store.after_power_cut()
    assert after.applier.index == 0
    after.catch_up(log)
    assert blobs_are_whole(after.blobs, log) and state_hash(after.engine) == reference(log)


def test_a_checkpoint_is_kept(log: Log) -> None:
    store = Store()
    store.catch_up(log)
    store.checkpointer.run()
    after = store.after_power_cut()
    assert after.applier.index == after.checkpointer.index == len(log.entries)
    assert after.redo(log) == 0 and blobs_are_whole(after.blobs, log)


def test_rows_that_outlived_their_blobs_get_them_back(log: Log) -> None:
    """The system wrote LevelDB's log by itself, and not yet the segments."""
    store = Store()
    for entry in log.entries[:10]:
        store.apply(entry)
    store.checkpointer.run()
    store.catch_up(log)
    after = store.after_power_cut(store.engine.rows())
    assert (after.checkpointer.index, after.applier.index) == (10, 21)
    assert after.redo(log) == 11
    assert blobs_are_whole(after.blobs, log) and state_hash(after.engine) == reference(log)
    assert after.redo(log) == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_any_power_cut(seed: int) -> None:
    """Cuts, crashes and checkpoints stopped half-way, at any place of the log."""
    chance, log = random.Random(seed), deliveries(20)
    store = Store(segment_bytes_max=10_000)
    while store.applier.index < len(log.entries):
        start = store.applier.index
        store.apply(*log.entries[start : start + chance.randint(1, 4)])
        step = chance.randrange(6)
        due = store.checkpointer.begin() if step < 4 else None
        if due is not None and step >= 1:
            store.checkpointer.flush(due)
        if due is not None and step >= 2:
            store.checkpointer.commit(due)
        if due is not None and step >= 3:
            store.checkpointer.settle()
        stopped = due is not None and step < 2  # nothing goes on after a failed checkpoint
        match chance.randrange(3 if stopped else 5):
            case 0:
                store = store.after_crash()
            case 1:
                store = store.after_power_cut()
            case 2:
                store = store.after_power_cut(store.engine.rows())
            case _:
                continue
        store.redo(log)
    assert blobs_are_whole(store.blobs, log) and state_hash(store.engine) == reference(log)


def test_nothing_to_do_is_no_checkpoint(log: Log) -> None:
    store = Store()
    assert store.checkpointer.begin() is None
    store.catch_up(log)
    assert store.checkpointer.octets_waiting > 60_000
    store.checkpointer.run()
    assert store.checkpointer.octets_waiting == 0
    assert store.checkpointer.begin() is None


def test_what_is_applied_meanwhile_waits_for_the_next(log: Log) -> None:
    store = Store()
    store.apply(*log.entries[:5])
    due = store.checkpointer.begin()
    assert due is not None
    store.apply(*log.entries[5:])
    store.checkpointer.flush(due)
    store.checkpointer.commit(due)
    assert store.checkpointer.index == 5 and store.checkpointer.octets_waiting > 0
    assert checkpoint_index(store.engine) == 5
    assert store.checkpointer.begin() is not None


# --- links between groups


def grouped(log: Log) -> Store:
    store = Store()
    for entry in log.entries:
        store.apply(entry)
    return store


def test_a_hole_between_groups_is_refused(log: Log) -> None:
    for missing in range(2, len(log.entries)):
        store = grouped(log)
        store.engine.write((), [local_keys.group_key(missing)])
        with pytest.raises(EngineRefused):
            store.after_crash()


def test_a_lost_end_is_refused(log: Log) -> None:
    store = grouped(log)
    store.engine.write((), [local_keys.group_key(len(log.entries))])
    with pytest.raises(EngineRefused):
        store.after_crash()


def test_a_checkpoint_beyond_the_rows_is_refused(log: Log) -> None:
    store = grouped(log)
    store.checkpointer.run()
    rows = store.engine.rows()
    older = Store()
    older.apply(*log.entries[:5])
    mixed = {**older.engine.rows(), local_keys.CHECKPOINT_KEY: rows[local_keys.CHECKPOINT_KEY]}
    with pytest.raises(EngineRefused):
        verify_groups(MemoryEngine(mixed.items()))


def test_old_links_go(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "LINKED_OCTETS", 10_000)
    monkeypatch.setattr(checkpoints, "LINKS_DROPPED_MAX", 10)
    store = grouped(log)
    store.checkpointer.run()
    assert len(store.engine.scan(*local_keys.GROUPS_RANGE)) == len(log.entries) - 10
    log.noop()
    store.catch_up(log)
    store.checkpointer.run()
    kept = store.engine.scan(*local_keys.GROUPS_RANGE)
    assert len(kept) == 5, "those within the last 10,000 octets"
    again = store.after_crash()
    assert again.applier.index == checkpoint_index(again.engine) == len(log.entries)
    log.noop()
    again.catch_up(log)
    again.checkpointer.run()
    assert len(again.engine.scan(*local_keys.GROUPS_RANGE)) == 6, (
        "their age is unknown after a start"
    )
