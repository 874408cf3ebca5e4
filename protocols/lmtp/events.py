"""What passes between LMTP's core and its driver: the door's offer, and the events to answer."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from protocols.bearer import TOKEN_MECHANISMS, TokenClaim
from protocols.lmtp.commands import Address, Mail
from protocols.ports import Route
from protocols.sasl import MECHANISMS, Claim, Shown

MIB: Final = 1024 * 1024

# The largest message taken, unless configured otherwise.
MESSAGE_BYTES_MAX: Final = 50 * MIB
# RFC 5321 4.5.3.1.8 asks for 100 at least; lists send to more.
RECIPIENTS_MAX: Final = 1000
# The mechanism of an MTA that has shown a certificate (RFC 4422 A).
EXTERNAL: Final = "EXTERNAL"

Proof = Claim | Shown | TokenClaim
"""What AUTH ends in, for the driver to check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What this door offers in its answer to LHLO, from the configuration."""

    hostname: str
    starttls: bool = False
    auth: bool = False
    """There is somebody who may authenticate."""
    verify: bool = False
    """VRFY and EXPN are answered."""
    message_bytes_max: int = MESSAGE_BYTES_MAX
    recipients_max: int = RECIPIENTS_MAX
    metadata_url: str | None = None
    """Of the OAuth server whose tokens are good here (RFC 8414)."""

    def lines(
        self, *, secure: bool, secrets: bool = False, certified: bool = False
    ) -> tuple[str, ...]:
        """The answer to LHLO (RFC 5321 4.1.1.1).

        `secrets`: passwords may come; `certified`: a certificate has.
        """
        told = [
            self.hostname,
            "PIPELINING",  # RFC 2920
            f"SIZE {self.message_bytes_max}",  # RFC 1870
            "8BITMIME",  # RFC 6152
            "ENHANCEDSTATUSCODES",  # RFC 2034
            "CHUNKING",  # RFC 3030
            "BINARYMIME",
            "SMTPUTF8",  # RFC 6531
        ]
        if self.verify:
            told += ["VRFY", "EXPN"]  # RFC 5321 3.5.3
        if self.auth and secrets:
            external = (EXTERNAL,) if certified else ()
            names = (*external, *MECHANISMS, *TOKEN_MECHANISMS)
            told.append(" ".join(("AUTH", *names)))  # RFC 4954 3
        if self.starttls and not secure:
            told.append("STARTTLS")  # RFC 3207
        return tuple(told)


@dataclass(frozen=True, slots=True)
class Recipient:
    """An accepted recipient, and where the mail for it goes."""

    address: Address
    route: Route


class Awaiting(Enum):
    """What the peer is to send."""

    COMMAND = auto()
    REST_OF_COMMAND = auto()
    RESPONSE = auto()  # to a challenge of AUTH
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
class NameAsked:
    """VRFY, or EXPN when `expand`. Answer with `told`."""

    name: str
    expand: bool


@dataclass(frozen=True, slots=True)
class AuthAsked:
    """Answer with `told` or `authenticated`; or with `token_refused`, when a token was."""

    claim: Proof


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


Event = NeedInput | RecipientAsked | NameAsked | AuthAsked | MessageReceived | TlsAsked | Closed
