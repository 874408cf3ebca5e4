"""A real HTTP door on loopback for tests, an application that echoes, and a raw client."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from protocols.http.http1 import App
from protocols.http.requests import Receive, Scope, Send
from protocols.http.serve import HttpDoor
from tests.fakes import FakeClock


@dataclass
class OpenDoor:
    """A door that accepts on `port`."""

    door: HttpDoor
    port: int

    async def dial(self) -> trio.SocketStream:
        """A new connection."""
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def say(self, data: bytes) -> bytes:
        """All the door answers to these octets on a connection of their own."""
        async with await self.dial() as stream:
            await stream.send_all(data)
            return await read_all(stream)

    async def answers(self) -> bool:
        """Does the door still serve a plain request."""
        told = await self.say(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return told.startswith(b"HTTP/1.1 200 ")


@asynccontextmanager
async def open_door(
    app: App,
    *,
    tls: ssl.SSLContext | None = None,
    connections_max: int = 100,
    message_octets_max: int = 10_000_000,
) -> AsyncIterator[OpenDoor]:
    """Serve an application until the block ends."""
    door = HttpDoor(
        app,
        clock=FakeClock(),
        tls=tls,
        connections_max=connections_max,
        message_octets_max=message_octets_max,
    )
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, door.serve_stream, listeners)
        yield OpenDoor(door, listeners[0].socket.getsockname()[1])
        await door.shutdown(0.2)
        nursery.cancel_scope.cancel()


async def read_all(stream: trio.abc.ReceiveStream, *, within_s: float = 10) -> bytes:
    """Everything until the end; a reset is an end too."""
    pieces = []
    with trio.fail_after(within_s):
        while True:
            try:
                data = await stream.receive_some(65536)
            except trio.BrokenResourceError:
                break
            if not data:
                break
            pieces.append(bytes(data))
    return b"".join(pieces)


async def read_until(stream: trio.abc.ReceiveStream, mark: bytes) -> bytes:
    """Everything up to the first time the octets end in `mark`."""
    held = b""
    with trio.fail_after(10):
        while not held.endswith(mark):
            data = await stream.receive_some(65536)
            assert data, held
            held += bytes(data)
    return held


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the method, the path and the body."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        body += message["body"]
        more = message.get("more_body", False)
    told = b"%s %s %s" % (scope["method"].encode(), scope["raw_path"], body)
    headers = [(b"content-length", b"%d" % len(told))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": told, "more_body": False})


def after(step: Callable[[], Awaitable[None]]) -> App:
    """The echo, after awaiting something."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await step()
        await echo(scope, receive, send)

    return app
