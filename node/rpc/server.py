"""Calls in, handlers out (trio): accepts links, checks who is there, hands over what they say.

Strangers are bounded in number and time, links in number, calls under way per link. A stranger
too many takes the place of the one that has been silent longest: who knows the key shows it at
once, so silent connections, however many, do not keep a peer out. A peer that breaks the rules
loses its link; a handler that fails is our own bug and stops the node.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio

from node.rpc import calls
from node.rpc.calls import Answer, Call, Refusal
from node.rpc.errors import CallRefused, HandshakeFailed, LinkLost
from node.rpc.frames import PAYLOAD_BYTES_MAX, Kind
from node.rpc.handshake import Credentials, Draw, Remote
from node.rpc.link import Link, open_link

# Connections that have not shown the key yet.
STRANGERS_MAX: Final = 32

# Links that have; some per node, with room for reconnections and single calls.
LINKS_MAX: Final = 512

# Calls one peer may have under way on a link; one more is refused as busy.
CALLS_PER_LINK_MAX: Final = 256

OnMessage = Callable[[Remote, int, bytes], None]
"""Takes a one-way message at once; raises `LinkLost` when the peer must not say such a thing."""

OnCall = Callable[[Remote, Call], Awaitable[Answer]]
"""Answers a call, or raises `CallRefused`."""


class Server:
    """The listening end."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        on_message: OnMessage,
        on_call: OnCall,
        on_link: Callable[[Remote], None],
        draw: Draw,
    ) -> None:
        """`on_link` hears of every peer that has shown who it is."""
        self._credentials = credentials
        self._on_message = on_message
        self._on_call = on_call
        self._on_link = on_link
        self._draw = draw
        self._strangers: dict[trio.CancelScope, None] = {}  # the longest there comes first
        self._links: set[Link] = set()
        self.counts: Counter[str] = Counter()

    async def serve(self, listeners: Sequence[trio.abc.Listener[trio.abc.Stream]]) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            await trio.serve_listeners(self.welcome, list(listeners), handler_nursery=nursery)

    async def welcome(self, stream: trio.abc.Stream) -> None:
        """Serve one fresh stream to its end; the caller closes it."""
        if len(self._links) >= LINKS_MAX:
            self.counts["refused_full"] += 1
            return
        link = await self._admit(stream)
        if link is None:
            return
        self._links.add(link)
        self.counts["links"] += 1
        try:
            self._on_link(link.remote)
            await self._serve_link(link)
        finally:
            self._links.discard(link)

    def end_removed(self) -> None:
        """End the links that were opened with a key we do not know any more."""
        for link in tuple(self._links):
            if link.secret not in self._credentials.secrets.held:
                link.end("its key was removed")

    async def _admit(self, stream: trio.abc.Stream) -> Link | None:
        if len(self._strangers) >= STRANGERS_MAX:
            longest = next(iter(self._strangers))
            del self._strangers[longest]
            longest.cancel()
            self.counts["strangers_displaced"] += 1
        scope = trio.CancelScope()
        self._strangers[scope] = None
        try:
            with scope:
                return await open_link(stream, self._credentials, dialer=False, draw=self._draw)
        except HandshakeFailed:
            self.counts["refused_strangers"] += 1
        finally:
            self._strangers.pop(scope, None)
        return None

    async def _serve_link(self, link: Link) -> None:
        under_way = 0

        async with trio.open_nursery() as nursery:

            async def answer(number: int, call: Call) -> None:
                nonlocal under_way
                try:
                    reply: calls.Reply = await self._on_call(link.remote, call)
                except CallRefused as refusal:
                    reply = Refusal(str(refusal))
                finally:
                    under_way -= 1
                self._reply(link, number, reply)

            def hear(kind: int, payload: bytes) -> None:
                nonlocal under_way
                if kind == Kind.CALL:
                    number, call = calls.decode_call(payload)
                    if isinstance(call, Refusal):
                        self._reply(link, number, call)
                    elif under_way >= CALLS_PER_LINK_MAX:
                        self.counts["calls_busy"] += 1
                        self._reply(link, number, Refusal("too many calls under way", busy=True))
                    else:
                        under_way += 1
                        nursery.start_soon(answer, number, call)
                elif kind == Kind.ANSWER:
                    raise LinkLost("an answer to nothing we asked")
                else:
                    self._on_message(link.remote, kind, payload)

            await link.run(hear)
            # Whoever asked is gone; what it asked for need not be finished.
            nursery.cancel_scope.cancel()

    def _reply(self, link: Link, number: int, reply: calls.Reply) -> None:
        payload = calls.encode(number, reply)
        if len(payload) > PAYLOAD_BYTES_MAX:
            payload = calls.encode(number, Refusal("the answer is too large"))
        if not link.post(Kind.ANSWER, payload):
            self.counts["answers_dropped"] += 1
