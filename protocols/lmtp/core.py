"""LMTP's conversation, sans-IO (RFC 2033 over RFC 5321): octets in, events and replies out.

The driver feeds octets (`receive`), asks for the next event, answers it, and sends what
`outgoing` gives whenever it is about to wait: replies to a pipelined group leave together (RFC 2920
3.2). Which command may come when is phases.ALLOWED; what it does not list is 503. Phase is
written by `_enter` alone. After the end of a message there is one reply per accepted recipient, in
the order of their RCPTs (RFC 2033 4.2).

Who a recipient is, whether a password is right and whether a message could be kept is not known
here: those are events like RecipientAsked, and nothing else is read until they are answered.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

from protocols.bearer import Refusal
from protocols.buffer import CRLF, ReceiveBuffer
from protocols.errors import LimitExceeded, LocalProtocolError
from protocols.lmtp import replies
from protocols.lmtp.commands import (
    Address,
    Auth,
    Bdat,
    Body,
    Command,
    Data,
    Expn,
    Help,
    Lhlo,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Refused,
    Rset,
    StartTls,
    Vrfy,
    parse_command,
)
from protocols.lmtp.content import (
    DROPPED_BYTES_MAX,
    Budget,
    ChunkIntake,
    DottedIntake,
    Taken,
)
from protocols.lmtp.events import (
    AuthAsked,
    Awaiting,
    Closed,
    Event,
    MessageReceived,
    NameAsked,
    NeedInput,
    Offer,
    Proof,
    RecipientAsked,
    TlsAsked,
)
from protocols.lmtp.lines import Lines
from protocols.lmtp.phases import ALLOWED, Phase
from protocols.lmtp.proving import Access
from protocols.lmtp.replies import Reply
from protocols.lmtp.transaction import Transaction, early_refusal
from protocols.ports import Route

E = TypeVar("E", RecipientAsked, MessageReceived, TlsAsked)
_Asking = RecipientAsked | NameAsked | AuthAsked | MessageReceived | TlsAsked

KIB: Final = 1024

# Octets received and not yet understood; pipelined commands beyond it wait in the kernel.
INPUT_BYTES_MAX: Final = 64 * KIB
# Commands malformed or out of order since the last message that was kept; an MTA makes none. RFC
# 5321 3.8 wants who does not understand to go on; a flood of them is no conversation any more.
ERRORS_MAX: Final = 100
# What a proof that failed counts for: nobody guesses on for so long.
PROOF_ERRORS: Final = 5
# Commands since the last message that was kept: 1000 recipients, some RSETs, no idling about.
COMMANDS_MAX: Final = 5000


class Core:
    """One connection."""

    def __init__(
        self,
        offer: Offer,
        budget: Budget,
        *,
        secure: bool = False,
        loopback: bool = False,
        trusted: bool = True,
        certified: bool = False,
    ) -> None:
        """`trusted`: mail is taken without AUTH; `loopback`: secrets may come without TLS;
        `certified`: TLS has verified a certificate of the peer's."""
        self._offer = offer
        self._budget = budget
        self._access = Access(
            offer, secure=secure, loopback=loopback, trusted=trusted, certified=certified
        )
        # RFC 5321 2.3.8: nothing else ends a line, of commands as of content.
        self._buffer = ReceiveBuffer(INPUT_BYTES_MAX, line_end=CRLF)
        self._lines = Lines(self._buffer)
        self._out = bytearray()
        self._phase = Phase.GREETED
        self._asked: _Asking | None = None  # the event the driver owes an answer to
        self._client = ""
        self._transaction: Transaction | None = None
        self._intake: DottedIntake | ChunkIntake | None = None
        self._chunk = Bdat(0, last=False)  # the one being taken in
        self._chunk_refusal = replies.OUT_OF_ORDER  # of one that is taken in to be refused
        self._errors = 0
        self._commands = 0
        self._units = 0
        self._out += Reply(220, "", (f"{offer.hostname} LMTP Trireme ready",)).render()

    # --- what the driver calls

    @property
    def room(self) -> int:
        """How many octets `receive` takes now."""
        return self._buffer.room

    @property
    def in_transaction(self) -> bool:
        """A MAIL was taken, and what it began is not over."""
        return self._transaction is not None

    def receive(self, data: bytes) -> None:
        """What the peer sent."""
        self._buffer.feed(data)

    def outgoing(self) -> bytes:
        """Replies to send, in order; they are forgotten here."""
        out = bytes(self._out)
        self._out.clear()
        return out

    def next_event(self) -> Event:
        """Go on as far as can be."""
        if self._asked is not None:
            raise LocalProtocolError(f"not answered: {self._asked}")
        while self._phase is not Phase.CLOSED:
            event = self._read_content() if self._phase is Phase.CONTENT else self._read_line()
            if isinstance(event, _Asking):
                self._asked = event
            if event is not None:
                return event
        return Closed()

    def accept_recipient(self, route: Route) -> None:
        """The answer to RecipientAsked: known, and this is where its mail goes."""
        asked = self._answer(RecipientAsked)
        assert self._transaction is not None
        if not self._transaction.add(asked.address, route):
            self._reply(replies.TOO_MANY_RECIPIENTS)
            return
        self._reply(replies.recipient_ok(str(asked.address)))
        self._enter(Phase.RECIPIENTS)

    def refuse_recipient(self, reply: Reply) -> None:
        """The answer to RecipientAsked: not now, or not at all."""
        self._answer(RecipientAsked)
        self._reply(reply)

    def told(self, reply: Reply) -> None:
        """The answer to NameAsked, and to AuthAsked when the claim is not proven."""
        assert isinstance(self._asked, NameAsked | AuthAsked), self._asked
        self._errors += PROOF_ERRORS * isinstance(self._asked, AuthAsked)
        self._asked = None
        self._reply(reply)

    def token_refused(self, refusal: Refusal, reply: Reply) -> None:
        """The answer to AuthAsked for a token that is not good: why, and then `reply`."""
        assert isinstance(self._asked, AuthAsked), self._asked
        self._errors += PROOF_ERRORS
        self._asked = None
        self._enter(Phase.PROVING)
        self._reply(self._access.refuse(refusal, reply))

    def access_ended(self) -> None:
        """What AUTH had proved holds no more."""
        self._access.proven = False

    def authenticated(self) -> None:
        """The answer to AuthAsked: mail may be handed in."""
        assert isinstance(self._asked, AuthAsked), self._asked
        self._asked = None
        self._access.proven = True
        self._reply(replies.AUTHENTICATED)

    def delivered(self, each: Sequence[Reply]) -> None:
        """The answer to MessageReceived: what became of it, recipient by recipient."""
        asked = self._answer(MessageReceived)
        assert len(each) == len(asked.recipients), (each, asked.recipients)
        for reply in each:
            self._reply(reply)
        if any(reply.positive for reply in each):
            self._commands = self._errors = 0
        self._reset()

    def tls_started(self, *, certified: bool = False) -> None:
        """The answer to TlsAsked. All that was said in clear text is forgotten (RFC 3207 4.2)."""
        self._answer(TlsAsked)
        self._access.tls_started(certified=certified)
        self._client = ""
        self._reset()
        self._enter(Phase.GREETED)

    def close(self) -> None:
        """The connection is over, however it ended: what it held of the budget is free."""
        self._end_transaction()
        self._enter(Phase.CLOSED)

    # --- commands

    def _read_line(self) -> Event | None:
        try:
            line = self._lines.next()
        except LimitExceeded:
            if self._phase is Phase.PROVING:
                self._enter(Phase.READY)
            return self._error(replies.LINE_TOO_LONG)
        if line is None:
            return self._need_line()
        self._units += 1
        self._commands += 1
        if self._commands > COMMANDS_MAX:
            return self._hang_up(replies.TOO_MANY_COMMANDS)
        try:
            if self._phase is Phase.PROVING:
                self._enter(Phase.READY)
                return self._prove(self._access.go_on(line))
            return self._obey(parse_command(line))
        except Refused as refused:
            return self._error(refused.reply)

    def _need_line(self) -> Event:
        if self._lines.is_waste:
            return self._hang_up(replies.TOO_MUCH_DISCARDED)
        if self._phase is Phase.PROVING:
            return self._need_input(Awaiting.RESPONSE)
        begun = self._lines.begun
        return self._need_input(Awaiting.REST_OF_COMMAND if begun else Awaiting.COMMAND)

    def _obey(self, command: Command) -> Event | None:
        if type(command) not in ALLOWED[self._phase]:
            ends = isinstance(command, Data | Bdat) and self._phase is Phase.SENDER
            refusal = replies.NO_RECIPIENTS if ends else replies.OUT_OF_ORDER
            if isinstance(command, Bdat):
                return self._discard_chunk(command, refusal)
            return self._error(refusal)
        match command:
            case Lhlo(domain=domain):
                self._lhlo(domain)
            case Mail():
                self._begin(command)
            case Rcpt(recipient=recipient):
                return self._ask_recipient(recipient)
            case Data():
                return self._data()
            case Bdat():
                return self._bdat(command)
            case Rset():
                self._reset()
                self._reply(replies.OK)
            case Noop():
                self._reply(replies.OK)
            case Vrfy() | Expn():
                return self._ask_name(command)
            case Auth():
                return self._prove(self._access.begin(command))
            case Help():
                self._reply(replies.HELP)
            case StartTls():
                return self._starttls()
            case Quit():
                return self._hang_up(replies.BYE)
        return None

    def _lhlo(self, domain: str) -> None:
        """RFC 2033 4.1; RFC 5321 4.1.4: it resets like RSET."""
        self._client = domain
        self._reset()
        self._enter(Phase.READY)
        self._reply(Reply(250, "", self._access.offered()))

    def _begin(self, mail: Mail) -> None:
        if not self._access.granted:
            self._reply(replies.NEEDS_AUTH if self._offer.auth else replies.NOT_TRUSTED)
            return
        refusal = early_refusal(mail, self._offer, self._budget)
        if refusal is not None:
            self._reply(refusal)
            return
        self._transaction = Transaction(mail, self._offer, self._budget)
        self._enter(Phase.SENDER)
        self._reply(replies.SENDER_OK)

    def _ask_recipient(self, recipient: Address) -> Event | None:
        assert self._transaction is not None
        if self._transaction.full:
            self._reply(replies.TOO_MANY_RECIPIENTS)
            return None
        if not self._transaction.may_name(recipient):
            return self._error(replies.NEEDS_SMTPUTF8)
        return RecipientAsked(recipient)

    def _ask_name(self, command: Vrfy | Expn) -> Event | None:
        """RFC 5321 3.5.3, 7.3: told by policy, and only to whom mail would be taken from."""
        if self._offer.verify and self._access.granted:
            return NameAsked(command.name, isinstance(command, Expn))
        expand = isinstance(command, Expn)
        self._reply(replies.EXPANSION_OFF if expand else replies.CANNOT_VERIFY)
        return None

    def _prove(self, step: Reply | Proof) -> Event | None:
        """A step of AUTH: the next challenge, or a claim for the driver to check."""
        if isinstance(step, Reply):
            self._enter(Phase.PROVING)
            self._reply(step)
            return None
        self._enter(Phase.READY)
        return AuthAsked(step)

    def _starttls(self) -> Event | None:
        if not self._offer.starttls or self._access.secure:
            return self._error(replies.NOT_OFFERED)
        self._buffer.clear()  # RFC 3207 4.2: nothing that came in clear text counts
        self._reply(replies.START_TLS)
        return TlsAsked()

    # --- content

    def _data(self) -> Event | None:
        assert self._transaction is not None
        if self._transaction.mail.body is Body.BINARY_MIME:  # RFC 3030 3
            return self._error(replies.NEEDS_CHUNKS)
        self._intake = DottedIntake(self._transaction.draft)
        self._enter(Phase.CONTENT)
        self._reply(replies.SEND_DATA)
        return None

    def _bdat(self, command: Bdat) -> Event | None:
        if command.octets > self._offer.message_bytes_max + DROPPED_BYTES_MAX:
            return self._hang_up(replies.TOO_MUCH_DISCARDED)
        self._chunk = command
        draft = None if self._transaction is None else self._transaction.draft
        self._intake = ChunkIntake(draft, command.octets)
        self._enter(Phase.CONTENT)
        return None

    def _discard_chunk(self, command: Bdat, refusal: Reply) -> Event | None:
        """RFC 3030 2: the octets of a BDAT out of order are taken in before it is refused."""
        self._reset()
        self._chunk_refusal = refusal
        return self._bdat(command)

    def _read_content(self) -> Event | None:
        assert self._intake is not None
        match self._intake.take_from(self._buffer):
            case Taken.MORE:
                return self._need_input(Awaiting.CONTENT)
            case Taken.WASTE:
                return self._hang_up(replies.TOO_MUCH_DISCARDED)
            case Taken.ALL:
                self._units += 1
                dotted = isinstance(self._intake, DottedIntake)
                self._intake = None
                return self._received() if dotted else self._chunk_complete(self._chunk)

    def _chunk_complete(self, chunk: Bdat) -> Event | None:
        if self._transaction is None:
            self._reset()
            return self._error(self._chunk_refusal)
        if chunk.last:
            return self._received()
        refusal = self._transaction.draft.refusal
        if refusal is not None:
            # RFC 3030 2: after a refused chunk there is no transaction to go on with.
            self._reset()
            self._reply(refusal)
            return None
        self._reply(replies.chunk_ok(chunk.octets))
        self._enter(Phase.CHUNKS)
        return None

    def _received(self) -> Event | None:
        """The whole message is here, or has been dropped: then each recipient is told why."""
        assert self._transaction is not None
        received = self._transaction.received(self._client)
        if isinstance(received, MessageReceived):
            return received
        for refusal in received:
            self._reply(refusal)
        self._reset()
        return None

    # --- the rest

    def _enter(self, phase: Phase) -> None:
        self._phase = phase

    def _reply(self, reply: Reply) -> None:
        self._out += reply.render()

    def _error(self, reply: Reply) -> Event | None:
        """The peer's mistake: told, and counted."""
        self._errors += 1
        self._reply(reply)
        return self._hang_up(replies.TOO_MANY_ERRORS) if self._errors > ERRORS_MAX else None

    def _hang_up(self, reply: Reply) -> Event:
        self._reply(reply)
        self.close()
        return Closed()

    def _reset(self) -> None:
        """No transaction (RFC 5321 4.1.1.5)."""
        self._end_transaction()
        self._intake = None
        self._enter(Phase.READY if self._client else Phase.GREETED)

    def _end_transaction(self) -> None:
        if self._transaction is not None:
            self._transaction.close()
            self._transaction = None

    def _need_input(self, awaiting: Awaiting) -> NeedInput:
        return NeedInput(awaiting, self._units)

    def _answer(self, kind: type[E]) -> E:
        asked = self._asked
        if not isinstance(asked, kind):
            raise LocalProtocolError(f"{asked} is not answered so")
        self._asked = None
        return asked
