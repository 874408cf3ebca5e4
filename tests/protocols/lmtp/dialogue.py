r"""Dialogues as text: what the client says, what the core answers, what message it gives out.

    C: a line, sent with CRLF          C> octets, sent as they are (\r \n \x00 \\ escaped)
    S: a line of the answer            M: the next message given out, escaped as above
    X:                                 the core has closed the connection
    #                                  a remark

Client lines up to the next answer are sent at once, as a client that pipelines does. Every
dialogue is run three times, cut into different pieces: the answers must not depend on it.
Who is known: alice, bob, postmaster, zoë, full (over quota) and lost (the cluster cannot say).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from protocols.lmtp import replies
from protocols.lmtp.commands import Address
from protocols.lmtp.content import Budget
from protocols.lmtp.core import Core
from protocols.lmtp.events import (
    Closed,
    MessageReceived,
    NeedInput,
    Offer,
    Recipient,
    RecipientAsked,
    TlsAsked,
)
from protocols.lmtp.replies import Reply
from protocols.ports import Route
from storage.ids import AccountId

KNOWN = {"alice": 1, "bob": 2, "postmaster": 3, "zoë": 4, "full": 5}
OFFER = Offer(hostname="mail.example.org", message_bytes_max=1000, recipients_max=5)
BUDGET_BYTES = 5000


@dataclass
class Client:
    """A core with somebody to talk to it and somebody to answer its questions."""

    core: Core
    messages: list[MessageReceived] = field(default_factory=list)
    closed: bool = False

    def say(self, octets: bytes) -> bytes:
        """Everything the core answers to these octets."""
        answer = b""
        while octets or not answer:
            piece, octets = octets[: self.core.room], octets[self.core.room :]
            self.core.receive(piece)
            self._answer_events()
            answer += self.core.outgoing()
            if self.closed or not octets:
                break
        return answer

    def _answer_events(self) -> None:
        while True:
            match self.core.next_event():
                case NeedInput():
                    return
                case Closed():
                    self.closed = True
                    return
                case RecipientAsked(address=address):
                    self._recipient(address)
                case MessageReceived() as received:
                    self.messages.append(received)
                    self.core.delivered([_delivered(each) for each in received.recipients])
                case TlsAsked():
                    self.core.tls_started()

    def _recipient(self, address: Address) -> None:
        local = address.local.casefold()
        if local == "lost":
            self.core.refuse_recipient(replies.UNAVAILABLE)
        elif local in KNOWN and address.domain in ("", "example.org"):
            self.core.accept_recipient(Route((AccountId(KNOWN[local]),)))
        else:
            self.core.refuse_recipient(replies.unknown_recipient(str(address)))


def _delivered(recipient: Recipient) -> Reply:
    if recipient.address.local == "full":
        return replies.MAILBOX_FULL
    return replies.delivered(str(recipient.address))


def client(offer: Offer = OFFER, *, budget: Budget | None = None) -> Client:
    """A client that has heard the greeting."""
    made = Client(Core(offer, budget or Budget(BUDGET_BYTES)))
    assert made.say(b"") == b"220 mail.example.org LMTP Trireme ready\r\n"
    return made


def run_dialogue(path: Path, piece_octets: int, offer: Offer = OFFER) -> None:
    """Run one file; an AssertionError names the line that went otherwise."""
    talker = client(offer)
    given_out = 0
    heard = b""
    for number, kind, text in _steps(path):
        where = f"{path.name}:{number}"
        match kind:
            case "C":
                for at in range(0, len(text), piece_octets):
                    heard += talker.say(text[at : at + piece_octets])
            case "S":
                line, _, heard = heard.partition(b"\r\n")
                assert line.decode() == text.decode(), where
            case "M":
                assert bytes(talker.messages[given_out].content) == text, where
                given_out += 1
            case _:
                assert talker.closed, where
    assert heard == b"", f"{path.name}: said too much: {heard!r}"
    assert given_out == len(talker.messages), f"{path.name}: gave out more messages"


def _steps(path: Path) -> Iterator[tuple[int, str, bytes]]:
    """Steps of a dialogue; client lines that follow each other are one step."""
    said, since = b"", 0
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        mark, text = line[:2], line[3:]
        if mark in ("C:", "C>"):
            since = since or number
            said += text.encode() + b"\r\n" if mark == "C:" else _unescaped(text)
            continue
        if said:
            yield since, "C", said
            said, since = b"", 0
        yield number, mark[0], _unescaped(text) if mark == "M:" else text.encode()
    if said:
        yield since, "C", said


def _unescaped(text: str) -> bytes:
    return (
        text.encode("unicode_escape")
        .replace(b"\\\\", b"\\")
        .decode("unicode_escape")
        .encode("latin-1")
    )
