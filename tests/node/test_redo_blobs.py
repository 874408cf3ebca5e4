"""Blobs at a start: what a power cut took is written again from the log, and no more than that."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
import trio

from node import config
from node.env import Env
from node.foundation import Foundation, lay_foundation
from node.secret import ensure_secret
from raft import HardState, InlineWriter
from raft.model import Entry, EntryKind, Persist
from storage.opening import State
from tests.node.cluster_of_one import TrioTime
from tests.node.memory_network import MemoryListener, MemoryNetwork
from tests.simulation.disk import SimDisk
from tests.storage.story import Log, Store, blobs_are_whole, deliveries

R = TypeVar("R")
DEMO = Path(__file__).resolve().parents[2] / "cluster.toml"


async def inline(work: Callable[[], R]) -> R:
    await trio.lowlevel.checkpoint()
    return work()


class Site:
    """One node's disk, from one start to the next."""

    def __init__(self, directory: Path) -> None:
        self.config = config.parse(DEMO.read_text(), directory / "cluster.toml")
        ensure_secret(self.config)
        self.disk, self.store = SimDisk(random.Random(1)), Store()

    def start(self) -> Foundation:
        network, chance = MemoryNetwork(), random.Random(2)
        env = Env(
            network=network,
            clock=TrioTime(),
            chance=chance,
            draw=chance.randbytes,
            run_blocking=inline,
            disk=self.disk,
            open_state=self._open,
            log_writer=InlineWriter,
            open_admin=lambda directory: MemoryListener(network, (str(directory), 0)),
            data=Path("/virtual/n1"),
        )
        return lay_foundation(self.config, "n1", env)

    def _open(self, directory: Path, *, log_end: int) -> State:
        store = self.store
        return State(store.engine, store.blobs, store.applier, store.checkpointer)

    def write(self, log: Log) -> None:
        """The log is written and applied, as by a node that runs."""
        entries = tuple(Entry(i, term, EntryKind.NORMAL, data) for i, term, data in log.entries)
        self.start().raft_log.write([Persist(1, HardState(1, 0), None, entries)])
        self.store.catch_up(log)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_blobs_that_a_power_cut_took_are_written_again_from_the_log(site: Site) -> None:
    log = deliveries(5)
    site.write(log)
    site.store = site.store.after_power_cut(site.store.engine.rows())  # LevelDB had come further
    state = site.start().state
    assert state.applier.index == len(log.entries)
    assert blobs_are_whole(state.blobs, log)


def test_what_a_checkpoint_covers_is_not_read_from_the_log_again(site: Site) -> None:
    log = deliveries(5)
    site.write(log)
    site.store.checkpointer.run()
    site.store = site.store.after_power_cut()
    foundation = site.start()
    written = site.store.applier.octets
    assert foundation.state.checkpointer.index == len(log.entries) and written == 0
    assert blobs_are_whole(foundation.state.blobs, log)
