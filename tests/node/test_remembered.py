"""Where others were met is a hint that outlives a restart."""

import random
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from node.remembered import PEERS_MAX, PEERS_NAME, read_peers, write_peers
from raft import OsDisk
from tests.node.test_house import Village, village

__all__ = ["village"]


def test_addresses_are_kept(tmp_path: Path) -> None:
    disk = OsDisk()
    assert read_peers(disk, tmp_path) == ()
    write_peers(disk, tmp_path, [("h1", 1), ("h2", 2)])
    assert read_peers(disk, tmp_path) == (("h1", 1), ("h2", 2))


def test_they_are_bounded(tmp_path: Path) -> None:
    disk = OsDisk()
    write_peers(disk, tmp_path, [(f"h{n}", 1) for n in range(PEERS_MAX + 5)])
    assert len(read_peers(disk, tmp_path)) == PEERS_MAX


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[[1, 2]]", b'[["h", 0]]', b'[["h", 70000]]', b'[["", 1]]', b"\xff"]
)
def test_a_damaged_file_is_no_reason_to_stop(text: bytes, tmp_path: Path) -> None:
    (tmp_path / PEERS_NAME).write_bytes(text)
    assert read_peers(OsDisk(), tmp_path) == ()


async def test_one_that_comes_back_looks_where_it_met_others(
    village: Village, autojump_clock: MockClock
) -> None:
    await trio.sleep(11)
    await village.pull_the_plug("n1")
    disk = village.machines["n1"].disk
    kept = set(read_peers(disk, Path("/virtual/n1")))
    n2, n3 = village.config.member("n2"), village.config.member("n3")
    assert kept == {(n2.host, n2.peer), (n3.host, n3.peer)}
    moved = ("127.0.0.1", random.Random(1).randrange(40_000, 50_000))
    write_peers(disk, Path("/virtual/n1"), [moved])
    await village.start("n1")
    house = village.machines["n1"].house
    assert house is not None
    assert moved in house._belonging.seeds()


async def test_others_hear_which_start_this_is(village: Village, autojump_clock: MockClock) -> None:
    await trio.sleep(5)
    house = village.machines["n1"].house
    assert house is not None
    first = {entry.name: entry.meta.boot for entry in house._roster.entries()}
    assert first["n2"] > 0 and all(entry.meta.disk_ok for entry in house._roster.entries())
    await village.pull_the_plug("n2")
    await village.start("n2")
    await village.wait_ready("n2")
    await trio.sleep(5)
    again = {entry.name: entry.meta.boot for entry in house._roster.entries()}
    assert again["n2"] > first["n2"]
