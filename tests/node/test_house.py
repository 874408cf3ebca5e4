"""Whole nodes, doors included, in one process under virtual time: all they touch is a port."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
import trio
from trio.testing import MockClock

from node import config
from node.env import Env
from node.foundation import lay_foundation
from node.house import House
from node.identity import IdentityError
from node.secret import ensure_secret
from raft import InlineWriter
from storage.apply import Applier
from storage.blobs import BlobStore
from storage.checkpoint import Checkpointer
from storage.memory import MemoryEngine
from storage.opening import State
from storage.segments import MemoryFiles
from tests.e2e.chaos import numbered
from tests.node.memory_network import MemoryListener, MemoryNetwork
from tests.simulation.disk import SimDisk

R = TypeVar("R")
DEMO = Path(__file__).resolve().parents[2] / "cluster.toml"
START_MS = 1_793_534_400_000


class VirtualClock:
    """ports.Clock over Trio's mocked time."""

    def now_ms(self) -> int:
        return START_MS + int(trio.current_time() * 1000)

    def monotonic_s(self) -> float:
        return trio.current_time()


async def inline(work: Callable[[], R]) -> R:
    await trio.lowlevel.checkpoint()
    return work()


def open_empty_state(directory: Path, *, log_end: int) -> State:
    """Rows that are lost at every stop: each start replays the log."""
    engine = MemoryEngine()
    blobs = BlobStore(engine, MemoryFiles())
    applier = Applier(engine, blobs)
    return State(engine, blobs, applier, Checkpointer(engine, blobs, applier))


@dataclass
class Machine:
    """A node's disk, and its process while it runs."""

    disk: SimDisk
    scope: trio.CancelScope | None = None
    stopping: trio.Event = field(default_factory=trio.Event)
    ended: trio.Event = field(default_factory=trio.Event)
    house: House | None = None
    last_words: str | None = None
    """What it said when it stopped by itself; asked for by setting it to nothing."""


class Village:
    """The demo cluster under virtual time."""

    def __init__(self, directory: Path, nursery: trio.Nursery, seed: int = 1) -> None:
        self.config = config.parse(DEMO.read_text(), directory / "cluster.toml")
        ensure_secret(self.config)
        self.network, self.nursery = MemoryNetwork(), nursery
        self.random = random.Random(seed)
        self.machines = {
            node.name: Machine(SimDisk(random.Random(f"{seed}-{node.name}")))
            for node in self.config.node
        }

    async def start(self, name: str, join: tuple[tuple[str, int], ...] = ()) -> None:
        machine = self.machines[name]
        machine.stopping, machine.ended = trio.Event(), trio.Event()
        await self.nursery.start(self._run, name, machine, join)

    async def _run(
        self,
        name: str,
        machine: Machine,
        join: tuple[tuple[str, int], ...],
        *,
        task_status: trio.TaskStatus[None],
    ) -> None:
        chance = random.Random(self.random.random())
        env = Env(
            network=self.network,
            clock=VirtualClock(),
            chance=chance,
            draw=chance.randbytes,
            run_blocking=inline,
            disk=machine.disk,
            open_state=open_empty_state,
            log_writer=InlineWriter,
            open_admin=lambda directory: MemoryListener(self.network, (str(directory), 0)),
            data=Path("/virtual") / name,
        )
        with trio.CancelScope() as machine.scope:
            machine.house = House(lay_foundation(self.config, name, env, join), env)
            try:
                await machine.house.run(machine.stopping, task_status=task_status)
            except* IdentityError as said:
                if machine.last_words is None:
                    raise
                machine.last_words = repr(said.exceptions)
                machine.house = None
        machine.ended.set()

    async def pull_the_plug(self, name: str) -> None:
        """Power cut: nothing it would still say is heard, what was not synced is lost."""
        machine, node = self.machines[name], self.config.member(name)
        self.network.unplug(node.host, list(node.ports().values()))
        assert machine.scope is not None
        machine.scope.cancel()
        await machine.ended.wait()
        machine.disk.cut_power()

    def leader(self) -> str:
        rows = [m.house.status.row() for m in self.machines.values() if m.house is not None]
        return max((row for row in rows if row.role == "leader"), key=lambda r: r.term or 0).name

    async def wait_ready(self, *names: str) -> None:
        for name in names:
            house = self.machines[name].house
            assert house is not None
            while not house.ready():
                await trio.sleep(0.01)

    async def talk(self, name: str, door: str, *lines: bytes) -> bytes:
        """Send lines one after the other, each after the answer to the one before."""
        node = self.config.member(name)
        stream = await self.network.dial_tcp(node.host, node.ports()[door])
        async with stream:
            said = bytes(await stream.receive_some())
            for line in lines:
                await stream.send_all(line)
                said = bytes(await stream.receive_some())
            return said

    async def deliver(self, name: str, message: bytes) -> bytes:
        return await self.talk(
            name,
            "lmtp",
            b"LHLO x\r\n",
            b"MAIL FROM:<a@example.net>\r\n",
            b"RCPT TO:<alice@example.org>\r\n",
            b"DATA\r\n",
            message + b".\r\n",
        )

    async def exists(self, name: str) -> bytes:
        """IMAP's answer to SELECT."""
        return await self.talk(
            name, "imap", b"a LOGIN alice@example.org alice-demo\r\n", b"b SELECT INBOX\r\n"
        )


