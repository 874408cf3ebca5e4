"""The ASGI application: a path table, and one place where what a handler raises becomes an answer.

Plain ASGI without a framework: the path to a JMAP method is a dictionary lookup. Resources that
are not built are not in the table, and answer 404.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from protocols.http.api import JmapApi
from protocols.http.auth import Guard, Refused
from protocols.http.blobs import Downloads
from protocols.http.cors import Cors
from protocols.http.event_source import EventSource
from protocols.http.followers import FOLLOWERS_MAX, FOLLOWERS_OF_NODE_MAX, Followers
from protocols.http.login import PAGES, Login
from protocols.http.origin import base_url
from protocols.http.requests import (
    BodyTooLarge,
    ClientGone,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    problem,
    read_scope,
)
from protocols.http.uploads import Uploads
from protocols.http.websocket import WebSockets, refuse
from protocols.jmap.capabilities import WEBSOCKET_PATH, Limits
from protocols.oauth.settings import OauthSettings
from protocols.ports import Ports

_LOG: Final = logging.getLogger("trireme.http")

Handler = Callable[[Request], Awaitable[Response]]
Methods = Mapping[str, Handler]

# Uploads being received, of all accounts together: what the door may hold in memory for them,
# and what in spool files.
UPLOADS_OCTETS_MAX: Final = 64 * 1024 * 1024
SPOOLED_OCTETS_MAX: Final = 2 * 1024 * 1024 * 1024
# The same for API requests; decoded they take up to ten times as much.
BODIES_OCTETS_MAX: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """What an operator may set of the HTTP door.

    `public_url`: what URLs in the session resource begin with, for a node behind a proxy.
    `named_url`: the same from the service's name and port (see origin.py); without either they
    follow the request's Host. `allow_origins`: see cors.py.
    """

    limits: Limits = field(default_factory=Limits)
    public_url: str | None = None
    named_url: str | None = None
    uploads_octets_max: int = UPLOADS_OCTETS_MAX
    spooled_octets_max: int = SPOOLED_OCTETS_MAX
    bodies_octets_max: int = BODIES_OCTETS_MAX
    allow_origins: tuple[str, ...] = ()
    followers_max: int = FOLLOWERS_MAX
    followers_of_node_max: int = FOLLOWERS_OF_NODE_MAX
    oauth: OauthSettings = field(default_factory=OauthSettings)


class HttpApp:
    """One node's ASGI application; `ready` says whether it has a leader and is caught up."""

    def __init__(self, ports: Ports, settings: HttpSettings, *, ready: Callable[[], bool]) -> None:
        begins = partial(base_url, public_url=settings.public_url, named_url=settings.named_url)
        guard = Guard(ports.auth, begins)
        api = JmapApi(ports, guard, settings.limits, begins, settings.bodies_octets_max)
        uploads = Uploads(
            ports,
            guard,
            settings.limits,
            memory_octets_max=settings.uploads_octets_max,
            spooled_octets_max=settings.spooled_octets_max,
        )
        self._followers = Followers(
            ports, each_max=settings.followers_max, most=settings.followers_of_node_max
        )
        events = EventSource(ports, guard, self._followers)
        self._cors = Cors(settings.allow_origins)
        self._sockets = WebSockets(ports, guard, api, self._followers, self._cors)
        login = Login(ports, settings.oauth, begins)
        self._ready = ready
        self._exact: dict[str, Methods] = {
            "/.well-known/jmap": {"GET": api.session},
            "/jmap/api": {"POST": api.call},
            "/jmap/eventsource": {"GET": events.open},
            "/jmap/eventsource/": {"GET": events.open},
            WEBSOCKET_PATH: {"GET": _upgrade_needed},
            **login.exact(),
            "/healthz": {"GET": self._healthz},
            "/readyz": {"GET": self._readyz},
        }
        self._under: tuple[tuple[str, Methods], ...] = (
            ("/jmap/upload/", {"POST": uploads.upload}),
            ("/jmap/download/", {"GET": Downloads(ports, guard).download}),
            *login.under(),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        match scope["type"]:
            case "http":
                await self._http(read_scope(scope, receive), send)
            case "websocket":
                await self._socket(scope, receive, send)
            case other:
                raise ValueError(f"no such ASGI scope is served: {other}")

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == WEBSOCKET_PATH:
            await self._sockets.serve(scope, receive, send)
        else:
            await receive()
            await refuse(send, problem(404, "there is no such resource"))

    def stop(self) -> None:
        """The node stops: what would go on for ever ends now."""
        self._followers.stop()

    async def _http(self, request: Request, send: Send) -> None:
        response = None
        try:
            response = await self._answer(request)
            if request.path not in PAGES:
                self._cors.add(request, response)
            await response.send(send, head_only=request.method == "HEAD")
        except ClientGone:
            return  # nobody to answer
        except Exception:
            # The head is out, so nothing can be said; the answer ends before its length.
            _LOG.exception("%s %s broke off", request.method, request.path)
        finally:
            if response is not None:
                response.close()

    async def _answer(self, request: Request) -> Response:
        methods = self._find(request.path)
        if methods is None:
            return problem(404, "there is no such resource")
        preflight = self._cors.preflight(request)
        if preflight is not None and request.path not in PAGES:
            return preflight
        handler = methods.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            allow = ", ".join((*methods, *(["HEAD"] if "GET" in methods else ()))).encode()
            return problem(405, "the resource has no such method", headers=[(b"allow", allow)])
        try:
            return await handler(request)
        except Refused as refused:
            return refused.response
        except BodyTooLarge:
            return problem(413, "the body is too large")
        except ClientGone:
            raise
        except Exception:
            # A bug of ours: the one who asked is told so, the log has the rest, others are served.
            _LOG.exception("%s %s failed", request.method, request.path)
            return problem(500, "the server made a mistake; it is in its log")

    def _find(self, path: str) -> Methods | None:
        exact = self._exact.get(path)
        if exact is not None:
            return exact
        for prefix, methods in self._under:
            if path.startswith(prefix):
                return methods
        return None

    async def _healthz(self, _: Request) -> Response:
        """The process lives."""
        return Response(200, b"text/plain", b"ok\n")

    async def _readyz(self, _: Request) -> Response:
        """The node has a leader and is caught up."""
        if self._ready():
            return Response(200, b"text/plain", b"ready\n")
        return Response(503, b"text/plain", b"not ready\n")


async def _upgrade_needed(_: Request) -> Response:
    """RFC 9110 15.5.22: the resource is there for WebSocket alone."""
    return problem(426, "this is a WebSocket (RFC 8887)", headers=[(b"upgrade", b"websocket")])
