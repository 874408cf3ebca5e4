"""JMAP over a socket, told over the ASGI interface; what goes over the wire is next door."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from protocols.http.requests import Message
from protocols.http.websocket import (
    GOING_AWAY,
    INTERNAL_ERROR,
    POLICY_VIOLATION,
    UNSUPPORTED_DATA,
)
from protocols.jmap.capabilities import CORE, MAIL, Limits
from storage import accounts
from tests.protocols.http.listening import basic, listen
from tests.protocols.jmap.desk import BOB, Desk, message

ECHO = {"using": [CORE], "methodCalls": [["Core/echo", {"high": 5}, "c"]]}


class Socket:
    """A client's end of a socket, message by message."""

    def __init__(self) -> None:
        self.told: list[Message] = []
        self.ended = False
        self._out, self._in = trio.open_memory_channel[Message](100)
        self._news = trio.Event()

    async def receive(self) -> Message:
        return await self._in.receive()

    async def send(self, told: Message) -> None:
        await trio.lowlevel.checkpoint()
        self.told.append(told)
        self._news.set()
        self._news = trio.Event()

    def say(self, document: Any) -> None:
        """One text message."""
        text = document if isinstance(document, str) else msgspec.json.encode(document).decode()
        self._out.send_nowait({"type": "websocket.receive", "text": text, "bytes": None})

    def say_raw(self, told: Message) -> None:
        self._out.send_nowait(told)

    @property
    def heard(self) -> list[Any]:
        """The messages that have come."""
        return [msgspec.json.decode(m["text"]) for m in self.told if m["type"] == "websocket.send"]

    async def hear(self, count: int = 1) -> Any:
        """The last of so many messages, when they have come."""
        with trio.fail_after(1000):
            while len(self.heard) < count:
                await self._news.wait()
        return self.heard[count - 1]

    async def wait_closed(self) -> int:
        """The code that the server closes with."""
        with trio.fail_after(1000):
            while self.told[-1]["type"] != "websocket.close":
                await self._news.wait()
        code: int = self.told[-1]["code"]
        return code


@asynccontextmanager
async def connect(
    desk: Desk,
    *,
    headers: dict[bytes, bytes] | None = None,
    subprotocols: tuple[str, ...] = ("jmap",),
    path: str = "/jmap/ws",
) -> AsyncIterator[Socket]:
    """Open a socket; the client leaves when the block ends."""
    socket = Socket()
    fields = {b"host": b"mail.example.org", b"authorization": basic()} | (headers or {})
    scope = {
        "type": "websocket",
        "scheme": "ws",
        "http_version": "1.1",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": list(fields.items()),
        "subprotocols": list(subprotocols),
        "client": ("127.0.0.1", 4711),
    }
    socket.say_raw({"type": "websocket.connect"})
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            await desk.app(scope, socket.receive, socket.send)
            socket.ended = True

        nursery.start_soon(serve)
        while not socket.told:
            await socket._news.wait()
        yield socket
        socket.say_raw({"type": "websocket.disconnect", "code": 1005})


async def refusal(desk: Desk, **more: Any) -> int:
    """The status of a handshake that is refused."""
    async with connect(desk, **more) as socket:
        await trio.testing.wait_all_tasks_blocked()
        assert [m["type"] for m in socket.told] == [
            "websocket.http.response.start",
            "websocket.http.response.body",
        ]
        assert socket.told[1]["body"]
        status: int = socket.told[0]["status"]
        return status


async def test_a_request_is_answered_under_its_id() -> None:
    async with connect(Desk()) as socket:
        assert socket.told == [{"type": "websocket.accept", "subprotocol": "jmap"}]
        socket.say({"@type": "Request", "id": "R1", **ECHO})
        told = await socket.hear()
        assert told["@type"] == "Response" and told["requestId"] == "R1"
        assert told["methodResponses"] == [["Core/echo", {"high": 5}, "c"]]
        assert told["sessionState"]
        socket.say({"@type": "Request", **ECHO})
        assert "requestId" not in await socket.hear(2)


