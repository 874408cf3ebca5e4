"""SASL exchanges as the server sees them, sans-IO: bytes of the client in, challenge or claim out.

PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login, obsolete but asked for by old clients).
Both send the password itself, so a door offers them only where DoorStream.may_send_secrets.
EXTERNAL (RFC 4422 A) sends nothing that proves: a door offers it where TLS has verified a
certificate. An exchange ends in a `Claim` or `Shown`, which the house's Auth port proves or
refuses; nothing is looked up here. How base64 lines are wrapped in a protocol is here too, for IMAP
(RFC 9051 6.2.2, RFC 4959), SMTP and ManageSieve do it alike.
"""

import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from protocols.errors import LimitExceeded, RemoteProtocolError

KIB: Final = 1024

# RFC 4616 2 lets each of three fields be 255 characters of up to 4 octets; more is no password.
RESPONSE_BYTES_MAX: Final = 3 * KIB
# The same as base64 on one line.
RESPONSE_LINE_BYTES_MAX: Final = 4 * KIB
FIELD_BYTES_MAX: Final = KIB


class SaslError(RemoteProtocolError):
    """The client's response is not what the mechanism allows; the exchange is over."""


class SaslCancelled(SaslError):
    """The client gave the exchange up with "*"."""


class AuthorizationRefused(SaslError):
    """The client asked to act for someone else than it says it is; nobody may."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """What to send next, before base64; the client answers it."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """Who the client says it is, and the password that is to prove it."""

    username: str
    password: str


@dataclass(frozen=True, slots=True)
class Shown:
    """Whom the client wants to act for that has shown a certificate; "": whom that names."""

    authzid: str


Step = Challenge | Claim | Shown


class Exchange(Protocol):
    """One exchange of one mechanism; `step` until it gives no Challenge."""

    def step(self, response: bytes | None) -> Step:
        """Take the client's next response (None: it sent no initial one). Raises SaslError."""


class Plain:
    """RFC 4616: one message, authzid NUL authcid NUL password."""

    def __init__(self) -> None:
        self._challenged = False

    def step(self, response: bytes | None) -> Challenge | Claim:
        """The empty challenge when there was no initial response, then the claim."""
        if response is None:
            if self._challenged:
                raise SaslError("a response is missing")
            self._challenged = True
            return Challenge(b"")
        fields = response.split(b"\0")
        if len(fields) != 3:
            raise SaslError("PLAIN is authzid NUL authcid NUL password")
        authzid = "" if not fields[0] else _text(fields[0], "authorization identity")
        username = _text(fields[1], "user name")
        password = _text(fields[2], "password")
        if authzid and authzid.casefold() != username.casefold():
            raise AuthorizationRefused("acting for another user is not offered")
        return Claim(username, password)


class External:
    """RFC 4422 A: one message, the identity to act for or nothing; TLS has told who it is."""

    def __init__(self) -> None:
        self._challenged = False

    def step(self, response: bytes | None) -> Challenge | Shown:
        """The empty challenge when there was no initial response, then what was shown."""
        if response is None:
            if self._challenged:
                raise SaslError("a response is missing")
            self._challenged = True
            return Challenge(b"")
        return Shown("" if not response else _text(response, "authorization identity"))


class Login:
    """draft-murchison-sasl-login-00 2: name and password, each after its prompt."""

    def __init__(self) -> None:
        self._username: str | None = None
        self._challenged = False

    def step(self, response: bytes | None) -> Step:
        """Prompt for the name, prompt for the password, claim; an initial response is the name.

        The prompts are those that a widely used client insists on (2.2, note).
        """
        if response is None:
            if self._challenged:
                raise SaslError("a response is missing")
            self._challenged = True
            return Challenge(b"Username:")
        self._challenged = True
        if self._username is None:
            self._username = _text(response, "user name")
            return Challenge(b"Password:")
        return Claim(self._username, _text(response, "password"))


# Mechanism names as capabilities list them (RFC 4422 3.1: upper case), best first.
MECHANISMS: Final[Mapping[str, Callable[[], Exchange]]] = {"PLAIN": Plain, "LOGIN": Login}


def exchange(mechanism: str) -> Exchange | None:
    """A new exchange of the mechanism (its name in any case), or None: not offered."""
    made = MECHANISMS.get(mechanism.upper()) if mechanism.isascii() else None
    return None if made is None else made()


def decode_response(line: bytes) -> bytes:
    """A client's response line: base64, or "*" to cancel. Raises SaslError, LimitExceeded."""
    if line == b"*":
        raise SaslCancelled("cancelled")
    if len(line) > RESPONSE_LINE_BYTES_MAX:
        raise LimitExceeded("SASL_RESPONSE", "response too long")
    try:
        # strict: no letters outside the alphabet, padding required (RFC 4648 3.2, 3.3)
        data = binascii.a2b_base64(line, strict_mode=True)
    except binascii.Error as error:
        raise SaslError("not base64") from error
    if len(data) > RESPONSE_BYTES_MAX:
        raise LimitExceeded("SASL_RESPONSE", "response too long")
    return data


def decode_initial_response(argument: bytes) -> bytes:
    """The initial response on the command line: base64, "=" when it is empty (RFC 4959 3)."""
    return b"" if argument == b"=" else decode_response(argument)


def encode_challenge(challenge: Challenge) -> bytes:
    """The challenge as base64, to go after "+ " or "334 "."""
    return binascii.b2a_base64(challenge.data, newline=False)


def _text(field: bytes, what: str) -> str:
    """RFC 4616 2: 1*SAFE: UTF-8 without NUL, not empty."""
    if not field:
        raise SaslError(f"{what} is empty")
    if len(field) > FIELD_BYTES_MAX:
        raise LimitExceeded("SASL_FIELD", f"{what} too long")
    try:
        text = field.decode()
    except UnicodeDecodeError as error:
        raise SaslError(f"{what} is not UTF-8") from error
    if "\0" in text:
        raise SaslError(f"{what} contains NUL")
    return text
