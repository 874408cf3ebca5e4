"""POST /jmap/api and GET /.well-known/jmap: HTTP around protocols.jmap.

A request that is refused whole is a problem document (RFC 8620 3.6.1); everything else is 200,
also when the cluster cannot answer: then each call says serverUnavailable.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec
import trio

from protocols.http.auth import Guard, busy, unavailable
from protocols.http.gates import Admission, Gate, GateFull, Room, Tenant
from protocols.http.requests import (
    BodyTooLarge,
    Headers,
    Request,
    Response,
    problem,
    problem_document,
)
from protocols.jmap.capabilities import CAPABILITIES, Limits, server_key, session
from protocols.jmap.dispatch import Caller, answer
from protocols.jmap.errors import RequestError, not_json, over_limit
from protocols.jmap.fragments import FragmentCache
from protocols.jmap.request import decode_ijson, read_request
from protocols.ports import Ports, Principal, Unavailable
from storage.ids import SYSTEM_ACCOUNT, AccountId
from storage.mail.columns import ColumnCache
from storage.push_keys import plan_push_key

# What queries keep of accounts' emails: some 60 octets for each of a million emails.
COLUMNS_BYTES_MAX: Final = 64 * 1024 * 1024
# Emails as lists show them: some 8,000, the newest pages of as many mailboxes as are looked at.
FRAGMENTS_OCTETS_MAX: Final = 8 * 1024 * 1024

TOO_MUCH: Final = "too much is being asked at once"

_NO_STORE: Final[Headers] = [(b"cache-control", b"no-cache, no-store, must-revalidate")]


class JmapApi:
    """The two JSON resources of JMAP."""

    def __init__(
        self,
        ports: Ports,
        guard: Guard,
        limits: Limits,
        begins: Callable[[Request], str | None],
        bodies_octets_max: int,
    ) -> None:
        self._ports = ports
        self._guard = guard
        self._limits = limits
        self._begins = begins
        self._running = Gate(limits.requests_max)
        self._room = Room(bodies_octets_max)
        self._columns = ColumnCache(COLUMNS_BYTES_MAX)
        self._fragments = FragmentCache(FRAGMENTS_OCTETS_MAX)

    async def place(self, account: AccountId) -> None:
        """Wait for one's turn among the account's concurrent requests, for a while."""
        await self._running.place(account)

    def admit(self, account: AccountId) -> Admission:
        """Be one of the account's concurrent requests; raises RequestError limit. WebSocket's
        count too (RFC 8887 4.3.2). The body is held for as long as its calls run."""
        try:
            return Admission(self._running, account, self._room)
        except GateFull:
            raise over_limit(
                "maxConcurrentRequests",
                f"more than {self._limits.requests_max} requests at once",
                status=429,
            ) from None

    async def session(self, request: Request) -> Response:
        """RFC 8620 2: the session resource."""
        principal = await self._guard.admit(request)
        try:
            await self._ports.reader.view()
            key = server_key(self._ports.reader.local())
            if key is None:
                # Made when the first session is asked for: RFC 9749 has it told before its use.
                await self._ports.writer.write(SYSTEM_ACCOUNT, plan_push_key)
                key = server_key(self._ports.reader.local())
        except Unavailable:
            return unavailable()
        begins = self._begins(request)
        if begins is None:
            return problem(400, "the host or scheme of the request is none")
        body = msgspec.json.encode(session(principal, self._limits, begins, key))
        return Response(200, body=body, headers=_NO_STORE)

    async def call(self, request: Request) -> Response:
        """RFC 8620 3.1: one API request."""
        principal = await self._guard.admit(request)
        await self.place(principal.account)
        try:
            with self.admit(principal.account) as tenant:
                document = decode_ijson(await self._read(request, tenant))
                body = await self.answer(document, principal)
        except RequestError as error:
            return problem_document(error.document())
        except GateFull:
            return busy(TOO_MUCH)
        return Response(200, body=body, headers=_NO_STORE)

    async def answer(self, document: Any, principal: Principal) -> bytes:
        """The encoded Response to a Request in a JSON value; raises RequestError."""
        parsed = read_request(document, calls_max=self._limits.calls_max, capabilities=CAPABILITIES)
        caller = Caller(
            principal,
            self._ports,
            self._limits,
            trio.lowlevel.checkpoint,
            self._columns,
            self._fragments,
        )
        return await answer(parsed, caller)

    async def _read(self, request: Request, tenant: Tenant) -> bytes:
        media_type = request.header(b"content-type").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise not_json("the Content-Type is not application/json")
        try:
            return await request.body(self._limits.request_bytes_max, tenant.grow)
        except BodyTooLarge:
            raise over_limit(
                "maxSizeRequest", f"the request is over {self._limits.request_bytes_max} octets"
            ) from None