@pytest.fixture
async def village(tmp_path: Path, nursery: trio.Nursery, autojump_clock: MockClock) -> Village:
    # Pytest-trio takes a clock from what the test itself asks for, not from its fixtures.
    assert trio.lowlevel.current_clock() is autojump_clock, "the test must ask for the clock"
    village = Village(tmp_path, nursery)
    for name in village.machines:
        await village.start(name)
    await village.wait_ready(*village.machines)
    while not (await village.deliver("n1", numbered(0))).startswith(b"250"):
        await trio.sleep(0.1)  # until the first accounts are made
    await until_pinned(village)
    return village


async def until_pinned(village: Village) -> None:
    """The founding members are written down, so that they can be named."""
    with trio.fail_after(30):
        for machine in village.machines.values():
            while machine.house and not machine.house._driver.steering.membership.contexts:
                await trio.sleep(0.05)


async def test_a_mail_in_by_one_door_is_out_by_another(
    village: Village, autojump_clock: MockClock
) -> None:
    assert (await village.deliver("n2", numbered(1))).startswith(b"250")
    assert b"* 2 EXISTS" in await village.exists("n3")


async def test_a_leaders_power_cut_loses_nothing_and_writes_go_on(
    village: Village, autojump_clock: MockClock
) -> None:
    leader = village.leader()
    others = [name for name in village.machines if name != leader]
    assert (await village.deliver(leader, numbered(1))).startswith(b"250")
    await village.pull_the_plug(leader)
    before = trio.current_time()
    assert (await village.deliver(others[0], numbered(2))).startswith(b"250")
    assert trio.current_time() - before < 2.0
    await village.start(leader)
    await village.wait_ready(leader)
    assert b"* 3 EXISTS" in await village.exists(leader)


async def test_a_url_is_honoured_by_every_node_until_its_key_is_another(
    village: Village, autojump_clock: MockClock
) -> None:
    rump = b"imap://alice%40example.org@h/INBOX/;uid=1/;section=HEADER;urlauth=anonymous"

    async def ask(name: str, command: bytes) -> bytes:
        login = b"a LOGIN alice@example.org alice-demo\r\n"
        return await village.talk(name, "imap", login, b"b %b\r\n" % command)

    leader = village.leader()
    others = [name for name in village.machines if name != leader]
    url = (await ask(others[0], b'GENURLAUTH "%b" INTERNAL' % rump)).split(b'"')[1]
    for name in village.machines:
        assert b'" {' in await ask(name, b'URLFETCH "%b"' % url)
    assert b"b OK [URLMECH INTERNAL]" in await ask(leader, b"RESETKEY INBOX")
    await village.pull_the_plug(leader)
    for name in others:
        assert b'" NIL\r\nb OK' in await ask(name, b'URLFETCH "%b"' % url)
    made = (await ask(others[1], b'GENURLAUTH "%b" INTERNAL' % rump)).split(b'"')[1]
    await village.start(leader)
    await village.wait_ready(leader)
    assert made != url
    assert b'" {' in await ask(leader, b'URLFETCH "%b"' % made)
    assert b'" NIL\r\nb OK' in await ask(leader, b'URLFETCH "%b"' % url)


