"""A node whose disk fills up: it stands aside, follows, and goes on by itself. Needs root."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.cluster import RealCluster
from tests.e2e.waiting import until
from tests.e2e.wellness import deliver

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("e2e"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk"),
]

MIB: Final = 1024 * 1024
SETTINGS: Final = (
    "[raft]\nsegment-bytes = 4194304\ntrailing-bytes = 65536\n"
    "[storage]\nfree-bytes-min = 16777216\nreserve-bytes = 4194304\n"
)
TURNED_S: Final = 20.0


class Story:
    """Three nodes, the first of them on a disk of its own."""

    def __init__(self, directory: Path) -> None:
        self.cluster = RealCluster.make(directory, 3, SETTINGS)
        self.place = directory / "var" / "n1"
        self.place.mkdir(parents=True)
        words = ("mount", "-t", "tmpfs", "-o", "size=96m,mode=0700", "tmpfs", str(self.place))
        subprocess.run(words, check=True, capture_output=True)
        self.ballast = self.place / "ballast"

    def close(self) -> None:
        self.cluster.end()
        subprocess.run(("umount", str(self.place)), check=True, capture_output=True)

    def leave_free(self, octets: int) -> None:
        """Fill the disk but for so much."""
        found = os.statvfs(self.place)
        with self.ballast.open("ab") as file:
            size = os.fstat(file.fileno()).st_size
            grown = found.f_bavail * found.f_frsize - octets
            os.posix_fallocate(file.fileno(), size, grown)

    def row(self, name: str = "n1") -> dict[str, Any]:
        return next((row for row in self.cluster.status() if row["name"] == name), {})

    def stands_as(self, space: str) -> bool:
        return until(lambda: self.row().get("space") == space, TURNED_S)

    def log(self) -> str:
        return (self.cluster.directory / "n1.log").read_text(errors="replace")


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    told = Story(tmp_path)
    try:
        told.cluster.start()
        told.cluster.wait_ready()
        yield told
    finally:
        told.close()


def test_a_full_disk_makes_a_node_stand_aside_until_there_is_room(story: Story) -> None:
    cluster, reserve = story.cluster, story.place / "reserve"
    n1, n2 = cluster.node("n1"), cluster.node("n2")
    assert reserve.stat().st_size == 4 * MIB
    cluster.trireme("cluster", "transfer-leader", "n1")
    assert until(lambda: cluster.leader() == "n1", TURNED_S), cluster.logs()
    pid = story.row()["pid"]

    story.leave_free(12 * MIB)
    assert story.stands_as("low"), cluster.logs()
    assert until(lambda: cluster.leader() in ("n2", "n3"), TURNED_S), cluster.logs()
    assert deliver(n1).startswith(b"451")
    assert until(lambda: deliver(n2).startswith(b"250"), TURNED_S), cluster.logs()
    assert reserve.exists()

    story.leave_free(2 * MIB)
    assert story.stands_as("low, without a reserve"), cluster.logs()
    assert not reserve.exists()
    assert deliver(n2).startswith(b"250") and deliver(n1).startswith(b"451")
    assert until(lambda: story.row()["applied"] == story.row("n2")["applied"], TURNED_S)

    story.ballast.unlink()
    assert story.stands_as("ample"), cluster.logs()
    assert until(reserve.exists, TURNED_S) and reserve.stat().st_size == 4 * MIB
    assert deliver(n1).startswith(b"250")
    assert story.row()["pid"] == pid
    for line in ("the disk is nearly full", "the disk has room again"):
        assert story.log().count(line) == 1, story.log()
