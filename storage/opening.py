"""Opening a node's state: engine and blobs in one directory, or empty ones in its place.

What LevelDB or our own links refuse is moved aside, blobs and all, and the node starts empty: its
log is replayed from the beginning, without an operator. One refused directory is kept for
inspection; the next one takes its place, so that a failing disk is not filled with wrecks.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from storage.apply import Applier, applied_index
from storage.blobs import BlobStore
from storage.checkpoint import Checkpointer, verify_groups
from storage.engine import Engine, EngineRefused
from storage.keys import U64_MAX
from storage.leveldb import LevelEngine
from storage.segment_directory import DirectoryFiles

STATE: Final = "state"
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
        self.blobs.close()
        self.engine.close()


def open_state(directory: Path, *, log_end: int = U64_MAX) -> State:
    """The state in `directory`; what is damaged is moved aside first. Raises EngineBusy, OSError.

    So is a state that has applied more than the log (which ends at `log_end`) still holds: when a
    log has lost its tail, what stood there may be ordered anew.
    Before anything else is applied, the caller hands `state.applier.redo_blobs` the log's entries
    after `state.checkpointer.index` up to `state.applier.index`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    try:
        return _open(directory / STATE, None, log_end)
    except EngineRefused as refusal:
        _move_aside(directory)
        return _open(directory / STATE, refusal, log_end)


class _AheadOfLog(EngineRefused):
    """The rows are whole, and tell of entries that the log has lost."""


def _open(place: Path, refused: EngineRefused | None, log_end: int) -> State:
    place.mkdir(exist_ok=True)
    engine = LevelEngine(place / "rows")
    try:
        verify_groups(engine)
        if applied_index(engine) > log_end:
            raise _AheadOfLog(f"applied is {applied_index(engine)}, the log ends at {log_end}")
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
    except BaseException:
        engine.close()
        raise


def _move_aside(directory: Path) -> None:
    shutil.rmtree(directory / REFUSED, ignore_errors=True)
    (directory / STATE).rename(directory / REFUSED)
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