async def test_errors_of_a_request_are_told_and_the_socket_goes_on() -> None:
    async with connect(Desk(limits=Limits(calls_max=1))) as socket:
        for count, (document, kind) in enumerate(
            (
                ("The quick brown fox", "notJSON"),
                ({"@type": "Request", "id": "R1"}, "notRequest"),
                ({"@type": "Request", "id": "R1", **ECHO, "using": ["urn:x"]}, "unknownCapability"),
                (
                    {"@type": "Request", "id": "R1", **ECHO, "methodCalls": [["a", {}, "b"]] * 2},
                    "limit",
                ),
            ),
            start=1,
        ):
            socket.say(document)
            told = await socket.hear(count)
            assert told["@type"] == "RequestError" and told["type"].endswith(":" + kind)
            assert told["requestId"] == (None if kind == "notJSON" else "R1")
        socket.say({"@type": "Request", **ECHO})
        assert (await socket.hear(5))["@type"] == "Response"


async def test_who_may_not_is_told_so_before_a_socket_is_open() -> None:
    desk = Desk(allow_origins=("https://page.example",))
    assert await refusal(desk, headers={b"authorization": b""}) == 401
    assert await refusal(desk, headers={b"authorization": basic(password="wrong")}) == 401
    assert await refusal(desk, subprotocols=()) == 400
    assert await refusal(desk, path="/jmap/other") == 404
    assert await refusal(desk, headers={b"origin": b"https://evil.example"}) == 403
    for origin in (b"https://page.example", b"http://mail.example.org"):
        async with connect(desk, headers={b"origin": origin}) as socket:
            assert socket.told[0]["type"] == "websocket.accept"
    desk.house.unavailable = True
    assert await refusal(desk) == 503
    assert (await desk.http("GET", "/jmap/ws")).status == 426


async def test_sockets_and_event_streams_are_bounded_together() -> None:
    desk = Desk(followers_max=1)
    async with listen(desk):
        assert await refusal(desk) == 429
    async with connect(desk):
        assert await refusal(desk) == 429
        async with connect(desk, headers={b"authorization": basic(BOB, "other")}) as socket:
            assert socket.told[0]["type"] == "websocket.accept"


async def test_answers_come_in_any_order_and_no_more_than_the_limit_run(
    autojump_clock: MockClock,
) -> None:
    desk = Desk(limits=Limits(requests_max=2))
    write = ["Mailbox/set", {"accountId": desk.account, "create": {"a": {"name": "A"}}}, "c"]
    async with connect(desk) as socket:
        desk.house.stall()
        slow = {"@type": "Request", "id": "slow", "using": [CORE, MAIL], "methodCalls": [write]}
        socket.say(slow)
        socket.say({"@type": "Request", "id": "fast", **ECHO})
        assert (await socket.hear())["requestId"] == "fast"
        socket.say({**slow, "id": "other"})
        await trio.testing.wait_all_tasks_blocked()
        socket.say({"@type": "Request", "id": "third", **ECHO})
        told = await socket.hear(2)
        assert told["requestId"] == "third" and told["limit"] == "maxConcurrentRequests"
        assert (await desk.post(ECHO)).json["limit"] == "maxConcurrentRequests"
        socket.say({"@type": "Request", "id": "fourth", **ECHO})  # waits, and has its turn
        await trio.testing.wait_all_tasks_blocked()
        desk.house.release()
        await socket.hear(5)
        assert {told["requestId"] for told in socket.heard[2:]} == {"slow", "other", "fourth"}


async def test_requests_of_all_share_what_memory_there_is() -> None:
    async with connect(Desk(bodies_octets_max=10)) as socket:
        socket.say({"@type": "Request", "id": "R", **ECHO})
        told = await socket.hear()
        assert told["status"] == 429 and told["requestId"] == "R"


