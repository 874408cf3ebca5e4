"""An authorization request: what a client asks a user by his browser (RFC 6749 4.1.1).

What is wrong with the client or with where it wants to be led back is told to the user alone; all
else is told to the client there (RFC 6749 4.1.2.1), with our name (RFC 9207).
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from protocols.oauth.redirects import is_registered, led_back
from protocols.oauth.scopes import ScopeInvalid, choose
from protocols.oauth.settings import KnownClient

CLIENT_CHARS_MAX: Final = 64
STATE_CHARS_MAX: Final = 2048
HINT_CHARS_MAX: Final = 320

_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}\Z")  # of SHA-256, in base64url
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}\Z")  # RFC 7636 4.1
_VISIBLE: Final = re.compile(r"[ -~]*\Z")  # RFC 6749 A.5


class UserTold(ValueError):
    """The request leads nowhere: its text is for the user."""


class ClientTold(ValueError):
    """The request is refused: the error code and why, for the client."""

    def __init__(self, error: str, why: str) -> None:
        super().__init__(why)
        self.error = error
        self.why = why


@dataclass(frozen=True, slots=True)
class Place:
    """Where the client is told what became of its request."""

    uri: str
    state: str
    issuer: str

    def with_code(self, code: str) -> str:
        """The user has said yes."""
        return led_back(self.uri, {"code": code} | self._rest())

    def with_error(self, error: str, why: str) -> str:
        """No."""
        return led_back(self.uri, {"error": error, "error_description": why} | self._rest())

    def _rest(self) -> dict[str, str]:
        state = {"state": self.state} if self.state else {}
        return state | {"iss": self.issuer}


@dataclass(frozen=True, slots=True)
class Request:
    """A good one."""

    client: KnownClient
    place: Place
    scopes: tuple[str, ...]
    challenge: str
    hint: str


def read_place(said: Mapping[str, str], client: KnownClient | None, issuer: str) -> Place:
    """Where the answer goes; raises UserTold."""
    if client is None:
        raise UserTold(
            "The program that sent you here is not known, or was forgotten: start anew from it."
        )
    uri = said.get("redirect_uri", "")
    if not is_registered(uri, client.redirect_uris):
        raise UserTold(
            "The program that sent you here wants the answer at an address that it has not "
            "registered, so you are not led there."
        )
    state = said.get("state", "")
    if len(state) > STATE_CHARS_MAX or not _VISIBLE.match(state):
        return Place(uri, "", issuer)
    return Place(uri, state, issuer)


def read_request(said: Mapping[str, str], client: KnownClient, place: Place) -> Request:
    """The whole request; raises ClientTold."""
    if said.get("state", "") != place.state:
        raise ClientTold("invalid_request", "the state is too long, or not visible ASCII")
    kind = said.get("response_type", "")
    if not kind:
        raise ClientTold("invalid_request", "response_type is missing")
    if kind != "code":
        raise ClientTold("unsupported_response_type", "response_type must be code")
    if said.get("response_mode", "query") != "query":
        raise ClientTold("invalid_request", "response_mode must be query")
    if said.get("code_challenge_method", "") != "S256":
        raise ClientTold("invalid_request", "code_challenge_method must be S256")
    challenge = said.get("code_challenge", "")  # RFC 7636 4.3
    if not _CHALLENGE.match(challenge):
        raise ClientTold("invalid_request", "code_challenge must be 43 letters of base64url")
    try:
        scopes = choose(said.get("scope", ""), client.scopes)
    except ScopeInvalid as error:
        raise ClientTold("invalid_scope", str(error)) from error
    hint = said.get("login_hint", "")
    hint = hint if len(hint) <= HINT_CHARS_MAX and hint.isprintable() else ""
    return Request(client, place, scopes, challenge, hint)


def challenge_of(verifier: str) -> str | None:
    """What a verifier proves (RFC 7636 4.2); None: it is none."""
    if not _VERIFIER.match(verifier):
        return None
    mark = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(mark).decode().rstrip("=")
