"""Clients of tests that hold a connection open: an event stream on a Desk, without a network."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio

from protocols.http.requests import ClientGone, Message
from tests.protocols.jmap.desk import ALICE, SECRET, Desk

QUERY = "types=*&closeafter=no&ping=0"


def basic(user: str = ALICE, password: str = SECRET) -> bytes:
    """An Authorization header."""
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())


class Listener:
    """What has come on one event stream."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.octets = b""
        self.ended = False
        self.leaving = trio.Event()
        self.broken = False
        """The next send fails, as to a peer that is gone."""
        self._news = trio.Event()
        self._seen = 0

    async def receive(self) -> Message:
        if self._seen == 0:
            self._seen = 1
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.leaving.wait()
        return {"type": "http.disconnect"}

    async def send(self, told: Message) -> None:
        await trio.lowlevel.checkpoint()
        if self.broken:
            raise ClientGone
        if told["type"] == "http.response.start":
            self.status, self.headers = told["status"], dict(told["headers"])
        else:
            self.octets += told["body"]
            self.ended = not told["more_body"]
        self._news.set()
        self._news = trio.Event()

    @property
    def events(self) -> list[dict[str, str]]:
        """The blocks that have come, by field; a comment has none."""
        blocks = self.octets.decode().split("\n\n")[:-1]
        return [
            dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
            for block in blocks
        ]

    def changes(self) -> list[dict[str, Any]]:
        """The data of the state events."""
        return [
            msgspec.json.decode(event["data"])
            for event in self.events
            if event.get("event") == "state"
        ]

    async def wait_events(self, count: int) -> list[dict[str, str]]:
        """Until there are so many."""
        with trio.fail_after(2000):
            while len(self.events) < count:
                await self._news.wait()
        return self.events

    async def wait_end(self) -> None:
        """Until the answer has ended."""
        with trio.fail_after(2000):
            while not self.ended:
                await self._news.wait()


@asynccontextmanager
async def listen(
    desk: Desk, query: str = QUERY, *, headers: dict[bytes, bytes] | None = None
) -> AsyncIterator[Listener]:
    """Open the event stream; the client leaves when the block ends."""
    listener = Listener()
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": "/jmap/eventsource/",
        "raw_path": b"/jmap/eventsource/",
        "query_string": query.encode(),
        "headers": list(({b"authorization": basic()} | (headers or {})).items()),
        "client": ("127.0.0.1", 4711),
    }
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.app, scope, listener.receive, listener.send)
        await listener.wait_events(1)
        yield listener
        listener.leaving.set()
