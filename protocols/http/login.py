"""OAuth over HTTP: its endpoints, pages and metadata (protocols/oauth decides all of it).

A page cannot be framed, runs no script, is kept by no cache, tells nobody where its reader came
from, and is under no CORS (RFC 9700 2.6). Its form must bring what a cookie of this browser has;
another site can neither read nor set that. Nothing is told or taken in clear text, but on loopback.
"""

import base64
import hmac
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final

import msgspec

from protocols.http.requests import (
    JSON_TYPE,
    Headers,
    Request,
    Response,
    problem,
)
from protocols.oauth import metadata
from protocols.oauth.answers import RETRY_AFTER_S, Answer, Json, Page, Redirect, refused
from protocols.oauth.consent import Consent, Seat
from protocols.oauth.forms import FORM_OCTETS_MAX, FormInvalid, is_form, parse_form
from protocols.oauth.pages import STYLE_HASH, error_page
from protocols.oauth.redirects import form_source
from protocols.oauth.registration import REGISTRATION_OCTETS_MAX
from protocols.oauth.settings import OauthSettings
from protocols.oauth.tokens import Tokens
from protocols.ports import Ports

Handler = Callable[[Request], Awaitable[Response]]

# Pages: no other site's script may fetch them, whatever [http] allow-origins says.
PAGES: Final = frozenset((metadata.AUTHORIZE_PATH, metadata.DEVICE_PATH))
# What has metadata of its own (RFC 9728 3.1): what a client may be asked to authenticate for.
RESOURCES: Final = ("/.well-known/jmap", "/jmap/api", "/jmap/eventsource/", "/jmap/ws")
RESOURCES_UNDER: Final = ("/jmap/upload/", "/jmap/download/")

_COOKIE_BYTES: Final = 32
_COOKIE: Final = re.compile(r"[A-Za-z0-9_-]{43}\Z")
_NO_STORE: Final[Headers] = [(b"cache-control", b"no-store"), (b"pragma", b"no-cache")]
_STALE: Final = "This page is of another visit, or cookies are off: go back and begin anew."
_CLEAR: Final = "This needs TLS: use https."
_NO_HOST: Final = "the host or scheme of the request is none"


class Login:
    """One node's OAuth."""

    def __init__(
        self, ports: Ports, settings: OauthSettings, begins: Callable[[Request], str | None]
    ) -> None:
        self._ports = ports
        self._settings = settings
        self._begins = begins
        self._consent = Consent(ports, settings)
        self._tokens = Tokens(ports, settings)

    def exact(self) -> dict[str, Mapping[str, Handler]]:
        """What is served at each path."""
        return {
            metadata.SERVER_PATH: {"GET": self._server_metadata},
            metadata.RESOURCE_PATH: {"GET": self._resource_metadata},
            **{
                metadata.RESOURCE_PATH + path: {"GET": self._resource_metadata}
                for path in RESOURCES
            },
            metadata.AUTHORIZE_PATH: {"GET": self._ask, "POST": self._decide},
            metadata.DEVICE_PATH: {"GET": self._enter, "POST": self._entered},
            metadata.TOKEN_PATH: {"POST": self._token},
            metadata.REVOKE_PATH: {"POST": self._revoke},
            metadata.DEVICE_AUTHORIZATION_PATH: {"POST": self._begin_device},
            metadata.REGISTER_PATH: {"POST": self._register},
        }

    def under(self) -> Iterator[tuple[str, Mapping[str, Handler]]]:
        """What is served at all paths that begin so."""
        for path in RESOURCES_UNDER:
            yield metadata.RESOURCE_PATH + path, {"GET": self._resource_metadata}

    # --- metadata

    async def _server_metadata(self, request: Request) -> Response:
        base = self._base(request)
        if base is None:
            return _misled(request)
        document = metadata.server_metadata(base, registration=self._settings.registration)
        return Response(200, body=msgspec.json.encode(document), headers=_NO_STORE)

    async def _resource_metadata(self, request: Request) -> Response:
        base = self._base(request)
        if base is None:
            return _misled(request)
        path = request.path.removeprefix(metadata.RESOURCE_PATH)
        document = metadata.resource_metadata(base, path)
        return Response(200, body=msgspec.json.encode(document), headers=_NO_STORE)

    def _base(self, request: Request) -> str | None:
        """What URLs begin with; None: the request is in clear text, or its host is none."""
        return self._begins(request) if request.secure or request.on_loopback else None

    # --- for programs

    async def _token(self, request: Request) -> Response:
        return await self._for_program(request, self._tokens.token)

    async def _revoke(self, request: Request) -> Response:
        return await self._for_program(request, self._tokens.revoke)

    async def _begin_device(self, request: Request) -> Response:
        base = self._base(request)

        async def begin(form: Mapping[str, str]) -> Answer:
            if base is None:
                return refused("invalid_request", _NO_HOST)
            return await self._tokens.begin_device(form, base=base, remote=request.remote)

        return await self._for_program(request, begin)

    async def _for_program(
        self, request: Request, answer: Callable[[Mapping[str, str]], Awaitable[Answer]]
    ) -> Response:
        if not request.secure and not request.on_loopback:
            return problem(403, _CLEAR)
        body = await request.body(FORM_OCTETS_MAX, _forget)
        if request.headers.get(b"authorization"):
            # RFC 6749 5.2: whoever tries to authenticate as a client is told how that is done.
            told = refused("invalid_client", "clients have no secrets here", status=401)
            return _json(told, [(b"www-authenticate", b'Basic realm="clients"')])
        if not is_form(request.header(b"content-type")):
            return _json(refused("invalid_request", "the body must be a form, and say so"))
        try:
            form = parse_form(body)
        except FormInvalid as error:
            return _json(refused("invalid_request", str(error)))
        return _json(await answer(form))

    async def _register(self, request: Request) -> Response:
        if not request.secure and not request.on_loopback:
            return problem(403, _CLEAR)
        body = await request.body(REGISTRATION_OCTETS_MAX, _forget)
        media_type = request.header(b"content-type").partition(";")[0].strip().lower()
        if media_type != JSON_TYPE.decode():
            return _json(refused("invalid_client_metadata", "the Content-Type must be JSON"))
        return _json(await self._tokens.register(body, remote=request.remote))

    # --- for people

    async def _ask(self, request: Request) -> Response:
        return await self._visit(request, lambda seat: self._consent.ask(request.query, seat))

    async def _enter(self, request: Request) -> Response:
        typed = request.query_value("user_code") or ""
        return await self._visit(request, lambda seat: self._consent.enter(typed, seat))

    async def _decide(self, request: Request) -> Response:
        async def decide(form: Mapping[str, str], seat: Seat) -> Answer:
            return await self._consent.decide(request.query, form, seat)

        return await self._post(request, decide)

    async def _entered(self, request: Request) -> Response:
        return await self._post(request, self._consent.entered)

    async def _visit(
        self, request: Request, answer: Callable[[Seat], Awaitable[Answer]]
    ) -> Response:
        base = self._base(request)
        if base is None:
            return _page(Page(403, error_page(_CLEAR)))
        name = _cookie_name(base)
        held = _cookie(request, name)
        secret = held or _draw(self._ports)
        seat = Seat(base, secret, request.remote)
        response = _page(await answer(seat))
        if not held:
            secure = "; Secure" if base.startswith("https:") else ""
            path = "/" if secure else "/oauth/"
            value = f"{name}={secret}; Path={path}; HttpOnly; SameSite=Lax{secure}"
            response.headers = [*response.headers, (b"set-cookie", value.encode())]
        return response

    async def _post(
        self, request: Request, answer: Callable[[Mapping[str, str], Seat], Awaitable[Answer]]
    ) -> Response:
        base = self._base(request)
        if base is None:
            return _page(Page(403, error_page(_CLEAR)))
        body = await request.body(FORM_OCTETS_MAX, _forget)
        try:
            form = parse_form(body) if is_form(request.header(b"content-type")) else {}
        except FormInvalid:
            return _page(Page(400, error_page("The form is broken: go back and begin anew.")))
        held, brought = _cookie(request, _cookie_name(base)), form.get("csrf", "")
        genuine = hmac.compare_digest(held.encode(), brought.encode()) and held != ""
        # Browsers say which site a request comes from (Fetch Metadata); others say nothing.
        if not genuine or request.header(b"sec-fetch-site") not in ("", "same-origin", "none"):
            return _page(Page(403, error_page(_STALE)))
        return _page(await answer(form, Seat(base, held, request.remote)))


