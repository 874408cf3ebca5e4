"""RFC 8887: JMAP over WebSocket, as an ASGI application on one socket.

The reader never waits for what it started: it hands a Request to a task of its own or refuses it,
so answers come in any order and a message never waits in memory for another. Requests count to
the account's concurrent ones together with those of the API resource. Who may open a socket is
found out before it is accepted: the same credentials as for HTTP, and for a page of another
origin, that it is allowed (a browser sends what it remembers, whoever asks it to).
"""

import logging
import math
from contextlib import ExitStack
from typing import Final

import trio

from protocols.http.api import TOO_MUCH, JmapApi
from protocols.http.auth import Guard, Refused, busy
from protocols.http.cors import Cors
from protocols.http.followers import EVENT_PAUSE_S, Follower, Followers, credential_of, signed_in
from protocols.http.gates import Admission, GateFull
from protocols.http.requests import (
    ClientGone,
    Receive,
    Response,
    Scope,
    Send,
    problem,
    read_scope,
)
from protocols.jmap.errors import RequestError, over_limit
from protocols.jmap.socket_messages import (
    Asked,
    MessageRefused,
    PushDisable,
    PushEnable,
    read_message,
    render_change,
    render_error,
    render_response,
)
from protocols.jmap.state_change import type_bits
from protocols.ports import Ports, Principal, Unavailable

_LOG: Final = logging.getLogger("trireme.http")

SUBPROTOCOL: Final = "jmap"

# RFC 6455 7.4.1.
GOING_AWAY: Final = 1001
UNSUPPORTED_DATA: Final = 1003
POLICY_VIOLATION: Final = 1008
INTERNAL_ERROR: Final = 1011


class WebSockets:
    """The resource /jmap/ws."""

    def __init__(
        self, ports: Ports, guard: Guard, api: JmapApi, followers: Followers, cors: Cors
    ) -> None:
        self._ports = ports
        self._guard = guard
        self._api = api
        self._followers = followers
        self._cors = cors

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One socket, from its handshake to its end."""
        await receive()  # websocket.connect
        with ExitStack() as held:
            try:
                principal = await self._admit(scope, receive, held)
            except Refused as refused:
                await refuse(send, refused.response)
                return
            await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
            session = _Session(principal, self._ports, self._api, self._followers, send)
            try:
                await session.run(receive)
            except* ClientGone:
                pass

    async def _admit(self, scope: Scope, receive: Receive, held: ExitStack) -> Principal:
        request = read_scope({"method": "GET", **scope}, receive)
        if not self._cors.allows_socket(request):
            raise Refused(problem(403, "pages of this origin may not open a socket here"))
        principal = await self._guard.admit(request)
        if SUBPROTOCOL not in scope.get("subprotocols", ()):
            raise Refused(problem(400, "the subprotocol jmap is needed (RFC 8887)"))
        try:
            held.enter_context(self._followers.seat(principal.account))
        except GateFull:
            raise Refused(busy("too many streams are open")) from None
        return principal


async def refuse(send: Send, response: Response) -> None:
    """Answer a handshake with this instead."""
    headers = [
        *response.headers,
        (b"content-type", response.content_type),
        (b"content-length", b"%d" % len(response.body)),
    ]
    status = response.status
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": response.body})


class _Session:
    """An accepted socket."""

    def __init__(
        self, principal: Principal, ports: Ports, api: JmapApi, followers: Followers, send: Send
    ) -> None:
        self._principal = principal
        self._ports = ports
        self._api = api
        self._followers = followers
        self._send = send
        self._credential = credential_of(ports.reader.local(), principal.account)
        self._pushing: trio.CancelScope | None = None
        self._nursery: trio.Nursery

    async def run(self, receive: Receive) -> None:
        """Until the client leaves, the node stops, or one of both must close."""
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(self._leave_at_stop)
            while (message := await receive())["type"] == "websocket.receive":
                text = message.get("text")
                if text is None:
                    await self._close(UNSUPPORTED_DATA)
                elif not self._signed_in():
                    await self._close(POLICY_VIOLATION)
                else:
                    await self._hear(text)
            self._nursery.cancel_scope.cancel()

    def _signed_in(self) -> bool:
        rows, now_ms = self._ports.reader.local(), self._ports.clock.now_ms()
        return signed_in(rows, self._principal, self._credential, now_ms)

    async def _leave_at_stop(self) -> None:
        await self._followers.stopping.wait()
        await self._close(GOING_AWAY)

    async def _close(self, code: int) -> None:
        await self._send({"type": "websocket.close", "code": code})
        self._nursery.cancel_scope.cancel()

    async def _say(self, text: str) -> None:
        await self._send({"type": "websocket.send", "text": text})

    async def _hear(self, text: str) -> None:
        try:
            message = read_message(text)
        except MessageRefused as refused:
            await self._say(render_error(refused.error, refused.request_id))
            return
        match message:
            case Asked():
                await self._begin(message, len(text))
            case PushEnable():
                self._enable(message)
            case PushDisable():
                self._disable()

    async def _begin(self, asked: Asked, octets: int) -> None:
        # Meanwhile nothing more is heard of this client: what it sends waits in the socket.
        await self._api.place(self._principal.account)
        try:
            held = self._api.admit(self._principal.account)
        except RequestError as error:
            await self._say(render_error(error, asked.id))
            return
        try:
            held.tenant.grow(octets)
        except GateFull:
            held.close()
            full = over_limit("maxConcurrentRequests", TOO_MUCH, status=429)
            await self._say(render_error(full, asked.id))
        else:
            self._nursery.start_soon(self._answer, asked, held)

    async def _answer(self, asked: Asked, held: Admission) -> None:
        with held:
            try:
                told = render_response(
                    await self._api.answer(asked.document, self._principal), asked.id
                )
            except RequestError as error:
                told = render_error(error, asked.id)
            except Exception:
                # A bug of ours, told to one client alone; the log has the rest.
                _LOG.exception("a request over WebSocket failed")
                await self._close(INTERNAL_ERROR)
                return
            await self._say(told)

    def _disable(self) -> None:
        if self._pushing is not None:
            self._pushing.cancel()
            self._pushing = None

    def _enable(self, wish: PushEnable) -> None:
        """Listening begins here and now: what the client does next, it will hear of."""
        self._disable()
        held, scope = ExitStack(), trio.CancelScope()
        wanted = type_bits(wish.data_types)
        follower = held.enter_context(self._followers.follow(self._principal, wanted))
        self._pushing = scope
        self._nursery.start_soon(self._push, follower, wish.push_state, held, scope)

    async def _push(
        self, follower: Follower, token: str | None, held: ExitStack, scope: trio.CancelScope
    ) -> None:
        with held, scope:
            if token is not None:
                await self._come_back(follower, token)
            while True:
                await follower.wait(math.inf)
                if follower.ended:
                    return
                if not self._signed_in():
                    await self._close(POLICY_VIOLATION)
                change = follower.take()
                if change is not None:
                    await self._say(render_change(change, follower.token))
                    await trio.sleep(EVENT_PAUSE_S)

    async def _come_back(self, follower: Follower, token: str) -> None:
        try:
            rows = await self._ports.reader.view()
        except Unavailable:
            # A token that is ahead of this node's rows then brings all types: too much, never less.
            rows = self._ports.reader.local()
        follower.come_back(rows, token)
