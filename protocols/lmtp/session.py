"""LMTP over a stream: asks the house who recipients and clients are, and answers each.

What becomes of a message is distribution.py's business; what 250 means stands there.
"""

from contextlib import nullcontext
from typing import Final

import trio

from protocols.bearer import Refusal, TokenClaim
from protocols.lmtp import replies
from protocols.lmtp.commands import Address
from protocols.lmtp.content import Budget
from protocols.lmtp.core import Core
from protocols.lmtp.distribution import distribute
from protocols.lmtp.events import (
    AuthAsked,
    Awaiting,
    Closed,
    MessageReceived,
    NameAsked,
    NeedInput,
    Offer,
    Proof,
    RecipientAsked,
    TlsAsked,
)
from protocols.lmtp.policy import Policy
from protocols.lmtp.replies import Reply
from protocols.ports import (
    AuthBusy,
    AuthFailed,
    NotForOthers,
    Ports,
    Principal,
    ScopeMissing,
    TooManyMembers,
    Unavailable,
)
from protocols.sasl import Claim, Shown
from protocols.serve import COMMAND_S, Closing, Fault, OpeningHours, Patience, run_connection
from protocols.stream import DoorStream, PeerSlow
from protocols.tls_stream import TlsContext
from storage.grants import Access as TokenAccess
from storage.grants import stands
from storage.view import View

MIB: Final = 1024 * 1024

# RFC 5321 4.5.3.2.7: a server waits 5 minutes for the next command at least.
IDLE_S: Final = 300.0
# A message of the largest size at 100 KB/s.
CONTENT_S: Final = 600.0
# Octets of messages that all LMTP connections of a node hold while receiving and delivering them.
# Parsing and writing hold a message some three times over.
HELD_BYTES_MAX: Final = 256 * MIB

_PATIENCE_S: Final = {
    Awaiting.COMMAND: IDLE_S,
    Awaiting.REST_OF_COMMAND: COMMAND_S,
    Awaiting.RESPONSE: COMMAND_S,
    Awaiting.CONTENT: CONTENT_S,
}


class LmtpDoor:
    """The LMTP door of a node: what its connections share."""

    def __init__(
        self,
        ports: Ports,
        offer: Offer,
        *,
        tls: TlsContext | None = None,
        policy: Policy | None = None,
        held_bytes_max: int = HELD_BYTES_MAX,
    ) -> None:
        assert offer.starttls == (tls is not None), "STARTTLS is offered with a certificate only"
        self.policy = policy or Policy()
        assert offer.auth == self.policy.some_authenticate, "AUTH is offered for somebody only"
        self.ports = ports
        self.offer = offer
        self.tls = tls
        self.hours = OpeningHours()
        # Two of the largest must fit, or one connection would hold up all others.
        self.budget = Budget(max(held_bytes_max, 2 * offer.message_bytes_max))

    async def converse(self, transport: trio.abc.Stream, peer_ip: str, secure: bool) -> None:
        """Serve one accepted connection to its end; `secure` when TLS is on already."""
        stream = DoorStream(transport, peer_ip=peer_ip, secure=secure)
        session = LmtpSession(self, stream)
        try:
            await run_connection(stream, session, self.hours)
        finally:
            session.core.close()


