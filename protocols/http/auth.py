"""The Authorization header to a principal, and how each failure is told: Basic (RFC 7617), with a
password, and Bearer (RFC 6750), with an access token. A token anywhere else is not looked for.

Credentials are refused on clear-text connections from other machines before they are looked at,
and no challenge is sent there: a client must not be asked to give its secret away.
"""

import base64
import binascii
import re
from collections.abc import Callable
from typing import Final

from protocols.bearer import MAIL_SCOPE, token_of
from protocols.http.requests import Request, Response, problem
from protocols.oauth.metadata import RESOURCE_PATH
from protocols.ports import Auth, AuthBusy, AuthFailed, Principal, ScopeMissing, Unavailable

# A longer header is no address and password; decoding it would be work for nothing.
CREDENTIALS_OCTETS_MAX: Final = 4096
RETRY_AFTER_S: Final = 5

# Paths that need no quoting in a challenge; ours are such.
_PATH: Final = re.compile(r"[A-Za-z0-9/._~%-]+\Z", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_BASIC: Final = (b"www-authenticate", b'Basic realm="mail", charset="UTF-8"')
_RETRY: Final = (b"retry-after", b"%d" % RETRY_AFTER_S)


class Refused(Exception):
    """The request is answered here: with `response`."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def unavailable() -> Response:
    """The cluster cannot answer now."""
    return problem(503, "the cluster has no leader in reach; try again", headers=[_RETRY])


def busy(detail: str) -> Response:
    """A bound is reached that time will free."""
    return problem(429, detail, headers=[_RETRY])


class Guard:
    """Lets in who asks with a password or a token; `begins` is what URLs begin with."""

    def __init__(self, auth: Auth, begins: Callable[[Request], str | None]) -> None:
        self._auth = auth
        self._begins = begins

    async def admit(self, request: Request) -> Principal:
        """Who asks; raises Refused with the answer to give otherwise."""
        if not request.secure and not request.on_loopback:
            raise Refused(problem(403, "authentication needs TLS: use https"))
        header = request.header(b"authorization")
        scheme = header.partition(" ")[0].lower()
        try:
            if scheme == "bearer" and len(header) <= CREDENTIALS_OCTETS_MAX:
                return await self._bearer(request, token_of(header.rstrip()))
            username, password = self._basic(request, header)
            return await self._auth.password(username, password, remote=request.remote)
        except AuthFailed:
            raise self._unknown(request, "the address or the password is wrong") from None
        except AuthBusy:
            raise Refused(busy("too many attempts; try again later")) from None
        except Unavailable:
            raise Refused(unavailable()) from None

    async def _bearer(self, request: Request, token: str) -> Principal:
        """RFC 6750 2.1, 3.1."""
        if not token:
            raise self._refused(request, 400, "invalid_request", "the token is malformed")
        try:
            return await self._auth.bearer(token, remote=request.remote)
        except ScopeMissing:
            raise self._refused(
                request, 403, "insufficient_scope", "the token is not for mail"
            ) from None
        except AuthFailed:
            raise self._refused(
                request, 401, "invalid_token", "the token is none, or none any more"
            ) from None

    def _basic(self, request: Request, header: str) -> tuple[str, str]:
        scheme, _, encoded = header.partition(" ")
        if scheme.lower() != "basic" or len(encoded) > CREDENTIALS_OCTETS_MAX:
            raise self._unknown(request, "authentication is needed")
        try:
            pair = base64.b64decode(encoded.strip(), validate=True).decode()
        except (binascii.Error, ValueError):
            raise self._unknown(request, "the credentials are malformed") from None
        username, colon, password = pair.partition(":")
        # RFC 7617 2: neither holds control characters.
        if not colon or not username or _CONTROL.search(pair):
            raise self._unknown(request, "the credentials are malformed")
        return username, password

    def _unknown(self, request: Request, detail: str) -> Refused:
        """Who has no token is told of both ways; in which no error is his (RFC 6750 3.1)."""
        return Refused(problem(401, detail, headers=[self._challenge(request), _BASIC]))

    def _refused(self, request: Request, status: int, error: str, detail: str) -> Refused:
        challenge = self._challenge(request, error=error, error_description=detail)
        return Refused(problem(status, detail, headers=[challenge]))

    def _challenge(self, request: Request, **said: str) -> tuple[bytes, bytes]:
        """RFC 6750 3, and where the resource says who gives tokens for it (RFC 9728 5.1)."""
        begins, path = self._begins(request), request.raw_path.decode("latin-1")
        told = {"realm": "mail", "scope": MAIL_SCOPE, **said}
        if begins is not None and _PATH.match(path):
            told["resource_metadata"] = begins + RESOURCE_PATH + path
        values = ", ".join(f'{name}="{value}"' for name, value in told.items())
        return b"www-authenticate", f"Bearer {values}".encode("ascii")
