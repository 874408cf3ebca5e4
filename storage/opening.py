"""A node's state on its disk: where it is, opening it, and putting another in its place.

    state, state.1 ...   engine and blobs; the first is `state`, a snapshot makes the next one
    state.current        names the one in use; without it, it is `state`
    state.refused        the last one that was moved aside, kept for inspection

What LevelDB or our own links refuse is moved aside, blobs and all, and the node starts empty: its
log is replayed, or another node's snapshot is fetched, without an operator. One refused directory
is kept; the next one takes its place, so that a failing disk is not filled with wrecks.

A snapshot is written into a new directory, and becomes the state when `state.current` is renamed
to name it: one step of the file system, so a crash leaves the old state or the new one. No
directory that LevelDB has open is ever renamed. What is not named is removed at the next start.
"""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from storage.apply import Applier, applied_index
from storage.blobs import BlobStore
from storage.checkpoint import Checkpointer, verify_groups
from storage.dump import state_hash
from storage.engine import Engine, EngineRefused
from storage.keys import U64_MAX
from storage.leveldb import LevelEngine
from storage.segment_directory import DirectoryFiles
from storage.snapshot import Install, SnapshotDamaged, SnapshotHead, installed

STATE: Final = "state"
CURRENT: Final = "state.current"
REFUSED: Final = "state.refused"


@dataclass(frozen=True, slots=True)
class State:
    """An open node state. `refused` says why the one before was moved aside, if it was."""

    engine: Engine
    blobs: BlobStore
    applier: Applier
    checkpointer: Checkpointer
    refused: str | None = None
    log_lost: bool = False
    """It was moved aside because it had applied what the log does not hold any more."""

    def close(self) -> None:
        """Take a last checkpoint and release the files."""
        self.checkpointer.run()
        self.release()

    def release(self) -> None:
        """Release the files of a state that nobody needs any more."""
        self.blobs.close()
        self.engine.close()


class Nest(Protocol):
    """A place beside the current state where a snapshot is put together."""

    @property
    def install(self) -> Install:
        """What fills it."""

    def settle(self, note: bytes) -> State:
        """Everything came: make it durable and read it back. Blocks; raises SnapshotDamaged."""

    def adopt(self) -> None:
        """This is the state from now on, also after a crash. Blocks."""

    def discard(self) -> None:
        """Close it, if it is not settled, and forget it. Blocks."""


class StateHome(Protocol):
    """Where states are made. Implemented by a directory, and in memory for virtual nodes."""

    def begin(self, head: SnapshotHead) -> Nest:
        """An empty place for this snapshot; only one at a time. Blocks."""

    def spool(self) -> BinaryIO:
        """A file without a name, gone when it is closed or the process ends."""

    def sweep(self) -> None:
        """Remove what is not the current state; nothing else may be open. Blocks."""


def open_state(directory: Path, *, log_end: int = U64_MAX) -> State:
    """The state in `directory`; what is damaged is moved aside first. Raises EngineBusy, OSError.

    So is a state that has applied more than the log (which ends at `log_end`) still holds: when a
    log has lost its tail, what stood there may be ordered anew. Only a snapshot that nothing was
    applied on may be ahead: the log has not heard of it, and the caller tells it.
    Before anything else is applied, the caller hands `state.applier.redo_blobs` the log's entries
    after `state.checkpointer.index` up to `state.applier.index`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    DirectoryHome(directory).sweep()
    name = _current(directory)
    try:
        return _open(directory / name, None, log_end)
    except EngineRefused as refusal:
        _move_aside(directory, name)
        return _open(directory / name, refusal, log_end)


def _current(directory: Path) -> str:
    try:
        return (directory / CURRENT).read_text()
    except FileNotFoundError:
        return STATE


class _AheadOfLog(EngineRefused):
    """The rows are whole, and tell of entries that the log has lost."""


def _open(place: Path, refused: EngineRefused | None, log_end: int) -> State:
    place.mkdir(exist_ok=True)
    engine = LevelEngine(place / "rows")
    try:
        verify_groups(engine)
        applied = applied_index(engine)
        if applied > log_end and applied != installed(engine)[0]:
            raise _AheadOfLog(f"applied is {applied}, the log ends at {log_end}")
        return _assemble(engine, place, refused)
    except BaseException:
        engine.close()
        raise


def _assemble(engine: Engine, place: Path, refused: EngineRefused | None) -> State:
    blobs = BlobStore(engine, DirectoryFiles(place / "blobs"))
    applier = Applier(engine, blobs)
    return State(
        engine,
        blobs,
        applier,
        Checkpointer(engine, blobs, applier),
        None if refused is None else str(refused),
        isinstance(refused, _AheadOfLog),
    )


def _move_aside(directory: Path, name: str) -> None:
    shutil.rmtree(directory / REFUSED, ignore_errors=True)
    (directory / name).rename(directory / REFUSED)
    _sync(directory)


class DirectoryHome:
    """StateHome in a directory of the machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def begin(self, head: SnapshotHead) -> "DirectoryNest":
        """A new directory with the next number; those of earlier attempts are removed."""
        self.sweep()
        number = int(_current(self._directory).partition(".")[2] or "0") + 1
        return DirectoryNest(self._directory, f"{STATE}.{number}", head)

    def spool(self) -> BinaryIO:
        """An unlinked file beside the state, so that it fills the same disk and no other."""
        return tempfile.TemporaryFile(dir=self._directory)

    def sweep(self) -> None:
        """Remove states that are neither the current one nor the refused one."""
        keep = (_current(self._directory), REFUSED)
        for path in self._directory.glob(f"{STATE}*"):
            if path.is_dir() and path.name not in keep:
                shutil.rmtree(path)


class DirectoryNest:
    """A directory that is becoming the state."""

    def __init__(self, directory: Path, name: str, head: SnapshotHead) -> None:
        self._directory = directory
        self._name = name
        self._place = directory / name
        self._head = head
        self._place.mkdir()
        self._engine = LevelEngine(self._place / "rows")
        self._blobs = BlobStore(self._engine, DirectoryFiles(self._place / "blobs"))
        self.install = Install(self._engine, self._blobs, head)
        self._is_open = True

    def settle(self, note: bytes) -> State:
        """Closed and opened again: LevelDB then turns its log into tables, and syncs those.

        A synced write alone would say nothing of the log files before the last one.
        """
        self.install.finish(note)
        self._close()
        engine = LevelEngine(self._place / "rows")
        try:
            if state_hash(engine) != self._head.digest:
                raise SnapshotDamaged("the rows read back are not those of the other node")
            for path in (self._place / "rows", self._place / "blobs", self._place):
                _sync(path)
            return _assemble(engine, self._place, None)
        except BaseException:
            engine.close()
            raise

    def adopt(self) -> None:
        """Rename `state.current` into place: the one step that makes this the state."""
        _sync(self._directory)  # the new directory's own name
        unfinished = self._directory / f"{CURRENT}.tmp"
        with unfinished.open("w") as file:
            file.write(self._name)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._directory / CURRENT)
        _sync(self._directory)

    def discard(self) -> None:
        """Remove the directory; a settled state in it has been released by its owner."""
        self._close()
        shutil.rmtree(self._place, ignore_errors=True)

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._blobs.close()
            self._engine.close()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