async def test_changes_are_pushed_from_when_it_is_enabled_until_it_is_disabled() -> None:
    desk = Desk()
    async with connect(desk) as socket:
        desk.deliver(message(number=1))
        socket.say({"@type": "WebSocketPushEnable", "dataTypes": ["Email"]})
        await trio.testing.wait_all_tasks_blocked()
        assert socket.heard == []
        desk.deliver(message(number=2))
        told = await socket.hear()
        state = (await desk.call("Email/get", ids=[]))["state"]
        assert told["@type"] == "StateChange" and told["pushState"]
        assert told["changed"] == {desk.account: {"Email": state}}
        socket.say({"@type": "WebSocketPushEnable", "dataTypes": ["Mailbox"]})
        await trio.testing.wait_all_tasks_blocked()
        desk.deliver(message(number=3))
        assert list((await socket.hear(2))["changed"][desk.account]) == ["Mailbox"]
        socket.say({"@type": "WebSocketPushDisable"})
        await trio.testing.wait_all_tasks_blocked()
        desk.deliver(message(number=4))
        await trio.testing.wait_all_tasks_blocked()
        assert len(socket.heard) == 2 and desk.house.news.watched == 0


async def test_a_client_hears_of_what_it_does_right_after_enabling() -> None:
    desk = Desk()
    make = ["Mailbox/set", {"accountId": desk.account, "create": {"a": {"name": "A"}}}, "c"]
    async with connect(desk) as socket:
        socket.say({"@type": "WebSocketPushEnable", "dataTypes": None})
        socket.say({"@type": "Request", "using": [CORE, MAIL], "methodCalls": [make]})
        await socket.hear(2)
        assert {told["@type"] for told in socket.heard} == {"Response", "StateChange"}


async def test_a_push_state_brings_what_was_missed() -> None:
    desk = Desk()
    async with connect(desk) as socket:
        socket.say({"@type": "WebSocketPushEnable", "dataTypes": None})
        await trio.testing.wait_all_tasks_blocked()
        desk.deliver(message(number=1))
        last = (await socket.hear())["pushState"]
    desk.deliver(message(number=2))
    for unavailable in (False, True):
        async with connect(desk) as socket:
            desk.house.unavailable = unavailable
            socket.say({"@type": "WebSocketPushEnable", "pushState": last})
            told = await socket.hear()
            assert "Email" in told["changed"][desk.account] and told["pushState"] != last
    desk.house.unavailable = False
    async with connect(desk) as socket:
        socket.say({"@type": "WebSocketPushEnable", "pushState": told["pushState"]})
        await trio.testing.wait_all_tasks_blocked()
        assert socket.heard == []


async def test_many_changes_are_few_messages(autojump_clock: MockClock) -> None:
    desk = Desk()
    async with connect(desk) as socket:
        socket.say({"@type": "WebSocketPushEnable"})
        await trio.sleep(0.001)
        for number in range(50):
            desk.deliver(message(number=number))
            await trio.sleep(0.001)
        await trio.sleep(1)
        assert 1 < len(socket.heard) <= 5


async def test_binary_messages_close_the_socket() -> None:
    async with connect(Desk()) as socket:
        socket.say_raw({"type": "websocket.receive", "text": None, "bytes": b"{}"})
        assert await socket.wait_closed() == UNSUPPORTED_DATA


async def test_a_new_password_closes_sockets_of_the_old_one() -> None:
    desk = Desk()
    async with connect(desk) as asking, connect(desk) as listening:
        listening.say({"@type": "WebSocketPushEnable"})
        await trio.testing.wait_all_tasks_blocked()
        desk.house.run(lambda plan: accounts.plan_set_password(plan, desk.number, "new"))
        asking.say({"@type": "Request", **ECHO})
        assert await asking.wait_closed() == POLICY_VIOLATION
        desk.deliver()
        assert await listening.wait_closed() == POLICY_VIOLATION
        assert asking.heard == listening.heard == []


async def test_a_stopping_node_says_goodbye() -> None:
    desk = Desk()
    async with connect(desk) as socket:
        socket.say({"@type": "WebSocketPushEnable"})
        await trio.testing.wait_all_tasks_blocked()
        desk.app.stop()
        assert await socket.wait_closed() == GOING_AWAY
        await trio.testing.wait_all_tasks_blocked()
        assert socket.ended


async def test_a_bug_closes_one_socket_and_is_in_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> Any:
        raise KeyError("secret innards")

    monkeypatch.setattr("protocols.http.api.answer", broken)
    async with connect(Desk()) as socket:
        socket.say({"@type": "Request", **ECHO})
        assert await socket.wait_closed() == INTERNAL_ERROR
        assert "secret innards" in caplog.text and socket.heard == []
