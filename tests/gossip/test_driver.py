"""The driver with real sealing, on datagrams that never leave memory and a clock that jumps."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
from trio.testing import MockClock

from gossip.config import GossipConfig
from gossip.driver import EXCHANGES_MAX, Gossip, first_incarnation
from gossip.identity import Identity
from gossip.messages import Alive, PushPull
from gossip.model import Address, Change, MemberEvent, Status
from gossip.seal import Keyring
from gossip.wire import GossipFormatError, encode

WALL_MS = 1_800_000_000_000


def wall_ms() -> int:
    return WALL_MS + int(trio.current_time() * 1000)


class Post:
    """Datagrams and streams between the nodes of one test."""

    def __init__(self) -> None:
        self.boxes: dict[Address, trio.MemorySendChannel[tuple[bytes, Address]]] = {}
        self.nodes: dict[Address, Gossip] = {}
        self.down: set[Address] = set()

    def box(self, address: Address) -> "Box":
        self.boxes[address], receive = trio.open_memory_channel(1_000)
        return Box(self, address, receive)


class Box:
    """One endpoint."""

    def __init__(
        self,
        post: Post,
        address: Address,
        receive: trio.MemoryReceiveChannel[tuple[bytes, Address]],
    ) -> None:
        self.post = post
        self.address = address
        self.receive = receive
        self.failures = 0

    async def send_to(self, data: bytes, address: Address) -> None:
        await trio.lowlevel.checkpoint()
        if address in self.post.down:
            raise OSError("unreachable")
        if box := self.post.boxes.get(address):
            await box.send((data, self.address))

    async def receive_from(self) -> tuple[bytes, Address]:
        if self.failures:
            self.failures -= 1
            raise ConnectionRefusedError
        return await self.receive.receive()


class Node:
    """A driver and what it told its house."""

    def __init__(self, post: Post, n: int, *, of: int = 3, secret: bytes = b"s" * 32) -> None:
        self.post = post
        self.address = (f"h{n}", 1000)
        self.box = post.box(self.address)
        self.events: list[MemberEvent] = []
        self.saved: list[int] = []
        self.exchanged = 0
        self.gossip = Gossip(
            GossipConfig(),
            Identity(n, f"n{n}", *self.address),
            seeds=[(f"h{m}", 1000) for m in range(1, of + 1)],
            keyring=Keyring(b"cluster", secret, draw_nonce=Random(n).randbytes),
            datagrams=self.box,
            exchange=self.exchange,
            incarnation=first_incarnation(0, wall_ms()),
            save_incarnation=self.save,
            chance=Random(n),
            wall_ms=wall_ms,
            on_change=self.events.append,
        )
        post.nodes[self.address] = self.gossip

    async def exchange(self, address: Address, request: bytes) -> bytes:
        self.exchanged += 1
        await trio.sleep(0.001)
        if address in self.post.down or address not in self.post.nodes:
            raise ConnectionRefusedError
        return self.post.nodes[address].handle_exchange(request)

    async def save(self, incarnation: int) -> None:
        await trio.lowlevel.checkpoint()
        self.saved.append(incarnation)

    def sees(self) -> dict[int, Status]:
        return {m.replica: m.status for m in self.gossip.members()}


@asynccontextmanager
async def village(size: int) -> AsyncIterator[tuple[list[Node], Post, trio.Nursery]]:
    post = Post()
    nodes = [Node(post, n, of=size) for n in range(1, size + 1)]
    async with trio.open_nursery() as nursery:
        for node in nodes:
            nursery.start_soon(node.gossip.run)
        await trio.sleep(3)
        yield nodes, post, nursery
        nursery.cancel_scope.cancel()


ALL_ALIVE = {1: Status.ALIVE, 2: Status.ALIVE, 3: Status.ALIVE}


async def test_nodes_meet_and_tell_their_houses(autojump_clock: MockClock) -> None:
    async with village(3) as (nodes, _, _nursery):
        assert all(node.sees() == ALL_ALIVE for node in nodes)
        joined = [e.member.replica for e in nodes[0].events if e.change is Change.JOINED]
        assert sorted(joined) == [2, 3]
        assert all(node.saved == [WALL_MS] for node in nodes)


async def test_one_that_goes_silent_is_found_dead(autojump_clock: MockClock) -> None:
    async with village(3) as (nodes, post, _nursery):
        del post.boxes[nodes[2].address], post.nodes[nodes[2].address]
        await trio.sleep(20)
        assert nodes[0].sees()[3] is Status.DEAD
        assert nodes[1].sees()[3] is Status.DEAD


async def test_leaving_takes_little_time_and_is_no_death(autojump_clock: MockClock) -> None:
    async with village(3) as (nodes, _, _nursery):
        began = trio.current_time()
        await nodes[2].gossip.leave()
        assert trio.current_time() - began <= 2.0
        await trio.sleep(0.1)
        assert nodes[0].sees()[3] is Status.LEFT
        assert nodes[1].sees()[3] is Status.LEFT


async def test_leaving_alone_takes_no_time(autojump_clock: MockClock) -> None:
    async with village(1) as (nodes, _, _nursery):
        began = trio.current_time()
        await nodes[0].gossip.leave()
        assert trio.current_time() - began < 0.5


async def test_new_meta_is_told_and_its_incarnation_saved(autojump_clock: MockClock) -> None:
    async with village(3) as (nodes, _, _nursery):
        nodes[0].gossip.set_meta(b"disk=bad")
        await trio.sleep(1)
        assert {m.replica: m.meta for m in nodes[2].gossip.members()}[1] == b"disk=bad"
        assert nodes[0].saved[-1] == WALL_MS + 1


async def test_strangers_are_dropped_and_counted(autojump_clock: MockClock) -> None:
    async with village(2) as (nodes, post, _nursery):
        liar = Keyring(b"cluster", b"another secret..", draw_nonce=Random(9).randbytes)
        box = post.box(("evil", 1))
        await box.send_to(b"", nodes[0].address)
        await box.send_to(b"\x00" * 500, nodes[0].address)
        await box.send_to(liar.seal(b"", wall_ms()), nodes[0].address)
        ours = Keyring(b"cluster", b"s" * 32, draw_nonce=Random(10).randbytes)
        await box.send_to(ours.seal(b"\x00\x09garbage", wall_ms()), nodes[0].address)
        await trio.sleep(0.1)
        counts = nodes[0].gossip.statistics()
        assert counts["packets_unsealed"] == 3
        assert (counts["sealed_short"], counts["sealed_version"], counts["sealed_key"]) == (1, 1, 1)
        assert counts["packets_malformed"] == 1
        assert nodes[0].sees() == {1: Status.ALIVE, 2: Status.ALIVE}


async def test_a_network_that_fails_is_survived(autojump_clock: MockClock) -> None:
    async with village(3) as (nodes, post, _nursery):
        nodes[0].box.failures = 5
        post.down = {("h2", 1000), ("h3", 1000)}
        await trio.sleep(15)
        assert nodes[0].gossip.statistics()["send_errors"] > 0
        assert nodes[0].gossip.statistics()["exchanges_failed"] > 0
        post.down = set()
        await trio.sleep(15)
        assert all(node.sees() == ALL_ALIVE for node in nodes)


async def test_an_exchange_must_be_one(autojump_clock: MockClock) -> None:
    async with village(1) as (nodes, _, _nursery):
        for nonsense in (b"", b"\xff", encode(Alive(9, 9, "n9", "h9", 1, b""))):
            with pytest.raises(GossipFormatError):
                nodes[0].gossip.handle_exchange(nonsense)
        nodes[0].gossip.handle_exchange(encode(PushPull(9, ())))


async def test_exchanges_under_way_are_bounded(autojump_clock: MockClock) -> None:
    post = Post()
    node = Node(post, 1, of=40)
    under_way = most = 0

    async def hang(address: Address, request: bytes) -> bytes:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            await trio.sleep_forever()
        finally:
            under_way -= 1
        raise AssertionError

    node.gossip._exchange = hang
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.gossip.run)
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    assert 1 < most <= EXCHANGES_MAX
    assert node.gossip.statistics()["exchanges_failed"] > 0


def test_an_incarnation_is_above_all_used_before() -> None:
    assert first_incarnation(0, 500) == 500
    assert first_incarnation(900, 500) == 901  # the clock went back
