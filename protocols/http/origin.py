"""Under which scheme and host the client reached us, for the URLs of the session resource.

What is configured counts first: a public URL, or else the service's own name - but a client of
this machine that speaks TLS to a loopback name is led back there, for the service's name may lead
nowhere yet. Then counts what a proxy says (RFC 7239 Forwarded, or the older X-Forwarded-Host and
-Proto), then the request's own Host. Anybody may send these headers, as anybody may send any
Host: the answer is kept by no cache, so whoever lies is lied to alone.
"""

import re
from typing import Final

from protocols.http.requests import Request

_HOST: Final = re.compile(r"(?:[A-Za-z0-9.\-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?\Z")
_LOOPBACK: Final = re.compile(
    r"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?\Z", re.I
)
_SCHEMES: Final = ("http", "https")
# RFC 7239 4: pairs of a token and a value, quoted where it is no token.
_PAIR: Final = re.compile(r'\s*([A-Za-z]+)=(?:"([^"\\]*)"|([^\s;,"]+))\s*(?:;|\Z)')


def base_url(request: Request, public_url: str | None, named_url: str | None) -> str | None:
    """What URLs begin with, without a slash at the end; None when the host is none."""
    if public_url is not None:
        return public_url
    if named_url is not None and not _at_home(request):
        return named_url
    told = _forwarded(request.header(b"forwarded"))
    host = told.get("host") or _first(request.header(b"x-forwarded-host"))
    scheme = told.get("proto") or _first(request.header(b"x-forwarded-proto"))
    host = host or request.header(b"host")
    scheme = (scheme or ("https" if request.secure else "http")).lower()
    if scheme not in _SCHEMES or not _HOST.match(host):
        return None
    return f"{scheme}://{host}"


def _at_home(request: Request) -> bool:
    """A proxy on this machine hardly speaks TLS to us: it is the client itself that does."""
    if not (request.secure and request.on_loopback):
        return False
    return _LOOPBACK.match(request.header(b"host")) is not None


def _forwarded(header: str) -> dict[str, str]:
    """The pairs of the first element: the proxy nearest to the client (RFC 7239 4)."""
    element = _first(header)
    return {found[1].lower(): found[2] or found[3] or "" for found in _PAIR.finditer(element)}


def _first(header: str) -> str:
    return header.partition(",")[0].strip()
