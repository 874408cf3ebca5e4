"""Gossip on the node's own network and links: UDP and TCP on loopback, for real."""

from random import Random

import trio

from gossip import Gossip, GossipConfig, Identity, Keyring, Status
from node.network import Address, TrioNetwork
from node.roster import Place, Roster
from node.rpc import GossipAnswer, GossipExchange, Peers, Remote, Server
from node.rpc.calls import Answer, Call
from tests.e2e.cluster import free_ports
from tests.node.rpc.town import CLUSTER, SECRET, credentials, eventually

WALL_MS = 1_800_000_000_000
CONFIG = GossipConfig(probe_interval_ms=100, probe_timeout_ms=40, seed_retry_ms=100)


class Node:
    """Roster, links and gossip of one node, put together as the house does it."""

    def __init__(self, replica: int, places: list[Place]) -> None:
        self.replica = replica
        self.address = places[replica - 1].address
        self.dead: list[int] = []
        self.roster = Roster(
            places, on_unreachable=self.dead.append, on_conflict=lambda member: None
        )
        self.peers = Peers(
            credentials(replica),
            TrioNetwork(),
            locate=self.roster.locate,
            on_link=lambda r, up: None,
            chance=Random(replica),
            draw=Random(f"dial {replica}").randbytes,
        )
        self.roster.attach(self.peers)
        self.server = Server(
            credentials(replica),
            on_message=lambda remote, kind, payload: None,
            on_call=self.answer,
            on_link=lambda remote: self.peers.nudge(remote.replica),
            draw=Random(f"accept {replica}").randbytes,
        )
        self.scope = trio.CancelScope()

    async def answer(self, remote: Remote, call: Call) -> Answer:
        assert isinstance(call, GossipExchange)
        return GossipAnswer(self.gossip.handle_exchange(call.payload))

    async def exchange(self, address: Address, payload: bytes) -> bytes:
        _, answer = await self.peers.call_at(address, GossipExchange(payload), timeout_s=2)
        assert isinstance(answer, GossipAnswer)
        return answer.payload

    async def save(self, incarnation: int) -> None:
        await trio.lowlevel.checkpoint()

    async def run(self) -> None:
        network = TrioNetwork()
        listeners = await network.listen_tcp(*self.address)
        datagrams = await network.open_udp(*self.address)
        self.gossip = Gossip(
            CONFIG,
            Identity(self.replica, f"n{self.replica}", *self.address),
            seeds=self.roster.seeds(self.replica),
            keyring=Keyring(CLUSTER, SECRET, draw_nonce=Random(f"seal {self.replica}").randbytes),
            datagrams=datagrams,
            exchange=self.exchange,
            incarnation=WALL_MS,
            save_incarnation=self.save,
            chance=Random(self.replica),
            wall_ms=lambda: WALL_MS + int(trio.current_time()) % 1000,
            on_change=self.roster.hear,
        )
        with self.scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.server.serve, listeners)
                nursery.start_soon(self.peers.run)
                nursery.start_soon(self.gossip.run)
        with trio.CancelScope(shield=True):
            await datagrams.aclose()

    def sees(self) -> dict[int, Status | None]:
        return {e.replica: e.status for e in self.roster.entries() if e.replica != self.replica}


def free_places(count: int) -> list[Place]:
    """Ports nobody uses, for TCP and UDP alike."""
    ports = enumerate(free_ports(count), 1)
    return [Place(n, f"n{n}", ("127.0.0.1", port)) for n, port in ports]


async def test_three_nodes_meet_over_rpc_and_bury_one_that_is_gone() -> None:
    nodes = [Node(n, places) for places in [free_places(3)] for n in (1, 2, 3)]
    async with trio.open_nursery() as nursery:
        for node in nodes:
            nursery.start_soon(node.run)
        alive = Status.ALIVE
        await eventually(lambda: nodes[0].sees() == {2: alive, 3: alive})
        await eventually(lambda: nodes[2].sees() == {1: alive, 2: alive})
        nodes[2].scope.cancel()
        await eventually(lambda: nodes[0].sees()[3] is Status.DEAD)
        assert nodes[0].dead == [3]
        assert nodes[0].roster.locate(3) == nodes[2].address
        nursery.cancel_scope.cancel()
