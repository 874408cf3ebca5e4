"""Links to the other nodes (trio): one kept open to each we talk to, opened again when lost.

One-way messages are posted without waiting and lost with the link: who sends them (Raft) sends
again. Calls are numbered, many at a time on a link, and each ends in exactly one of an answer or a
named error. Of the two links between a pair of nodes each carries what its dialer says.
"""

from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Final, Protocol

import trio

from node.network import Address, Network
from node.rpc import calls
from node.rpc.calls import Answer, Call, Refusal, Reply
from node.rpc.errors import (
    CallLost,
    CallRefused,
    HandshakeFailed,
    LinkLost,
    PeerBusy,
    PeerUnreachable,
)
from node.rpc.frames import PAYLOAD_BYTES_MAX, Kind
from node.rpc.handshake import Credentials, Draw, Remote
from node.rpc.link import Link, open_link

# Peers that links are kept to: the largest cluster has 64 nodes, and as many more may be joining.
PEERS_MAX: Final = 128

# Calls waiting for their answers, per peer.
CALLS_MAX: Final = 1_024

# Pauses between attempts double from the first to the last and vary by half either way. The last
# stays below what a returning node may take to be of use again.
RETRY_S_FIRST: Final = 0.05
RETRY_S_LAST: Final = 1.0

DIAL_S_MAX: Final = 3.0

Locate = Callable[[int], Address | None]
"""Where a replica is reached, as far as is known now."""


class Chance(Protocol):
    """The part of `random.Random` used here."""

    def random(self) -> float:
        """A float in [0, 1)."""
        ...


class _Peer:
    """What we know of one peer and wait for from it."""

    def __init__(self, replica: int) -> None:
        self.replica = replica
        self.link: Link | None = None
        self.changed = trio.Event()
        self.waiting: dict[int, _Waiting] = {}
        self.scope = trio.CancelScope()
        self.nudge = trio.Event()
        self.refusals = 0
        """Handshakes that failed in a row: the next one tries the next of our keys."""

    def set_link(self, link: Link | None) -> None:
        self.link = link
        self.changed.set()
        self.changed = trio.Event()

    def lose(self, reason: str) -> None:
        """Every call under way now has an unknown outcome."""
        self.set_link(None)
        waiting, self.waiting = self.waiting, {}
        for one in waiting.values():
            one.lost = reason
            one.done.set()


class _Waiting:
    """One call under way."""

    __slots__ = ("done", "lost", "reply")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.reply: Reply | None = None
        self.lost = ""


