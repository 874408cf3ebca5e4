"""A program, its user's browser and a server, for stories of OAuth: all of it over HTTP.

world = World(); client = await world.register(); code = await world.code(client)
"""

import base64
import hashlib
import html
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import msgspec

from protocols.oauth.metadata import CODE_GRANT, DEVICE_GRANT, REFRESH_GRANT
from protocols.oauth.scopes import MAIL
from protocols.oauth.settings import OauthSettings
from storage.codes import plan_expire
from storage.due import list_due
from storage.grants import Access, prove_access
from tests.protocols.jmap.desk import ALICE, SECRET, Answer, Desk

BASE: Final = "https://mail.example.org"
BACK: Final = "http://127.0.0.1:49152/done"
VERIFIER: Final = "v" * 43
CHALLENGE: Final = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
)
FORM: Final = {"content-type": "application/x-www-form-urlencoded"}
SOFTWARE: Final[dict[str, Any]] = {
    "redirect_uris": ["http://127.0.0.1/done", "org.example.bird:/done"],
    "token_endpoint_auth_method": "none",
    "grant_types": [CODE_GRANT, REFRESH_GRANT],
    "response_types": ["code"],
    "scope": f"{MAIL} offline_access",
    "client_name": "Bird <Mail> & Co",
    "client_uri": "https://bird.example/",
    "software_id": "bird",
    "software_version": "1",
}


class World:
    """Alice's server, and a browser with its cookies."""

    def __init__(self, **settings: Any) -> None:
        self.desk = Desk(oauth=OauthSettings(**settings))
        self.house = self.desk.house
        self.cookies: dict[str, str] = {}

    async def http(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        """One request by TLS, with the browser's cookies."""
        sent = {"host": "mail.example.org", **headers}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = await self.desk.http(
            method, target, body, headers=sent, auth=None, remote="192.0.2.7", scheme="https"
        )
        if "set-cookie" in answer.headers:
            name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    async def post(self, target: str, form: Mapping[str, str]) -> Answer:
        """A form."""
        body = urlencode(form).encode()
        return await self.http("POST", target, body, **FORM)

    # --- a program

    async def register(self, **changed: Any) -> str:
        """Register; the client's id."""
        answer = await self.registered(**changed)
        assert answer.status == 201, answer.body
        client: str = answer.json["client_id"]
        return client

    async def registered(self, **changed: Any) -> Answer:
        """The answer to a registration; None takes a property out."""
        said = {key: value for key, value in (SOFTWARE | changed).items() if value is not None}
        body = msgspec.json.encode(said)
        return await self.http(
            "POST", "/oauth/register", body, **{"content-type": "application/json"}
        )

    def request(self, client: str, **changed: str) -> str:
        """The URL of an authorization request; an empty value takes a parameter out."""
        said = {
            "client_id": client,
            "redirect_uri": BACK,
            "response_type": "code",
            "scope": f"{MAIL} offline_access",
            "state": "a state & more",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        } | changed
        given = {key: value for key, value in said.items() if value}
        return "/oauth/authorize?" + urlencode(given, quote_via=quote)

    async def code(self, client: str, **changed: str) -> str:
        """Alice says yes; the code."""
        answer = await self.allow(self.request(client, **changed))
        back = led_back(answer)
        assert back["state"] == "a state & more" and back["iss"] == BASE, back
        return back["code"]

    async def redeem(self, client: str, code: str, /, **changed: str) -> Answer:
        """Tokens for a code."""
        form = {
            "grant_type": CODE_GRANT,
            "client_id": client,
            "redirect_uri": BACK,
            "code": code,
            "code_verifier": VERIFIER,
        } | changed
        return await self.post("/oauth/token", {k: v for k, v in form.items() if v})

    async def tokens(self, client: str) -> dict[str, Any]:
        """A program let in by Alice: its tokens."""
        answer = await self.redeem(client, await self.code(client))
        assert answer.status == 200, answer.body
        told: dict[str, Any] = answer.json
        return told

    async def refresh(self, client: str, token: str, **more: str) -> Answer:
        """New tokens."""
        form = {"grant_type": REFRESH_GRANT, "client_id": client, "refresh_token": token}
        return await self.post("/oauth/token", form | more)

    async def device(self, client: str) -> dict[str, Any]:
        """A device begins."""
        answer = await self.post("/oauth/device_authorization", {"client_id": client})
        assert answer.status == 200, answer.body
        told: dict[str, Any] = answer.json
        return told

    async def poll(self, client: str, code: str) -> Answer:
        """The device asks, in time."""
        self.house.clock.pass_s(5)
        form = {"grant_type": DEVICE_GRANT, "client_id": client, "device_code": code}
        return await self.post("/oauth/token", form)

    # --- a user

    async def open(self, target: str) -> tuple[Answer, str, dict[str, str]]:
        """Open a page: the answer, where its form goes, and what it holds."""
        answer = await self.http("GET", target)
        return (answer, *form_of(answer))

    async def allow(self, target: str, **changed: str) -> Answer:
        """Open a page, sign in as Alice and say yes."""
        _, action, held = await self.open(target)
        return await self.post(action, held | YES | changed)

    def proves(self, token: str) -> Access | None:
        """What an access token lets its bearer do."""
        return prove_access(self.house.engine, token, self.house.clock.now_ms())

    def expire(self) -> None:
        """Do what is due."""
        for each, _ in list_due(self.house.engine, self.house.clock.now_ms(), limit=1_000):
            self.house.run(lambda plan, each=each: plan_expire(plan, each))


YES: Final = {"username": ALICE, "password": SECRET, "decision": "allow"}


def form_of(answer: Answer) -> tuple[str, dict[str, str]]:
    """Where the form of a page goes, and what it holds by itself."""
    text = answer.body.decode()
    action = re.search(r'<form method="post" action="([^"]*)">', text)
    inputs = [
        (re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag))
        for tag in re.findall(r"<input [^>]*>", text)
    ]
    held = {name[1]: html.unescape(value[1]) for name, value in inputs if name and value}
    return html.unescape(action[1]) if action else "", held


def led_back(answer: Answer, to: str = BACK) -> dict[str, str]:
    """What the client is told by a redirect to `to`."""
    assert answer.status == 303, (answer.status, answer.body)
    uri = urlsplit(answer.headers["location"])
    assert f"{uri.scheme}://{uri.netloc}{uri.path}" == to or f"{uri.scheme}:{uri.path}" == to
    return dict(parse_qsl(uri.query, strict_parsing=True))


def error(answer: Answer, status: int = 400) -> str:
    """The error code of a refusal."""
    assert answer.status == status, (answer.status, answer.body)
    assert answer.headers["cache-control"] == "no-store"
    code: str = answer.json["error"]
    assert answer.json["error_description"]
    return code
