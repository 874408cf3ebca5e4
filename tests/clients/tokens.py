"""An access token as a program without a browser gets one (RFC 8628), at another node.

The user is played too: a page is fetched, its form filled in and sent, twice.
"""

import http.cookiejar
import json
import re
import urllib.parse
import urllib.request
from html import unescape
from typing import Any
from urllib.request import HTTPCookieProcessor, HTTPSHandler

from tests.clients.stage import PASSWORD
from tests.clients.visit import Place, expect

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


class _Desk:
    """The authorization server of a node, as a program and a browser see it."""

    def __init__(self, place: Place, node: str) -> None:
        self._base = f"https://localhost:{place.stage.port(node, 'https')}"
        trust = HTTPSHandler(context=place.stage.trust())
        cookies = HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(trust, cookies)

    def ask(self, path: str, form: dict[str, str] | None = None) -> str:
        """What is answered to a form, or to a visit."""
        data = None if form is None else urllib.parse.urlencode(form).encode()
        with self._opener.open(self._base + path, data) as answer:
            return str(answer.read().decode())

    def register(self) -> str:
        """A new program's id (RFC 7591)."""
        document = {"client_name": "A client", "grant_types": [DEVICE, "refresh_token"]}
        headers = {"content-type": "application/json"}
        url, body = self._base + "/oauth/register", json.dumps(document).encode()
        with self._opener.open(urllib.request.Request(url, body, headers)) as answer:
            return str(json.load(answer)["client_id"])

    def fill_in(self, page: str, **filled: str) -> str:
        """The page after this one's form."""
        (action,) = re.findall(r'action="([^"]*)"', page)
        hidden = dict(re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', page))
        return self.ask(unescape(action), hidden | filled)


def access_token(place: Place) -> str:
    """A token of the place's user."""
    desk = _Desk(place, place.elsewhere)
    client = desk.register()
    device: dict[str, Any] = json.loads(
        desk.ask("/oauth/device_authorization", {"client_id": client})
    )
    page = desk.fill_in(desk.ask("/oauth/device"), user_code=device["user_code"])
    desk.fill_in(page, username=place.user, password=PASSWORD, decision="allow")
    form = {"grant_type": DEVICE, "client_id": client, "device_code": device["device_code"]}
    told = json.loads(desk.ask("/oauth/token", form))
    expect(told["token_type"], "Bearer", "type of the token")
    return str(told["access_token"])
