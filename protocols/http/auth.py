"""The Authorization header to a principal (RFC 7617 Basic), and how each failure is told.

Credentials are refused on clear-text connections from other machines before they are looked at,
and no challenge is sent there: a client must not be asked to give its secret away.
"""

import base64
import binascii
import re
from typing import Final

from protocols.http.requests import Request, Response, problem
from protocols.ports import Auth, AuthBusy, AuthFailed, Principal, Unavailable

# A longer header is no address and password; decoding it would be work for nothing.
CREDENTIALS_OCTETS_MAX: Final = 4096
RETRY_AFTER_S: Final = 5

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_CHALLENGE: Final = (b"www-authenticate", b'Basic realm="mail", charset="UTF-8"')
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


async def authenticate(request: Request, auth: Auth) -> Principal:
    """Who asks; raises Refused with the answer to give otherwise."""
    if not request.secure and not request.on_loopback:
        raise Refused(problem(403, "authentication needs TLS: use https"))
    username, password = _basic(request.header(b"authorization"))
    try:
        return await auth.password(username, password, remote=request.remote)
    except AuthFailed:
        raise Refused(_unauthorized("the address or the password is wrong")) from None
    except AuthBusy:
        raise Refused(busy("too many attempts; try again later")) from None
    except Unavailable:
        raise Refused(unavailable()) from None


def _basic(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic" or len(encoded) > CREDENTIALS_OCTETS_MAX:
        raise Refused(_unauthorized("authentication is needed"))
    try:
        pair = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        raise Refused(_unauthorized("the credentials are malformed")) from None
    username, colon, password = pair.partition(":")
    # RFC 7617 2: neither holds control characters.
    if not colon or not username or _CONTROL.search(pair):
        raise Refused(_unauthorized("the credentials are malformed"))
    return username, password


def _unauthorized(detail: str) -> Response:
    return problem(401, detail, headers=[_CHALLENGE])
