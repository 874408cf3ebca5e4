"""Two or more rpc ends in one process, on loopback: what every story about links starts from."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

import trio

from node.network import Address, TrioNetwork
from node.rpc.calls import Answer, Call, GossipAnswer, GossipExchange
from node.rpc.handshake import Credentials, Remote, Secrets
from node.rpc.peers import Peers
from node.rpc.server import Server

CLUSTER = b"cluster-1"
SECRET = b"0123456789abcdef0123456789abcdef"


def credentials(
    replica: int, *, secret: bytes = SECRET, cluster_id: bytes = CLUSTER
) -> Credentials:
    return Credentials(cluster_id, Secrets(secret), replica, f"n{replica}")


async def echo(_: Remote, call: Call) -> Answer:
    assert isinstance(call, GossipExchange)
    return GossipAnswer(call.payload)


class House:
    """One end: a server on a port of its own, and what it heard."""

    def __init__(self, replica: int, *, on_call: Callable[..., Awaitable[Answer]] = echo) -> None:
        self.replica = replica
        self.heard: list[tuple[int, int, bytes]] = []
        self.visitors: list[Remote] = []
        self.address: Address = ("127.0.0.1", 0)
        self.server = Server(
            credentials(replica),
            on_message=self._hear,
            on_call=on_call,
            on_link=self.visitors.append,
            draw=Random(f"acceptor {replica}").randbytes,
        )
        self._scope = trio.CancelScope()

    def _hear(self, sender: Remote, kind: int, payload: bytes) -> None:
        self.heard.append((sender.replica, kind, payload))

    async def open(self, nursery: trio.Nursery) -> None:
        """Listen, at the same port as before when it was open before."""
        listeners = await TrioNetwork().listen_tcp(*self.address)
        host, port = listeners[0].socket.getsockname()[:2]  # type: ignore[attr-defined]
        self.address = (host, port)
        self._scope = trio.CancelScope()

        async def serve() -> None:
            with self._scope:
                await self.server.serve(listeners)

        nursery.start_soon(serve)

    def shut(self) -> None:
        """Close the port and every link."""
        self._scope.cancel()


def peers_of(
    own: Credentials,
    where: dict[int, Address],
    *,
    on_link: Callable[[int, bool], None] = lambda replica, up: None,
) -> Peers:
    return Peers(
        own,
        TrioNetwork(),
        locate=where.get,
        on_link=on_link,
        chance=Random(1),
        draw=Random(f"dialer {own.replica}").randbytes,
    )


@asynccontextmanager
async def two_ends(
    *, on_call: Callable[..., Awaitable[Answer]] = echo
) -> AsyncIterator[tuple[Peers, House, trio.Nursery]]:
    """Replica 1 dialing, replica 2 listening."""
    async with trio.open_nursery() as nursery:
        house = House(2, on_call=on_call)
        await house.open(nursery)
        peers = peers_of(credentials(1), {2: house.address})
        nursery.start_soon(peers.run)
        yield peers, house, nursery
        nursery.cancel_scope.cancel()


async def eventually(fact: Callable[[], bool], *, within_s: float = 5.0) -> None:
    """Let others run until something holds."""
    with trio.fail_after(within_s):
        while not fact():  # a fact has no event of its own
            await trio.sleep(0.002)
