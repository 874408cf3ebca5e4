"""A snapshot becomes the same state elsewhere, or nothing at all: whatever breaks on the way."""

import io
import os
import shutil
from pathlib import Path

import pytest

from storage import keys, snapshot
from storage.batch import BLOB_PART_BYTES_MAX, BlobPart
from storage.dump import state_hash
from storage.ids import blob_id
from storage.memory_home import MemoryHome
from storage.opening import CURRENT, STATE, DirectoryHome, Nest, State, open_state
from storage.snapshot import Export, SnapshotDamaged, SnapshotHead, installed
from tests.storage.story import Log, Store, blobs_are_whole, bytes_of, deliveries, whole

NOTE = b"who counted"
PIECE = 1_000


def exported(store: Store) -> Export:
    export = Export(store.engine, store.applier, io.BytesIO())
    while export.step():
        pass
    return export


def feed(nest: Nest, export: Export) -> None:
    while not nest.install.rows_are_here:
        nest.install.feed(export.read(nest.install.offset, PIECE))


def bring_blobs(nest: Nest, store: Store) -> None:
    for blob, total, offsets in nest.install.blobs_wanted():
        for offset in offsets:
            data = store.blobs.read_part(blob, offset)
            part = BlobPart(blob, offset, total or 0, data)
            nest.install.take_part(part, is_whole=total is not None)


def transfer(store: Store, nest: Nest, export: Export) -> State:
    feed(nest, export)
    bring_blobs(nest, store)
    return nest.settle(NOTE)


def head(export: Export) -> SnapshotHead:
    assert export.head is not None
    return export.head


def filled(log: Log) -> Store:
    store = Store()
    store.catch_up(log)
    return store


def same(state: State, store: Store) -> bool:
    ours, theirs = state.applier, store.applier
    return state_hash(state.engine) == state_hash(store.engine) and (
        (ours.index, ours.term, ours.chain) == (theirs.index, theirs.term, theirs.chain)
    )


def test_a_snapshot_is_the_state_that_replay_makes() -> None:
    log = deliveries(40)
    store = filled(log)
    export = exported(store)
    state = transfer(store, MemoryHome().begin(head(export)), export)
    assert same(state, store) and blobs_are_whole(state.blobs, log)
    assert installed(state.engine) == (store.applier.index, NOTE)
    # Both go on alike: outcomes and fences came with the rows.
    more = [log.register(12), log.batch(sequence=1), log.batch(12), log.noop()]
    outcomes = [applied.outcome for applied in state.applier.apply(more)]
    assert outcomes == store.apply(*more) and same(state, store)


def test_writes_go_on_while_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "STEP_ROWS", 3)
    log = deliveries(20)
    store = filled(log)
    export = Export(store.engine, store.applier, io.BytesIO())
    before, index = state_hash(store.engine), store.applier.index
    while export.step():
        store.apply(log.batch(put=[(keys.REPLICATED + b"mail0003", b"new")]))
    assert head(export).digest == before and head(export).index == index == export.index


def test_a_blob_that_is_not_whole_yet_comes_in_its_parts() -> None:
    log, data = Log(), bytes_of(2 * BLOB_PART_BYTES_MAX + 5)
    log.register()
    parts = whole(data)
    log.batch(blobs=[parts[2]])
    store = filled(log)
    export = exported(store)
    state = transfer(store, MemoryHome().begin(head(export)), export)
    rest = [log.batch(blobs=[parts[0]]), log.batch(blobs=[parts[1]])]
    state.applier.apply(rest)
    assert state.blobs.read(blob_id(data), 0, 10**7) == data


@pytest.mark.parametrize("kind", ["memory", "disk"])
@pytest.mark.parametrize("at", range(0, 6_000, 389))
def test_no_damaged_byte_becomes_a_state(tmp_path: Path, kind: str, at: int) -> None:
    store = filled(deliveries(30))
    export = exported(store)
    home = MemoryHome() if kind == "memory" else DirectoryHome(tmp_path)
    nest = home.begin(head(export))
    stream = bytearray(export.read(0, 10**9))
    stream[at % len(stream)] ^= 4
    with pytest.raises(SnapshotDamaged):
        for start in range(0, len(stream), PIECE):
            nest.install.feed(bytes(stream[start : start + PIECE]))
        if not nest.install.rows_are_here:
            raise SnapshotDamaged
        nest.settle(NOTE)
    nest.discard()


def test_a_stream_cut_short_or_too_long_is_refused() -> None:
    export = exported(filled(deliveries(3)))
    nest = MemoryHome().begin(head(export))
    nest.install.feed(export.read(0, 10))
    with pytest.raises(SnapshotDamaged):
        nest.install.feed(b"")
    with pytest.raises(SnapshotDamaged):
        nest.install.feed(export.read(10, 10**9) + b"x")
    with pytest.raises(SnapshotDamaged):
        MemoryHome().begin(head(export)).install.feed(b"\x00\xff\xff\xff\x00\x00\x00\x00")


