"""A node's directory: opened, reopened, moved aside when it is refused, rebuilt from the log."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from storage import local_keys
from storage.dump import state_hash
from storage.leveldb import EngineBusy
from storage.opening import REFUSED, STATE, State, open_state
from tests.storage.story import Log, blobs_are_whole, deliveries, reference


@pytest.fixture
def log() -> Log:
    return deliveries(30)


def fill(directory: Path, log: Log) -> None:
    state = open_state(directory)
    state.applier.apply(log.entries)
    state.close()


def rebuilt(state: State, log: Log) -> bool:
    state.applier.redo_blobs(log.entries[state.checkpointer.index : state.applier.index])
    state.applier.apply(log.entries[state.applier.index :])
    return state_hash(state.engine) == reference(log)


def test_a_directory_is_opened_again(tmp_path: Path, log: Log) -> None:
    fill(tmp_path / "deep" / "er", log)
    state = open_state(tmp_path / "deep" / "er")
    assert state.refused is None
    assert state.applier.index == state.checkpointer.index == len(log.entries)
    assert rebuilt(state, log)
    state.close()


def test_a_damaged_one_is_moved_aside_and_rebuilt(tmp_path: Path, log: Log) -> None:
    for _ in range(2):  # twice: only one wreck is kept
        fill(tmp_path, log) if not (tmp_path / STATE).exists() else None
        path = next((tmp_path / STATE / "rows").glob("*.log"))
        content = bytearray(path.read_bytes())
        content[random.Random(1).randrange(len(content) // 2)] ^= 1
        path.write_bytes(content)
        state = open_state(tmp_path)
        assert state.refused and state.applier.index == 0
        assert rebuilt(state, log)
        state.close()
        log.noop()
    assert sorted(path.name for path in tmp_path.iterdir()) == [STATE, REFUSED]


def test_a_hole_in_the_rows_is_moved_aside(tmp_path: Path, log: Log) -> None:
    state = open_state(tmp_path)
    for entry in log.entries:
        state.applier.apply([entry])
    state.engine.write((), [local_keys.group_key(7)])
    state.close()
    state = open_state(tmp_path)
    assert state.refused and rebuilt(state, log)
    state.close()


def test_a_directory_has_one_user(tmp_path: Path, log: Log) -> None:
    fill(tmp_path, log)
    state = open_state(tmp_path)
    with pytest.raises(EngineBusy):
        open_state(tmp_path)
    assert not (tmp_path / REFUSED).exists()
    state.close()


DELIVER_FOR_EVER = """
import sys
from pathlib import Path
from storage.opening import open_state
from tests.storage.story import deliveries

state = open_state(Path(sys.argv[1]))
for entry in deliveries(5_000).entries[state.applier.index :]:
    state.applier.apply([entry])
    if entry[0] % 7 == 0:
        state.checkpointer.run()
    print(state.applier.index, flush=True)
"""


def test_a_killed_process_loses_nothing_it_applied(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    for told in (5, 40, 23):
        command = [sys.executable, "-c", DELIVER_FOR_EVER, str(tmp_path)]
        with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            applied = [int(process.stdout.readline()) for _ in range(told)][-1]
            process.kill()
        state = open_state(tmp_path)
        assert state.refused is None and state.applier.index >= applied
        log = deliveries(5_000)
        log.entries = log.entries[: state.applier.index]
        state.applier.redo_blobs(log.entries[state.checkpointer.index :])
        assert blobs_are_whole(state.blobs, log) and state_hash(state.engine) == reference(log)
        state.close()


def test_rows_ahead_of_their_log_are_moved_aside(tmp_path: Path, log: Log) -> None:
    fill(tmp_path, log)
    state = open_state(tmp_path, log_end=len(log.entries))
    assert state.refused is None and not state.log_lost
    state.close()
    state = open_state(tmp_path, log_end=len(log.entries) - 1)
    assert state.refused and state.log_lost and rebuilt(state, log)
    state.close()