async def test_alone_a_node_says_that_it_cannot_answer_and_heals(
    village: Village, autojump_clock: MockClock
) -> None:
    for name in ("n2", "n3"):
        await village.pull_the_plug(name)
    before = trio.current_time()
    said = await village.talk(
        "n1",
        "lmtp",
        b"LHLO x\r\n",
        b"MAIL FROM:<a@example.net>\r\n",
        b"RCPT TO:<alice@example.org>\r\n",
    )
    assert said.startswith(b"451 4.3.2") and trio.current_time() - before < 10.0
    await village.start("n2")
    assert (await village.deliver("n1", numbered(3))).startswith(b"250")


async def test_an_orderly_stop_hands_over_and_ends(
    village: Village, autojump_clock: MockClock
) -> None:
    leader = village.leader()
    machine = village.machines[leader]
    machine.stopping.set()
    with trio.fail_after(20):
        await machine.ended.wait()
    machine.house = None
    assert village.leader() != leader


async def test_a_node_keeps_to_the_limits_of_its_file_and_says_so(
    village: Village, autojump_clock: MockClock
) -> None:
    machine, node = village.machines["n1"], village.config.member("n1")
    machine.stopping.set()
    await machine.ended.wait()
    limits = config.LimitsSection(connections=2, connections_per_address=2, shutdown_ms=3_000)
    village.config = msgspec.structs.replace(village.config, limits=limits)
    await village.start("n1")
    await village.wait_ready("n1")

    async def heard(door: str) -> tuple[trio.abc.Stream, bytes]:
        stream = await village.network.dial_tcp(node.host, node.ports()[door])
        return stream, bytes(await stream.receive_some())

    busy, _ = await heard("imap")
    await busy.send_all(b"a LOGIN alice@example.org alice-demo\r\n")
    assert (await busy.receive_some()).startswith(b"a OK")
    await busy.send_all(b"b APPEND INBOX {100}\r\n")
    assert (await busy.receive_some()).startswith(b"+ ")
    idle, _ = await heard("imap")
    assert (await heard("imap"))[1].startswith(b"* BYE [UNAVAILABLE] Too many connections")
    assert (await heard("lmtp"))[1].startswith(b"220 ")  # each door has as many
    machine.stopping.set()
    began = trio.current_time()
    assert (await idle.receive_some()).startswith(b"* BYE")
    assert trio.current_time() - began < 1
    assert (await busy.receive_some()).startswith(b"* BYE")
    assert 2.9 < trio.current_time() - began < 4
    await machine.ended.wait()
    machine.house = None


async def test_a_voter_with_an_emptied_disk_is_refused(
    village: Village, autojump_clock: MockClock
) -> None:
    await village.pull_the_plug("n3")
    village.machines["n3"].disk = SimDisk(random.Random(99))
    with pytest.RaisesGroup(Exception, allow_unwrapped=True, flatten_subgroups=True) as raised:
        await village.start("n3")
    assert "by another disk" in repr(raised.value)


async def test_an_emptied_disk_does_not_vote_before_somebody_says_who_it_was(
    village: Village, autojump_clock: MockClock
) -> None:
    for name in village.machines:
        await village.pull_the_plug(name)
    village.machines["n3"].disk = SimDisk(random.Random(99))
    with pytest.raises(ExceptionGroup) as raised:  # one of the others may tell it, or both
        async with trio.open_nursery() as village.nursery:
            await village.start("n3")  # nobody is there to be asked
            await village.start("n1")
            with trio.move_on_after(10):
                await village.wait_ready("n1")
                pytest.fail("a node that has forgotten made a majority")
            await village.start("n2")
            await trio.sleep(10)
    assert "by another disk" in repr(raised.value)
