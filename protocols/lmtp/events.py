"""What passes between LMTP's core and its driver: the door's offer, and the events to answer."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from protocols.lmtp.commands import Address, Mail
from storage.ids import AccountId

MIB: Final = 1024 * 1024

# The largest message taken, unless configured otherwise.
MESSAGE_BYTES_MAX: Final = 50 * MIB
# RFC 5321 4.5.3.1.8 asks for 100 at least; lists send to more.
RECIPIENTS_MAX: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What this door offers in its answer to LHLO, from the configuration."""

    hostname: str
    starttls: bool = False
    message_bytes_max: int = MESSAGE_BYTES_MAX
    recipients_max: int = RECIPIENTS_MAX

    def lines(self, *, secure: bool) -> tuple[str, ...]:
        """The answer to LHLO (RFC 5321 4.1.1.1)."""
        always = (
            self.hostname,
            "PIPELINING",  # RFC 2920
            f"SIZE {self.message_bytes_max}",  # RFC 1870
            "8BITMIME",  # RFC 6152
            "ENHANCEDSTATUSCODES",  # RFC 2034
            "CHUNKING",  # RFC 3030
            "BINARYMIME",
            "SMTPUTF8",  # RFC 6531
        )
        return (*always, "STARTTLS") if self.starttls and not secure else always  # RFC 3207


@dataclass(frozen=True, slots=True)
class Recipient:
    """An accepted recipient."""

    address: Address
    account: AccountId


class Awaiting(Enum):
    """What the peer is to send."""

    COMMAND = auto()
    REST_OF_COMMAND = auto()
    CONTENT = auto()


@dataclass(frozen=True, slots=True)
class NeedInput:
    """Nothing more can be done: send what is outgoing, then receive.

    While `awaiting` and `unit` stay the same, the peer still owes the same command or content and
    has no more time for it than it was first given.
    """

    awaiting: Awaiting
    unit: int


@dataclass(frozen=True, slots=True)
class RecipientAsked:
    """Answer with `accept_recipient` or `refuse_recipient`."""

    address: Address


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """Answer with `delivered`, a reply for each of `recipients` in order."""

    mail: Mail
    recipients: tuple[Recipient, ...]
    content: bytearray
    client: str


@dataclass(frozen=True, slots=True)
class TlsAsked:
    """Send what is outgoing, shake hands, then call `tls_started`."""


@dataclass(frozen=True, slots=True)
class Closed:
    """Send what is outgoing and close."""


Event = NeedInput | RecipientAsked | MessageReceived | TlsAsked | Closed
