"""A node whose disk is empty: is it new, or has it forgotten what it acknowledged?

One that has forgotten must not vote as if it had not: with its help a peer that lacks acknowledged
writes could lead. So every peer is asked by which disk it knows us, and until a peer has answered
nothing of consensus is heard from it. Peers that are down at our start, and members that the file
does not name, are asked when they come. A joiner asks nobody: its replica id is of its disk.
"""

from collections.abc import Iterable
from typing import Final, Protocol

import trio

from node.foundation import Foundation
from node.identity import IdentityError, mark_number
from node.network import Address
from node.rpc import Answer, Call, CallRefused, Hello, HelloAnswer, Peers, Remote, RpcError

# A peer that is there answers in this time.
HELLO_S: Final = 1.0
# A peer that could not say is asked again after this.
PAUSE_S: Final = 0.1
# Whom we ask at most; beyond, nobody is heard.
ASKED_MAX: Final = 256


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

    def __init__(
        self, name: str, own: int, disk: int, peers: Asking, replicas: Iterable[int] | None
    ) -> None:
        """`replicas` are all the others of the file; None where the disk is not empty."""
        self._name = name
        self._own = own
        self._disk = disk
        self._peers = peers
        self._is_asking = replicas is not None
        self._to_ask = set(replicas or ())
        self._answered: set[int] = set()
        self._came = trio.Event()  # somebody to be asked

    def may_hear(self, replica: int) -> bool:
        """Whether this peer's words on consensus count; if not yet, it is asked."""
        if not self._is_asking or replica in self._answered:
            return True
        if replica not in self._to_ask and len(self._to_ask) < ASKED_MAX:
            self._to_ask.add(replica)
            self._came.set()
        return False

    async def ask_at(self, addresses: Iterable[Address]) -> None:
        """Before anything else: whoever is there. Raises IdentityError."""

        async def ask(address: Address) -> None:
            try:
                remote, answer = await self._peers.call_at(address, Hello(), timeout_s=HELLO_S)
                self._hear(remote.replica, answer)
            except RpcError:
                return  # it is asked again

        if self._is_asking:
            async with trio.open_nursery() as nursery:
                for address in addresses:
                    nursery.start_soon(ask, address)

    async def ask_the_rest(self) -> None:
        """Everybody else, whenever they come, until cancelled. Raises IdentityError."""
        if not self._is_asking:
            return
        asked: set[int] = set()
        async with trio.open_nursery() as nursery:
            while True:
                self._came = trio.Event()
                for replica in sorted(self._to_ask - asked):
                    nursery.start_soon(self._ask_until_answered, replica)
                asked |= self._to_ask
                await self._came.wait()

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
                "back; to go on with an empty one, remove the node with "
                f"trireme cluster remove-node {self._name} and start it with --join."
            )
        if answer.members and self._own not in answer.members:
            raise IdentityError(
                f"the cluster of {answer.name} has formed without {self._name}: "
                "start it with an empty disk and --join."
            )
        self._to_ask.add(replica)
        self._answered.add(replica)


def newcomer_on(base: Foundation, peers: Peers) -> Newcomer:
    """What a disk must ask before it takes part: nothing, unless it is new."""
    others = [base.replica_of(node.name) for node in base.config.node if node is not base.own]
    is_new = base.fresh and not base.joined
    disk = mark_number(base.mark)
    return Newcomer(base.own.name, base.replica, disk, peers, others if is_new else None)