def _misled(request: Request) -> Response:
    if not request.secure and not request.on_loopback:
        return problem(403, _CLEAR)
    return problem(400, _NO_HOST)


def _draw(ports: Ports) -> str:
    drawn = ports.chance.randbytes(_COOKIE_BYTES)
    return base64.urlsafe_b64encode(drawn).decode().rstrip("=")


def _cookie_name(base: str) -> str:
    """Of https alone: a name that no other host, and nobody in clear text, can set (RFC 6265bis
    4.1.3.2)."""
    return "__Host-trireme-oauth" if base.startswith("https:") else "trireme-oauth"


def _cookie(request: Request, name: str) -> str:
    """The browser's secret; empty when it has none of ours."""
    for pair in request.header(b"cookie").split(";"):
        key, _, value = pair.strip().partition("=")
        if key == name and _COOKIE.match(value):
            return value
    return ""


def _json(answer: Answer, headers: Headers | None = None) -> Response:
    assert isinstance(answer, Json), answer
    body = b"" if answer.body is None else msgspec.json.encode(answer.body)
    told = [*_NO_STORE, *(headers or ())]
    if answer.retry:
        told.append((b"retry-after", b"%d" % RETRY_AFTER_S))
    return Response(answer.status, JSON_TYPE if body else b"", body, told)


def _page(answer: Answer) -> Response:
    headers = [
        *_NO_STORE,
        (b"referrer-policy", b"no-referrer"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
    ]
    if isinstance(answer, Redirect):
        # 303: the browser does not bring the form, and so the password, along (RFC 9700 4.12).
        return Response(303, b"", headers=[*headers, (b"location", answer.uri.encode("ascii"))])
    assert isinstance(answer, Page), answer
    leads_to = f" {form_source(answer.leads_to)}" if answer.leads_to else ""
    policy = (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; form-action 'self'{leads_to}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    headers.append((b"content-security-policy", policy.encode()))
    if answer.retry:
        headers.append((b"retry-after", b"%d" % RETRY_AFTER_S))
    return Response(answer.status, b"text/html; charset=utf-8", answer.html.encode(), headers)


def _forget(octets: int) -> None:
    """Bodies this small are not counted against the door's memory."""