def test_a_blob_that_is_not_its_name_is_refused() -> None:
    store = filled(deliveries(2))
    export = exported(store)
    nest = MemoryHome().begin(head(export))
    feed(nest, export)
    blob, total, _ = next(nest.install.blobs_wanted())
    assert total is not None
    with pytest.raises(SnapshotDamaged):
        nest.install.take_part(BlobPart(blob, 0, total, bytes(total)), is_whole=True)


# --- on a disk


def test_a_directory_takes_another_state(tmp_path: Path) -> None:
    old, log = deliveries(5), deliveries(60)
    state = open_state(tmp_path)
    state.applier.apply(old.entries)
    for number in (1, 2):  # again: the number goes on
        store = filled(log)
        export, home = exported(store), DirectoryHome(tmp_path)
        nest = home.begin(head(export))
        new = transfer(store, nest, export)
        nest.adopt()
        state.release()
        home.sweep()
        assert same(new, store) and blobs_are_whole(new.blobs, deliveries(60))
        names = sorted(path.name for path in tmp_path.iterdir())
        assert names == [f"{STATE}.{number}", CURRENT]
        new.applier.apply([log.noop()])
        new.close()
        state = open_state(tmp_path)
        assert state.refused is None and state.applier.index == len(log.entries)
    state.close()


def test_a_state_ahead_of_its_log_is_kept_only_if_it_is_a_bare_snapshot(tmp_path: Path) -> None:
    store = filled(deliveries(9))
    export = exported(store)
    nest = DirectoryHome(tmp_path).begin(head(export))
    transfer(store, nest, export).release()
    nest.adopt()
    state = open_state(tmp_path, log_end=3)
    assert state.refused is None and installed(state.engine) == (10, NOTE)
    state.applier.apply([(11, 1, b"")])
    state.close()
    state = open_state(tmp_path, log_end=3)
    assert state.refused and state.applier.index == 0
    state.close()


class Crashed(BaseException):
    """The process ends here."""


class Crashes:
    """Ends the process at the n-th step that touches the disk for good."""

    STEPS = (
        (os, "fsync"),
        (os, "fdatasync"),
        (Path, "replace"),
        (Path, "rename"),
        (Path, "unlink"),
        (Path, "mkdir"),
        (shutil, "rmtree"),
    )

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        self.left = at
        for where, name in self.STEPS:
            monkeypatch.setattr(where, name, self._counted(getattr(where, name)))

    def _counted(self, real: object) -> object:
        def step(*args: object, **named: object) -> object:
            self.left -= 1
            if self.left == 0:
                raise Crashed
            return real(*args, **named)  # type: ignore[operator]

        return step


def opened(directory: Path, store: Store, *, came_by_snapshot: bool) -> State:
    """A node's state that is the same as a store's."""
    state = open_state(directory)
    if not came_by_snapshot:
        state.applier.apply(deliveries(4).entries)
        state.checkpointer.run()
        return state
    export = exported(store)
    nest = DirectoryHome(directory).begin(head(export))
    transfer(store, nest, export).release()
    nest.adopt()
    state.release()
    return open_state(directory)


@pytest.mark.parametrize("came_by_snapshot", [False, True])
def test_a_crash_at_any_step_leaves_the_old_state_or_the_new_one(
    tmp_path: Path, came_by_snapshot: bool
) -> None:
    old, store = filled(deliveries(4)), filled(deliveries(12))
    outcomes = []
    for at in range(1, 100):
        directory = tmp_path / str(at)
        state = opened(directory, old, came_by_snapshot=came_by_snapshot)
        export, home = exported(store), DirectoryHome(directory)
        with pytest.MonkeyPatch.context() as monkeypatch:
            crashes = Crashes(monkeypatch, at)
            nest: Nest | None = None
            new: State | None = None
            try:
                nest = home.begin(head(export))
                new = transfer(store, nest, export)
                nest.adopt()
                state.release()
                home.sweep()
            except Crashed:
                pass
        # LevelDB's lock goes with the process; here the objects stand for it.
        state.release()
        if new is not None:
            new.release()
        elif nest is not None:
            nest._close()  # type: ignore[attr-defined]
        found = open_state(directory)
        assert found.refused is None
        assert same(found, old) or same(found, store), at
        outcomes.append(same(found, store))
        names = [path.name for path in directory.iterdir() if path.is_dir()]
        assert len(names) == 1
        found.close()
        if crashes.left > 0:
            break
    assert outcomes[-1] and not outcomes[0] and sorted(outcomes) == outcomes and len(outcomes) > 8
