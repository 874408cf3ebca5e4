"""RFC 8620 7.3: the event-source resource, a response that does not end.

id: 7.123                     where the client is, before anything happens: so a connection
                              that breaks early misses nothing either
event: state, data: {...}     a StateChange, its id after it names the new state
event: ping, data: {...}      after each interval without an event
:                             a comment, where no pings are wanted: a peer that is gone without
                              a word is found out by what cannot be sent to it
"""

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec
import trio

from protocols.http.auth import Guard, busy, unavailable
from protocols.http.followers import EVENT_PAUSE_S, Follower, Followers
from protocols.http.gates import GateFull
from protocols.http.requests import (
    ClientGone,
    Headers,
    Receive,
    Request,
    Response,
    Write,
    problem,
)
from protocols.jmap.state_change import type_bits
from protocols.ports import Ports, Unavailable

PING_S_MIN: Final = 1
PING_S_MAX: Final = 900  # RFC 8620 7.3: no less than 300
# Without pings a comment is sent after so long.
COMMENT_S: Final = 300
# Names of types in one request; more than there are makes no sense.
TYPES_MAX: Final = 100

_TYPE: Final = b"text/event-stream"
_HEADERS: Final[Headers] = [
    (b"cache-control", b"no-cache, no-store"),
    (b"x-accel-buffering", b"no"),  # proxies that gather answers are asked not to
]


@dataclass(frozen=True, slots=True)
class Wish:
    """The three variables of eventSourceUrl; `ping_s` 0 is no pings."""

    wanted: int
    close_after_state: bool
    ping_s: int


def read_wish(request: Request) -> Wish | None:
    """What the query asks for, with the interval as it will be; None when it is malformed."""
    types = request.query_value("types")
    close_after = request.query_value("closeafter")
    ping = request.query_value("ping")
    if not types or types.count(",") >= TYPES_MAX or close_after not in ("state", "no"):
        return None
    if ping is None or not (ping.isascii() and ping.isdigit()) or len(ping) > 10:
        return None
    wanted = type_bits(None if types == "*" else types.split(","))
    ping_s = int(ping) and min(max(int(ping), PING_S_MIN), PING_S_MAX)
    return Wish(wanted, close_after == "state", ping_s)


class EventSource:
    """GET /jmap/eventsource/."""

    def __init__(self, ports: Ports, guard: Guard, followers: Followers) -> None:
        self._ports = ports
        self._guard = guard
        self._followers = followers

    async def open(self, request: Request) -> Response:
        """Begin the stream."""
        principal = await self._guard.admit(request)
        wish = read_wish(request)
        if wish is None:
            return problem(400, "types, closeafter (state or no) and ping (seconds) are needed")
        try:
            await self._ports.reader.view()
        except Unavailable:
            return unavailable()
        held = ExitStack()
        try:
            held.enter_context(self._followers.seat(principal.account))
        except GateFull:
            return busy("too many streams are open")
        token = request.header(b"last-event-id") or None
        follower = held.enter_context(self._followers.follow(principal, wish.wanted, token))
        live = partial(self._live, follower, wish, request.receive)
        return Response(200, _TYPE, headers=list(_HEADERS), live=live, held=held)

    async def _live(self, follower: Follower, wish: Wish, receive: Receive, write: Write) -> None:
        gone = False
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_wait_gone, receive, nursery.cancel_scope)
                await write(b"id: %b\n\n" % follower.token.encode())
                await self._tell(follower, wish, write)
                nursery.cancel_scope.cancel()
        except* ClientGone:
            gone = True
        if gone:
            raise ClientGone

    async def _tell(self, follower: Follower, wish: Wish, write: Write) -> None:
        quiet_s = wish.ping_s or COMMENT_S
        due_s = trio.current_time() + quiet_s
        while True:
            await follower.wait(due_s)
            if follower.ended or not self._followers.still_valid(follower):
                return
            change = follower.take()
            if change is not None:
                await write(_event(b"state", msgspec.json.encode(change), follower.token))
                if wish.close_after_state:
                    return
                due_s = trio.current_time() + quiet_s
                await trio.sleep(EVENT_PAUSE_S)
            elif trio.current_time() >= due_s:
                ping = _event(b"ping", b'{"interval":%d}' % wish.ping_s, None)
                await write(ping if wish.ping_s else b":\n\n")
                due_s = trio.current_time() + quiet_s


def _event(name: bytes, data: bytes, token: str | None) -> bytes:
    mark = b"" if token is None else b"id: %b\n" % token.encode()
    return b"event: %b\n%bdata: %b\n\n" % (name, mark, data)


async def _wait_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] == "http.request":
        pass
    scope.cancel()
