"""The real disk, and the log on it: the same contract as the simulated one."""

import errno
import os
from pathlib import Path
from random import Random

import pytest

from raft.disk import DiskFailed, OsDisk
from raft.model import HardState
from raft.stable import LogStorage, MemoryLog, open_log
from tests.raft.story import CLUSTER, entries, step


@pytest.mark.parametrize("is_bulk", [False, True])
def test_files_are_written_by_position_and_renamed(tmp_path: Path, is_bulk: bool) -> None:
    disk, directory = OsDisk(), str(tmp_path / "a" / "b")
    disk.make_directory(directory)
    file = disk.create_zeroed(f"{directory}/new", 10_000, is_bulk=is_bulk)
    assert (tmp_path / "a" / "b" / "new").stat().st_blocks * 512 >= 10_000
    assert not any(disk.read(f"{directory}/new"))
    file.write_at(5000, [b"one", b"two"])
    file.sync_data()
    assert file.read_at(4999, 8) == b"\0onetwo\0"
    disk.rename(f"{directory}/new", f"{directory}/kept")
    disk.sync_directory(directory)
    assert disk.list_names(directory) == ["kept"]
    assert len(disk.read(f"{directory}/kept")) == 10_000
    assert disk.open(f"{directory}/kept").read_at(9_999, 50) == b"\0"
    disk.remove(f"{directory}/kept")
    assert disk.list_names(directory) == []
    file.close()


def test_errors_name_the_operation_and_the_file(tmp_path: Path) -> None:
    disk = OsDisk()
    with pytest.raises(DiskFailed, match=r"open .*absent: No such file"):
        disk.open(str(tmp_path / "absent"))
    with pytest.raises(DiskFailed, match="list"):
        disk.list_names(str(tmp_path / "absent"))


def test_a_failing_fdatasync_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    file = OsDisk().create_zeroed(str(tmp_path / "f"), 10)
    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(DiskFailed, match=r"fdatasync .*Input/output error"):
        file.sync_data()


@pytest.fixture(params=["disk", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> LogStorage:
    """Both kinds of LogStorage keep the same contract."""
    if request.param == "memory":
        return MemoryLog(cluster=CLUSTER, replica=3)
    return open_log(
        OsDisk(),
        str(tmp_path),
        cluster=CLUSTER,
        replica=3,
        random=Random(1),
        segment_bytes=64 * 1024,
    )


def test_steps_are_kept_in_order(storage: LogStorage) -> None:
    assert (storage.cluster, storage.replica, storage.last) == (CLUSTER, 3, 0)
    storage.write([step(*entries(1, 9), hard_state=HardState(1, 2)), step(*entries(10, 12))])
    storage.write([step(*entries(11, 13, term=2), truncate_from=11, hard_state=HardState(2, 0))])
    assert storage.last == 13 and storage.hard_state == HardState(2, 0)
    assert storage.read(9, 12, 1 << 20) == [*entries(9, 10), *entries(11, 12, term=2)]
    assert storage.read(1, 13, 1) == list(entries(1, 1))
    if storage.needs_spare:
        storage.prepare()
    storage.close()


def test_a_log_on_the_real_disk_opens_again(tmp_path: Path) -> None:
    def opened() -> LogStorage:
        return open_log(
            OsDisk(),
            str(tmp_path),
            cluster=CLUSTER,
            replica=3,
            random=Random(1),
            segment_bytes=64 * 1024,
        )

    log = opened()
    log.write([step(*entries(1, 100), hard_state=HardState(4, 5))])
    log.prepare()
    log.close()
    log = opened()
    assert log.hard_state == HardState(4, 5)
    assert log.read(1, 100, 1 << 20) == list(entries(1, 100))
    log.close()
