"""A node whose disk is empty: is it new, or has it forgotten what it acknowledged?

One that has forgotten must not vote as if it had not: with its help a peer that lacks acknowledged
writes could lead. So every peer is asked by which disk it knows us, and until a peer has answered
nothing of consensus is heard from it. Peers that are down at our start are asked when they come.
"""

from collections.abc import Iterable
from typing import Final, Protocol

import trio

from node.identity import IdentityError
from node.network import Address
from node.rpc import Answer, Call, CallRefused, Hello, HelloAnswer, Remote, RpcError

# A peer that is there answers in this time.
HELLO_S: Final = 1.0
# A peer that could not say is asked again after this.
PAUSE_S: Final = 0.1


class Asking(Protocol):
    """What this file needs of `Peers`."""

    async def call(self, replica: int, call: Call, *, timeout_s: float) -> Answer:
        """Ask a peer, waiting for a link to it; raises RpcError."""
        ...

    async def call_at(
        self, address: Address, call: Call, *, timeout_s: float
    ) -> tuple[Remote, Answer]:
        """Ask whoever is at an address; raises RpcError."""
        ...


class Newcomer:
    """Which peers have still to say that they do not know us by another disk."""

    def __init__(self, name: str, disk: int, peers: Asking, replicas: Iterable[int]) -> None:
        """`replicas` are those to ask: all the others, or none where the disk is not empty."""
        self._name = name
        self._disk = disk
        self._peers = peers
        self._unasked = set(replicas)

    def may_hear(self, replica: int) -> bool:
        """Whether this peer's words on consensus count."""
        return replica not in self._unasked

    async def ask_at(self, addresses: Iterable[Address]) -> None:
        """Before anything else: whoever is there. Raises IdentityError."""

        async def ask(address: Address) -> None:
            try:
                remote, answer = await self._peers.call_at(address, Hello(), timeout_s=HELLO_S)
                self._hear(remote.replica, answer)
            except RpcError:
                return  # it is asked again

        if self._unasked:
            async with trio.open_nursery() as nursery:
                for address in addresses:
                    nursery.start_soon(ask, address)

    async def ask_the_rest(self) -> None:
        """Everybody else, until the last has answered. Raises IdentityError."""
        async with trio.open_nursery() as nursery:
            for replica in sorted(self._unasked):
                nursery.start_soon(self._ask_until_answered, replica)

    async def _ask_until_answered(self, replica: int) -> None:
        while not self.may_hear(replica):
            try:
                self._hear(replica, await self._peers.call(replica, Hello(), timeout_s=HELLO_S))
            except RpcError:
                await trio.sleep(PAUSE_S)

    def _hear(self, replica: int, answer: Answer) -> None:
        if not isinstance(answer, HelloAnswer):
            raise CallRefused("another answer than hello's")
        if answer.registered.get(self._name) not in (None, self._disk):
            raise IdentityError(
                f"{answer.name} knows {self._name} by another disk than this one: bring that one "
                "back; to go on with an empty one, remove the node and add it."
            )
        self._unasked.discard(replica)
