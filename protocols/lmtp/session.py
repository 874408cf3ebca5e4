"""LMTP over a stream: asks the house who recipients are, delivers, and answers for each.

250 for a recipient means that the message is durable on a majority in that recipient's inbox. A
recipient that could not be answered for gets 451, and the MTA tries again; nothing is said for all
because of one. Recipients of one account share one delivery.
"""

import ssl
from collections.abc import Mapping, Sequence
from typing import Final

import trio

from protocols import delivery
from protocols.lmtp import replies
from protocols.lmtp.commands import Address
from protocols.lmtp.content import Budget
from protocols.lmtp.core import Core
from protocols.lmtp.events import (
    Awaiting,
    Closed,
    MessageReceived,
    NeedInput,
    Offer,
    Recipient,
    RecipientAsked,
    TlsAsked,
)
from protocols.lmtp.replies import Reply
from protocols.lmtp.trace import render_trace
from protocols.ports import Ports, Unavailable
from protocols.serve import COMMAND_S, Closing, Fault, Patience, run_connection
from protocols.stream import DoorStream, PeerSlow
from storage.ids import AccountId
from storage.mail.errors import MailError, OverQuota
from storage.mail.records import NewEmail
from storage.view import View

MIB: Final = 1024 * 1024

# RFC 5321 4.5.3.2.7: a server waits 5 minutes for the next command at least.
IDLE_S: Final = 300.0
# A message of the largest size at 100 KB/s.
CONTENT_S: Final = 600.0
# Octets of messages that all LMTP connections of a node hold while receiving and delivering them.
# Parsing and writing hold a message some three times over.
HELD_BYTES_MAX: Final = 256 * MIB
# Deliveries of one message under way at a time: enough for the proposer to batch them.
DELIVERIES_MAX: Final = 32

_PATIENCE_S: Final = {
    Awaiting.COMMAND: IDLE_S,
    Awaiting.REST_OF_COMMAND: COMMAND_S,
    Awaiting.CONTENT: CONTENT_S,
}


class LmtpDoor:
    """The LMTP door of a node: what its connections share."""

    def __init__(
        self,
        ports: Ports,
        offer: Offer,
        *,
        tls: ssl.SSLContext | None = None,
        held_bytes_max: int = HELD_BYTES_MAX,
    ) -> None:
        assert offer.starttls == (tls is not None), "STARTTLS is offered with a certificate only"
        self.ports = ports
        self.offer = offer
        self.tls = tls
        # Two of the largest must fit, or one connection would hold up all others.
        self.budget = Budget(max(held_bytes_max, 2 * offer.message_bytes_max))

    async def converse(self, transport: trio.abc.Stream, peer_ip: str, secure: bool) -> None:
        """Serve one accepted connection to its end; `secure` when TLS is on already."""
        stream = DoorStream(transport, peer_ip=peer_ip, secure=secure)
        session = LmtpSession(self, stream)
        try:
            await run_connection(stream, session)
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
        self.core = Core(door.offer, door.budget, secure=stream.secure)

    async def run(self, patience: Patience) -> None:
        """serve.Session: converse to the end. The MTA is known by the network it may come from."""
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
                    self.core.delivered(await self._deliver(received))
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
        self.core.tls_started()

    async def _recipient(self, address: Address) -> None:
        try:
            if self._view is None:
                self._view = await self._ports.reader.view()
        except Unavailable:
            self.core.refuse_recipient(replies.UNAVAILABLE)
            return
        # RFC 5321 4.5.1: Postmaster without a domain is ours.
        domain = address.domain or self._ports.hostname
        whole = f"{address.local}@{domain}"
        account = self._ports.directory.resolve(self._view, whole)
        if account is None:
            self.core.refuse_recipient(replies.unknown_recipient(str(address)))
        else:
            self.core.accept_recipient(account)

    # --- delivery

    async def _deliver(self, received: MessageReceived) -> Sequence[Reply]:
        """A reply for each recipient, in order."""
        now_ms = self._ports.clock.now_ms()
        trace = self._trace(received, now_ms)
        message = b"".join((trace, received.content))
        email = delivery.prepare(message, received_ms=now_ms)
        key = delivery.delivery_key(str(received.mail.sender or ""), received.content)
        accounts = list(dict.fromkeys(recipient.account for recipient in received.recipients))
        refusals = await self._deliver_to_all(accounts, email, message, key)
        return [_reply_for(recipient, refusals) for recipient in received.recipients]

    async def _deliver_to_all(
        self, accounts: Sequence[AccountId], email: NewEmail, message: bytes, key: bytes | None
    ) -> Mapping[AccountId, Reply | None]:
        """What each account's delivery is refused with, None where it is done."""
        if len(accounts) == 1:  # nearly all mail; a nursery would cost more than the planning
            return {accounts[0]: await self._deliver_to(accounts[0], email, message, key)}
        refusals: dict[AccountId, Reply | None] = {}
        seats = trio.CapacityLimiter(DELIVERIES_MAX)

        async def seated(account: AccountId) -> None:
            async with seats:
                refusals[account] = await self._deliver_to(account, email, message, key)

        async with trio.open_nursery() as nursery:
            for account in accounts:
                nursery.start_soon(seated, account)
        return refusals

    async def _deliver_to(
        self, account: AccountId, email: NewEmail, message: bytes, key: bytes | None
    ) -> Reply | None:
        try:
            await delivery.deliver(self._ports, account, email, message, key=key)
        except Unavailable:
            return replies.UNAVAILABLE
        except OverQuota:
            return replies.MAILBOX_FULL
        except (MailError, delivery.NoInbox):
            return replies.MAILBOX_DISABLED
        return None

    def _trace(self, received: MessageReceived, now_ms: int) -> bytes:
        only = received.recipients[0] if len(received.recipients) == 1 else None
        chance = self._ports.chance.getrandbits(64)
        return render_trace(
            sender=received.mail.sender,
            client=received.client,
            peer_ip=self._stream.peer_ip,
            hostname=self._ports.hostname,
            secure=self._stream.secure,
            smtputf8=received.mail.smtputf8,
            delivery_id=f"{self._ports.node}-{chance:016x}",
            only_recipient=None if only is None else only.address,
            now_ms=now_ms,
        )


def _reply_for(recipient: Recipient, refusals: Mapping[AccountId, Reply | None]) -> Reply:
    refused = refusals[recipient.account]
    return replies.delivered(str(recipient.address)) if refused is None else refused
