"""hypercorn's WebSocket (RFC 6455), held within bounds; over HTTP/1.1 and HTTP/2 alike.

What hypercorn 0.18 does otherwise, each with its test: it takes permessage-deflate, with which a
small frame costs a hundred megabytes; counts characters of a text and not octets, in a buffer of
four octets for each; keeps filling it after a message is too large; closes without a word on a
malformed frame; never looks whether its pings are answered.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import trio
from hypercorn.config import Config
from hypercorn.protocol import h2, h11
from hypercorn.protocol.events import Body, Data, Event, Request, StreamClosed
from hypercorn.protocol.ws_stream import WSStream
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection, Message, Ping, TextMessage
from wsproto.frame_protocol import CloseReason

from protocols.http.gates import GateFull, Room

# Messages of all sockets of a door that have begun and are not complete.
MESSAGES_OCTETS_MAX: Final = 64 * 1024 * 1024
# What a piece of a message counts for at least: the object that keeps it.
PIECE_OCTETS_MIN: Final = 64
# A peer that is alive answers a ping before the next one.
PING_S: Final = 30.0
# After we have closed, for the peer's own close, while what it sends is dropped.
CLOSING_S: Final = 5.0


class SocketConfig(Config):
    """hypercorn's settings, and what all sockets share."""

    def __init__(self, message_octets_max: int) -> None:
        super().__init__()
        self.websocket_max_message_size = message_octets_max
        self.websocket_ping_interval = PING_S
        self.messages = Room(MESSAGES_OCTETS_MAX)


class HeldWebSocket(WSStream):
    """One WebSocket."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        assert isinstance(self.config, SocketConfig), "made by general.py"
        self._most = self.config.websocket_max_message_size
        self._tenant = self.config.messages.tenancy()
        self._pieces: list[str | bytes] = []
        self._octets = 0
        self._heard = False
        self._closing = False
        self._ended = trio.Event()

    async def handle(self, event: Event) -> None:
        """See WSStream."""
        match event:
            case Request():
                offered = event.headers
                event = replace(event, headers=[*_without_extensions(offered)])
            case Body() | Data():
                self._heard = True
            case StreamClosed():
                self._forget()
                self._ended.set()
        await super().handle(event)

    def _forget(self) -> None:
        self._pieces, self._octets = [], 0
        self._tenant.leave()

    async def _handle_events(self) -> None:
        for event in self.connection.events():
            match event:
                case Message():
                    await self._piece(event)
                case Ping():
                    await self._send_wsproto_event(event.response())
                case CloseConnection():
                    if self.connection.state is ConnectionState.REMOTE_CLOSING:
                        await self._send_wsproto_event(event.response())
                    elif self.connection.state is ConnectionState.OPEN:
                        # A frame against the rules: the peer is told which.
                        await self._send_wsproto_event(CloseConnection(event.code, event.reason))
                    await self.send(StreamClosed(stream_id=self.stream_id))

    async def _piece(self, event: Message[Any]) -> None:
        if self._closing:
            return
        size = len(event.data)
        if isinstance(event, TextMessage) and not event.data.isascii():
            size = len(event.data.encode())
        self._octets += max(size, PIECE_OCTETS_MIN)
        if self._octets > max(self._most, PIECE_OCTETS_MIN):
            await self._close_soon(CloseReason.MESSAGE_TOO_BIG)
            return
        try:
            self._tenant.grow(self._octets)
        except GateFull:
            await self._close_soon(CloseReason.TRY_AGAIN_LATER)
            return
        self._pieces.append(event.data)
        if event.message_finished:
            await self._hand_over(is_text=isinstance(event, TextMessage))

    async def _hand_over(self, *, is_text: bool) -> None:
        pieces = self._pieces
        text = "".join(pieces) if is_text else None  # type: ignore[arg-type]
        data = None if is_text else b"".join(pieces)  # type: ignore[arg-type]
        self._forget()
        assert self.app_put is not None
        await self.app_put({"type": "websocket.receive", "bytes": data, "text": text})

    async def _close_soon(self, code: CloseReason) -> None:
        self._closing = True
        self._forget()
        await self._send_wsproto_event(CloseConnection(code))
        self.task_group.spawn(self._end_after, CLOSING_S)

    async def _end_after(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self._ended.wait()
        if not self._ended.is_set():
            await self.send(StreamClosed(stream_id=self.stream_id))

    async def _send_pings(self) -> None:
        self._heard = True
        while True:
            with trio.move_on_after(PING_S):
                await self._ended.wait()
            if self.closed:
                return
            if not self._heard:
                await self.send(StreamClosed(stream_id=self.stream_id))
                return
            self._heard = False
            await self._send_wsproto_event(Ping())


def _without_extensions(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[bytes, bytes]]:
    return (pair for pair in headers if pair[0].lower() != b"sec-websocket-extensions")


# hypercorn has no setting for which class serves a WebSocket; its version is pinned.
h11.WSStream = h2.WSStream = HeldWebSocket  # type: ignore[attr-defined]