class Peers:
    """The dialing end."""

    def __init__(
        self,
        credentials: Credentials,
        network: Network,
        *,
        locate: Locate,
        on_link: Callable[[int, bool], None],
        chance: Chance,
        draw: Draw,
    ) -> None:
        """`on_link(replica, up)` hears of every link that comes about or is lost."""
        self._credentials = credentials
        self._network = network
        self._locate = locate
        self._on_link = on_link
        self._chance = chance
        self._draw = draw
        self._peers: dict[int, _Peer] = {}
        self._nursery: trio.Nursery | None = None
        self._number = 0
        self.counts: Counter[str] = Counter()
        self.failures: dict[int, str] = {}
        """Why the last attempt at a peer failed, for `status`."""

    @property
    def cluster_id(self) -> bytes:
        """The cluster whose members the links lead to."""
        return self._credentials.cluster_id

    async def run(self) -> None:
        """Keep links until cancelled; peers met before are dialed now."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for peer in self._peers.values():
                nursery.start_soon(self._keep, peer)
            await trio.sleep_forever()

    def keep(self, replica: int) -> None:
        """Keep a link to this peer from now on; sending or calling does so by itself."""
        if replica != self._credentials.replica:
            self._peer(replica)

    def forget(self, replica: int) -> None:
        """Close the link to a peer that is no more."""
        if peer := self._peers.pop(replica, None):
            peer.scope.cancel()
            peer.lose("the peer was removed")
            self.failures.pop(replica, None)

    def end_removed(self) -> None:
        """End the links that were opened with a key we do not know any more."""
        for peer in self._peers.values():
            if peer.link is not None and peer.link.secret not in self._credentials.secrets.held:
                peer.link.end("its key was removed")

    def nudge(self, replica: int) -> None:
        """The peer was heard of: dial now instead of after the pause."""
        if peer := self._peers.get(replica):
            peer.nudge.set()

    def refusing(self, times: int) -> frozenset[int]:
        """Peers whose handshakes failed at least so often, and with each of our keys."""
        times = max(times, len(self._credentials.secrets.held))
        return frozenset(r for r, peer in self._peers.items() if peer.refusals >= times)

    def is_up(self, replica: int) -> bool:
        """Whether there is a link to the peer at this moment."""
        peer = self._peers.get(replica)
        return peer is not None and peer.link is not None

    def send_nowait(self, replica: int, payload: bytes, *, kind: int) -> bool:
        """Post a one-way message; False, and counted, when it was dropped instead."""
        link = self._peer(replica).link
        if link is None:
            self.counts["dropped_no_link"] += 1
            return False
        if not link.post(kind, payload):
            self.counts["dropped_full"] += 1
            return False
        return True

    async def call(self, replica: int, call: Call, *, timeout_s: float) -> Answer:
        """Ask a peer and wait for its answer; waits for a link as part of the time given.

        Raises `PeerUnreachable`, `PeerBusy`: not begun. `CallRefused`: heard, not done.
        `CallLost`: nobody knows.
        """
        peer = self._peer(replica)
        waiting: _Waiting | None = None
        with trio.move_on_after(timeout_s):
            while peer.link is None or peer.link.lost:  # lost, and soon replaced
                await peer.changed.wait()
            self._number += 1
            number, waiting = self._number, _Waiting()
            try:
                self._post_call(peer, peer.link, number, call, waiting)
                await waiting.done.wait()
            finally:
                peer.waiting.pop(number, None)
        if waiting is None:
            raise PeerUnreachable(f"no link to replica {replica:x} within {timeout_s:g} s")
        if waiting.reply is None:
            raise CallLost(waiting.lost or f"no answer within {timeout_s:g} s")
        return _answer(waiting.reply)

    async def call_at(
        self, address: Address, call: Call, *, timeout_s: float
    ) -> tuple[Remote, Answer]:
        """Ask whoever is at an address, over a connection of its own; also says who it is.

        Raises as `call` does, and `HandshakeFailed` when a stranger lives there.
        """
        reply: Reply | None = None
        link: Link | None = None
        with trio.move_on_after(timeout_s):
            for attempt in count():
                try:
                    stream = await self._network.dial_tcp(*address)
                except OSError as error:
                    raise PeerUnreachable(str(error)) from None
                async with stream:
                    try:
                        link = await self._open(stream, attempt)
                    except HandshakeFailed:
                        if attempt + 1 < len(self._credentials.secrets.held):
                            continue  # one of our other keys may be known there
                        raise
                    reply = await _ask_once(link, call)
                    break
        if link is None:
            raise PeerUnreachable(f"nobody at {address[0]}:{address[1]} within {timeout_s:g} s")
        if reply is None:
            raise CallLost(link.lost or f"no answer within {timeout_s:g} s")
        return link.remote, _answer(reply)

    def _post_call(
        self, peer: _Peer, link: Link, number: int, call: Call, waiting: _Waiting
    ) -> None:
        payload = _encoded(number, call)
        if len(peer.waiting) >= CALLS_MAX or not link.post(Kind.CALL, payload):
            raise PeerBusy(f"too much is waiting for replica {peer.replica:x}")
        peer.waiting[number] = waiting

    def _peer(self, replica: int) -> _Peer:
        peer = self._peers.get(replica)
        if peer is None:
            assert replica != self._credentials.replica, "a node does not call itself"
            assert len(self._peers) < PEERS_MAX, "more peers than a cluster has nodes"
            peer = self._peers[replica] = _Peer(replica)
            if self._nursery is not None:
                self._nursery.start_soon(self._keep, peer)
        return peer

    async def _keep(self, peer: _Peer) -> None:
        pause_s = RETRY_S_FIRST
        with peer.scope:
            while True:
                began_s = trio.current_time()
                if await self._link_once(peer) and trio.current_time() - began_s > RETRY_S_LAST:
                    pause_s = RETRY_S_FIRST  # a link that ends at once is no better than none
                peer.nudge = trio.Event()
                with trio.move_on_after(pause_s * (0.5 + self._chance.random())):
                    await peer.nudge.wait()
                pause_s = min(pause_s * 2, RETRY_S_LAST)

    async def _link_once(self, peer: _Peer) -> bool:
        """Dial once and hold the link to its end; whether there was one."""
        address = self._locate(peer.replica)
        if address is None:
            self.failures[peer.replica] = "its address is not known yet"
            return False
        try:
            with trio.fail_after(DIAL_S_MAX):
                stream = await self._network.dial_tcp(*address)
        except (OSError, trio.TooSlowError) as error:
            self.counts["dials_failed"] += 1
            self.failures[peer.replica] = str(error) or f"no connection within {DIAL_S_MAX:g} s"
            return False
        try:
            link = await self._open(stream, peer.refusals, expected=peer.replica)
            peer.refusals = 0
            self.failures.pop(peer.replica, None)
            await self._hold(peer, link)
        except HandshakeFailed as error:
            self.counts["handshakes_failed"] += 1
            peer.refusals += 1
            self.failures[peer.replica] = str(error)
            return False
        finally:
            # Not gracefully: a peer that takes nothing must not keep us from dialing again.
            await trio.aclose_forcefully(stream)
        return True

    async def _open(
        self, stream: trio.abc.Stream, attempt: int, *, expected: int | None = None
    ) -> Link:
        return await open_link(
            stream,
            self._credentials,
            dialer=True,
            draw=self._draw,
            expected=expected,
            attempt=attempt,
        )

    async def _hold(self, peer: _Peer, link: Link) -> None:
        def hear(kind: int, payload: bytes) -> None:
            if kind != Kind.ANSWER:
                raise LinkLost("a peer speaks on its own link")
            number, reply = calls.decode_reply(payload)
            if waiting := peer.waiting.pop(number, None):
                waiting.reply = reply
                waiting.done.set()

        self.counts["links"] += 1
        peer.set_link(link)
        self._on_link(peer.replica, True)
        try:
            await link.run(hear)
        finally:
            peer.lose(link.lost or "the node is stopping")
            if peer.replica in self._peers:  # not forgotten meanwhile
                self.failures[peer.replica] = link.lost
            self._on_link(peer.replica, False)


async def _ask_once(link: Link, call: Call) -> Reply | None:
    """Post one call and run the link until its answer came."""
    replies: list[Reply] = []
    payload = _encoded(0, call)

    async with trio.open_nursery() as nursery:

        def hear(kind: int, payload: bytes) -> None:
            if kind != Kind.ANSWER:
                raise LinkLost("a peer speaks on its own link")
            replies.append(calls.decode_reply(payload)[1])
            nursery.cancel_scope.cancel()

        link.post(Kind.CALL, payload)
        await link.run(hear)
    return replies[0] if replies else None


def _encoded(number: int, call: Call) -> bytes:
    payload = calls.encode(number, call)
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise CallRefused(f"a call of {len(payload)} bytes is too large to send")
    return payload


def _answer(reply: Reply) -> Answer:
    match reply:
        case Refusal(busy=True):
            raise PeerBusy(reply.reason)
        case Refusal():
            raise CallRefused(reply.reason)
        case _:
            return reply
