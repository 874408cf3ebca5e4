"""SASL by OAuth access tokens as the server sees it, sans-IO: OAUTHBEARER and XOAUTH2.

OAUTHBEARER (RFC 7628) and XOAUTH2 (as its inventor published it, which all large providers speak)
are one message of the client with the token in it. The token is the password, so a door offers
them only where one may cross. A refusal is a challenge that says why in JSON, for a client to know
whether to refresh; the client answers it with next to nothing, and then the exchange has failed.

The host and port that a client has connected to may be told (RFC 7628 3.1). Under which names and
ports of proxies a door is reached it does not know, so there is nothing they could be compared to.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

from protocols.errors import LimitExceeded
from protocols.sasl import FIELD_BYTES_MAX, RESPONSE_BYTES_MAX, Challenge, SaslError

# draft-ietf-mailmaint-oauth-public-05 5.1.3: what lets read, change and send mail, by any protocol.
MAIL_SCOPE: Final = "urn:ietf:params:oauth:scope:mail"

_SEP: Final = b"\x01"
# RFC 5801 4: gs2-cb-flag "," [gs2-authzid] ","; nothing is bound to the channel: "p=" is refused.
_INITIAL: Final = re.compile(
    rb"[ny],(?:a=(?P<authzid>[^,\x00\x01]+))?,\x01"
    rb"(?P<pairs>(?:[A-Za-z]+=[\t\n\r\x20-\x7e]*\x01)*)\x01\Z"
)
_XOAUTH2: Final = re.compile(
    rb"(?:user=(?P<user>[^\x00\x01]*)\x01)?auth=(?P<auth>[\x20-\x7e]*)\x01\x01\Z"
)
# RFC 6750 2.1: "Bearer" 1*SP b64token, the scheme in any case (RFC 9110 11.1).
_BEARER: Final = re.compile(r"bearer +(?P<token>[A-Za-z0-9\-._~+/]+=*)\Z", re.IGNORECASE)
_PORT: Final = re.compile(rb"[1-9][0-9]{0,4}\Z")
_ESCAPED: Final = re.compile(r"=(2C|3D|)")


class Refusal(Enum):
    """Why a token is refused (RFC 6750 3.1)."""

    REQUEST = "invalid_request"
    TOKEN = "invalid_token"
    SCOPE = "insufficient_scope"


@dataclass(frozen=True, slots=True)
class TokenClaim:
    """The token that the client has, empty if it has none and asks what it should have.

    `authzid`: for which address, "" for the token's own.
    """

    authzid: str
    token: str = field(repr=False)


class TokenExchange(Protocol):
    """One exchange; `step` until it gives a claim, and `refuse` to end it otherwise than well."""

    def step(self, response: bytes | None) -> Challenge | TokenClaim:
        """Take the client's response (None: it sent no initial one). Raises SaslError."""

    def refuse(self, refusal: Refusal, *, metadata_url: str | None) -> Challenge:
        """What to tell the client. What it answers is of no matter: the exchange has failed."""


class _Exchange(ABC):
    """What both have in common: one response of the client."""

    def __init__(self) -> None:
        self._challenged = False

    def step(self, response: bytes | None) -> Challenge | TokenClaim:
        """See TokenExchange."""
        if response is None:
            if self._challenged:
                raise SaslError("a response is missing")
            self._challenged = True
            return Challenge(b"")
        if len(response) > RESPONSE_BYTES_MAX:
            raise LimitExceeded("SASL_RESPONSE", "response too long")
        return self._read(response)

    @abstractmethod
    def _read(self, response: bytes) -> TokenClaim:
        """The claim in it. Raises SaslError."""


class OauthBearer(_Exchange):
    """RFC 7628."""

    def _read(self, response: bytes) -> TokenClaim:
        """3.1; "or it may be empty": then it asks what is wanted here."""
        if not response:
            return TokenClaim("", "")
        found = _INITIAL.match(response)
        if found is None:
            raise SaslError("OAUTHBEARER is a GS2 header and key=value pairs")
        auth = b""
        seen = set()
        for pair in found["pairs"].split(_SEP)[:-1]:
            key, _, value = pair.partition(b"=")
            if key in seen:
                raise SaslError("a key comes twice")
            seen.add(key)
            if key == b"auth":
                auth = value
            elif key == b"port" and not (_PORT.match(value) and int(value) < 1 << 16):
                raise SaslError("port is no number of a port")
        return TokenClaim(_saslname(found["authzid"] or b""), token_of(auth.decode("ascii")))

    def refuse(self, refusal: Refusal, *, metadata_url: str | None) -> Challenge:
        """3.2.2. The document that is named is RFC 8414's, which OpenID's is a kind of."""
        told = {"status": refusal.value, "scope": MAIL_SCOPE}
        if metadata_url is not None:
            told["openid-configuration"] = metadata_url
        return Challenge(json.dumps(told).encode())


class XOauth2(_Exchange):
    """user= name ^A auth=Bearer token ^A ^A."""

    def _read(self, response: bytes) -> TokenClaim:
        found = _XOAUTH2.match(response)
        if found is None:
            raise SaslError("XOAUTH2 is user= and auth=Bearer")
        return TokenClaim(_text(found["user"] or b""), token_of(found["auth"].decode("ascii")))

    def refuse(self, refusal: Refusal, *, metadata_url: str | None) -> Challenge:
        """Statuses are HTTP's here: clients refresh at 400 and 401."""
        status = {Refusal.SCOPE: "403", Refusal.REQUEST: "400"}.get(refusal, "401")
        told = {"status": status, "schemes": "Bearer", "scope": MAIL_SCOPE}
        return Challenge(json.dumps(told).encode())


# Mechanism names as capabilities list them, best first.
TOKEN_MECHANISMS: Final[Mapping[str, Callable[[], TokenExchange]]] = {
    "OAUTHBEARER": OauthBearer,
    "XOAUTH2": XOauth2,
}


def token_of(header: str) -> str:
    """The token of what Authorization is in HTTP; "" when there is none, or of another scheme."""
    found = _BEARER.match(header)
    return found["token"] if found is not None else ""


def _saslname(field: bytes) -> str:
    """RFC 5801 4: saslname, with =2C for a comma and =3D for an equals sign."""
    text = _text(field)
    if any(not found[1] for found in _ESCAPED.finditer(text)):
        raise SaslError("= stands in the name by itself")
    return text.replace("=2C", ",").replace("=3D", "=")


def _text(field: bytes) -> str:
    if len(field) > FIELD_BYTES_MAX:
        raise LimitExceeded("SASL_FIELD", "user name too long")
    try:
        return field.decode()
    except UnicodeDecodeError as error:
        raise SaslError("user name is not UTF-8") from error
