"""CORS: which pages of other origins may use this server from a browser (the Fetch standard).

Nobody may unless `[http] allow-origins` says so: a list of origins, each answered by name and
allowed to use what its user's browser is signed in with; or `*`, every page there is, which must
sign in by itself. A WebSocket is not under CORS, so its Origin is held against the same list here.
"""

from collections.abc import Collection
from typing import Final

from protocols.http.requests import Headers, Request, Response

ANY: Final = "*"
# How long a browser may remember the answer to a preflight.
PREFLIGHT_S: Final = 3600

_VARY: Final = (b"vary", b"Origin")
_METHODS: Final = b"GET, HEAD, POST, OPTIONS"
_REQUEST_HEADERS: Final = (
    b"Authorization, Content-Type, Accept, Last-Event-ID, Range, If-Range, If-None-Match"
)
_EXPOSED: Final = (
    b"Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Retry-After, "
    b"WWW-Authenticate"
)


class Cors:
    """The origins that are allowed."""

    def __init__(self, allowed: Collection[str] = ()) -> None:
        self._any = ANY in allowed
        self._named = frozenset(origin.lower() for origin in allowed)

    def allows(self, origin: str) -> bool:
        """Whether pages of this origin may use the server."""
        return self._any or origin.lower() in self._named

    def allows_socket(self, request: Request) -> bool:
        """Whether a WebSocket may be opened: by no page, by one of our own, or an allowed one."""
        origin = request.header(b"origin")
        own = request.header(b"host")
        return not origin or origin.partition("://")[2] == own or self.allows(origin)

    def preflight(self, request: Request) -> Response | None:
        """The answer to a preflight request; None when it is none, or nobody is allowed."""
        asked = request.header(b"access-control-request-method")
        if request.method != "OPTIONS" or not asked or not (self._any or self._named):
            return None
        headers: Headers = []
        if self.allows(request.header(b"origin")):
            headers = [
                (b"access-control-allow-methods", _METHODS),
                (b"access-control-allow-headers", _REQUEST_HEADERS),
                (b"access-control-max-age", b"%d" % PREFLIGHT_S),
            ]
        return Response(204, b"", headers=headers)

    def add(self, request: Request, response: Response) -> None:
        """What a browser must be told with any answer."""
        if not (self._any or self._named):
            return
        response.headers = [*response.headers, _VARY]
        origin = request.headers.get(b"origin")
        if origin is None or not self.allows(origin.decode("latin-1")):
            return
        if origin.decode("latin-1").lower() in self._named:
            response.headers += [
                (b"access-control-allow-origin", origin),
                (b"access-control-allow-credentials", b"true"),
            ]
        else:
            response.headers.append((b"access-control-allow-origin", b"*"))
        response.headers.append((b"access-control-expose-headers", _EXPOSED))