class LmtpSession:
    """One connection."""

    def __init__(self, door: LmtpDoor, stream: DoorStream) -> None:
        self._door = door
        self._ports = door.ports
        self._stream = stream
        self._view: View | None = None  # good for all that was received before it was taken
        self._waiting_for: NeedInput | None = None
        self._came_by: TokenAccess | None = None
        self._trusted = door.policy.trusts(stream.peer_ip)
        self.core = Core(
            door.offer,
            door.budget,
            secure=stream.secure,
            loopback=stream.loopback,
            trusted=self._trusted,
            certified=bool(stream.certified),
        )

    async def run(self, patience: Patience) -> None:
        """serve.Session: converse to the end. A stranger has the time of one to prove itself."""
        if self._trusted:
            patience.trust()
        while True:
            match self.core.next_event():
                case NeedInput() as need:
                    if not await self._receive(need, patience):
                        return
                case RecipientAsked(address=address):
                    patience.lift()
                    await self._recipient(address)
                case MessageReceived() as received:
                    patience.lift()
                    self.core.delivered(
                        await distribute(
                            self._ports,
                            received,
                            peer_ip=self._stream.peer_ip,
                            secure=self._stream.secure,
                        )
                    )
                case NameAsked() as asked:
                    patience.lift()
                    self.core.told(await self._name(asked))
                case AuthAsked(claim=claim):
                    patience.lift()
                    await self._authenticate(claim, patience)
                case TlsAsked():
                    patience.lift()
                    await self._start_tls()
                case Closed():
                    await self._flush()
                    return

    def farewell(self, fault: Fault) -> bytes:
        """serve.Session: 421 and why (RFC 5321 3.8)."""
        match fault:
            case PeerSlow():
                return replies.TOO_SLOW.render()
            case Closing():
                return replies.CLOSING.render()
            case _:
                return replies.TOO_MANY_ERRORS.render()

    async def _receive(self, need: NeedInput, patience: Patience) -> bool:
        """More octets for the core; False when the peer has sent its last."""
        await self._flush()
        if need != self._waiting_for:
            patience.allow(_PATIENCE_S[need.awaiting])
            self._waiting_for = need
        begun = need.awaiting is not Awaiting.COMMAND or self.core.in_transaction
        with nullcontext() if begun else patience.rest():
            data = await self._stream.receive_some(self.core.room)
        self.core.receive(data)
        self._view = None
        return bool(data)

    async def _flush(self) -> None:
        if out := self.core.outgoing():
            await self._stream.send_all(out)

    async def _start_tls(self) -> None:
        await self._flush()
        assert self._door.tls is not None
        await self._stream.start_tls(self._door.tls)
        self.core.tls_started(certified=bool(self._stream.certified))

    async def _recipient(self, address: Address) -> None:
        try:
            if self._view is None:
                self._view = await self._ports.reader.view()
        except Unavailable:
            self.core.refuse_recipient(replies.UNAVAILABLE)
            return
        access, now_ms = self._came_by, self._ports.clock.now_ms()
        if access is not None and not stands(self._view, access, now_ms):
            self.core.access_ended()
            if not self._trusted:
                self.core.refuse_recipient(replies.NEEDS_AUTH)
                return
        # RFC 5321 4.5.1: Postmaster without a domain is ours.
        domain = address.domain or self._ports.hostname
        try:
            route = self._ports.directory.route(self._view, f"{address.local}@{domain}")
        except TooManyMembers:
            self.core.refuse_recipient(replies.LIST_TOO_LARGE)
            return
        if route is None:
            self.core.refuse_recipient(replies.unknown_recipient(str(address)))
        elif not (route.accounts or route.elsewhere):
            self.core.refuse_recipient(replies.LIST_EMPTY)
        else:
            self.core.accept_recipient(route)

    async def _name(self, asked: NameAsked) -> Reply:
        """VRFY and EXPN (RFC 5321 3.5)."""
        try:
            view = await self._ports.reader.view()
            route = self._ports.directory.route(view, asked.name)
        except Unavailable:
            return replies.UNAVAILABLE
        except TooManyMembers:
            return replies.LIST_TOO_LARGE
        if route is None:
            return replies.unknown_recipient(asked.name)
        if not asked.expand:
            return replies.verified(asked.name)
        if not route.mailing_list:
            return replies.no_list(asked.name)
        return replies.expanded(route.members) if route.members else replies.LIST_EMPTY

    async def _authenticate(self, claim: Proof, patience: Patience) -> None:
        refusal, reply = Refusal.TOKEN, replies.AUTH_FAILED
        try:
            principal = await self._prove(claim)
        except NotForOthers:
            refusal = Refusal.REQUEST
        except ScopeMissing:
            refusal = Refusal.SCOPE
        except AuthFailed:
            pass
        except (AuthBusy, Unavailable):
            self.core.told(replies.AUTH_BUSY)
            return
        else:
            if self._door.policy.admits(principal.address):
                self._came_by = principal.access
                self.core.authenticated()
                patience.trust()
                return
            refusal, reply = Refusal.REQUEST, replies.AUTH_NOT_ADMITTED
        if isinstance(claim, TokenClaim):
            self.core.token_refused(refusal, reply)
        else:
            self.core.told(reply)

    async def _prove(self, claim: Proof) -> Principal:
        auth, stream = self._ports.auth, self._stream
        match claim:
            case Shown(authzid=authzid):
                shown = stream.certified
                return await auth.certificate(shown, authzid=authzid, remote=stream.peer_ip)
            case TokenClaim(authzid=authzid, token=token):
                if not token:
                    raise AuthFailed("no token")
                return await auth.bearer(token, authzid=authzid, remote=stream.peer_ip)
            case Claim(username=username, password=password):
                return await auth.password(username, password, remote=stream.peer_ip)
