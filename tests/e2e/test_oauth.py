"""Programs let in by OAuth, on real nodes: what one gives is good, and ends, at every other."""

import base64
import hashlib
import http.cookiejar
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import RealCluster, running

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("e2e")]

USER, PASSWORD = "alice@example.org", "alice-demo"
BACK = "http://127.0.0.1:9/done"
VERIFIER = "a-verifier-of-at-least-forty-three-letters-"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Where a browser is led is looked at, not followed."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Browser:
    """A user at a node: cookies, pages and their forms."""

    def __init__(self, base: str) -> None:
        self.base = base
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(jar, NoRedirect())

    def form(self, page: str, **filled: str) -> tuple[str, dict[str, str]]:
        """Where a page's form goes, and what it says when it is filled in."""
        action = re.search(r'action="([^"]*)"', page)
        assert action, page
        hidden = dict(re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', page))
        return unescape(action[1]), hidden | filled

    def get(self, target: str) -> str:
        """A page."""
        return str(self.opener.open(self.base + target).read().decode())

    def post(self, target: str, form: dict[str, str]) -> str:
        """The next page, or where we are led."""
        data = urllib.parse.urlencode(form).encode()
        try:
            return str(self.opener.open(self.base + target, data).read().decode())
        except urllib.error.HTTPError as error:
            assert error.code == 303, error.read()
            return str(error.headers["location"])


def base(cluster: RealCluster, name: str) -> str:
    """What URLs of a node begin with."""
    return f"http://127.0.0.1:{cluster.node(name).ports['http']}"


def ask(url: str, form: dict[str, str] | None = None, document: Any = None) -> tuple[int, Any]:
    """What a program hears: status and JSON."""
    request = urllib.request.Request(url)
    if form is not None:
        request.data = urllib.parse.urlencode(form).encode()
    if document is not None:
        request.data = json.dumps(document).encode()
        request.add_header("content-type", "application/json")
    try:
        with urllib.request.urlopen(request) as answer:
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read()
    return status, json.loads(body) if body else None


def session(node: str, token: str) -> int:
    """The status of JMAP's session resource, asked for with a token."""
    request = urllib.request.Request(f"{node}/.well-known/jmap")
    request.add_header("authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_program_and_a_device_at_three_nodes(tmp_path: Path) -> None:
    with running(tmp_path, 3) as cluster:
        n1, n2, n3 = (base(cluster, name) for name in ("n1", "n2", "n3"))
        told = ask(f"{n1}/.well-known/oauth-authorization-server")[1]
        assert told["issuer"] == n1
        document = {"client_name": "A shell", "redirect_uris": ["http://127.0.0.1/done"]}
        status, told = ask(told["registration_endpoint"], document=document)
        assert status == 201
        client = told["client_id"]

        # Asked and allowed on n2, redeemed on n3 (RFC 6749 4.1, RFC 7636).
        mark = hashlib.sha256(VERIFIER.encode()).digest()
        query = urllib.parse.urlencode(
            {
                "response_type": "code",
                "client_id": client,
                "redirect_uri": BACK,
                "state": "s",
                "code_challenge": base64.urlsafe_b64encode(mark).decode().rstrip("="),
                "code_challenge_method": "S256",
            }
        )
        browser = Browser(n2)
        yes = {"username": USER, "password": PASSWORD, "decision": "allow"}
        page = browser.get(f"/oauth/authorize?{query}")
        led = browser.post(*browser.form(page, **yes))
        assert led.startswith(f"{BACK}?code=trc_"), led
        answer = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(led).query))
        assert answer["state"] == "s" and answer["iss"] == n2
        redeeming = {
            "grant_type": "authorization_code",
            "client_id": client,
            "redirect_uri": BACK,
            "code": answer["code"],
            "code_verifier": VERIFIER,
        }
        status, tokens = ask(f"{n3}/oauth/token", redeeming)
        assert status == 200 and tokens["token_type"] == "Bearer"

        # Renewed on n1; given back on n2, and then good nowhere.
        renewing = {"grant_type": "refresh_token", "client_id": client}
        status, renewed = ask(
            f"{n1}/oauth/token", renewing | {"refresh_token": tokens["refresh_token"]}
        )
        assert status == 200 and renewed["refresh_token"] != tokens["refresh_token"]
        opening = [session(node, renewed["access_token"]) for node in (n1, n2, n3)]
        assert opening == [200, 200, 200]
        revoking = {"client_id": client, "token": renewed["refresh_token"]}
        assert ask(f"{n2}/oauth/revoke", revoking) == (200, None)
        opening = [session(node, renewed["access_token"]) for node in (n1, n2, n3)]
        assert opening == [401, 401, 401]
        for node in (n1, n2, n3):
            again = ask(
                f"{node}/oauth/token", renewing | {"refresh_token": renewed["refresh_token"]}
            )
            assert again[0] == 400 and again[1]["error"] == "invalid_grant"

        # A device begins on n1, its user is at n2, it gets its tokens on n3 (RFC 8628).
        status, device = ask(f"{n1}/oauth/device_authorization", {"client_id": client})
        assert status == 200 and device["verification_uri"] == f"{n1}/oauth/device"
        page = browser.get("/oauth/device")
        page = browser.post(*browser.form(page, user_code=device["user_code"]))
        assert "signed in" in browser.post(*browser.form(page, **yes))
        polling = {"grant_type": DEVICE, "client_id": client, "device_code": device["device_code"]}
        status, tokens = ask(f"{n3}/oauth/token", polling)
        assert status == 200

        # An operator sees it, a new password ends it.
        listed = json.loads(cluster.trireme("grant", "list", USER, "--json").stdout)["grants"]
        assert [each["program"] for each in listed] == ["A shell"]
        changed = cluster.trireme("account", "update", USER, "--password-stdin", stdin="new one\n")
        assert changed.returncode == 0, changed.stderr
        again = ask(f"{n2}/oauth/token", renewing | {"refresh_token": tokens["refresh_token"]})
        assert again[1]["error"] == "invalid_grant"
        assert "0 revoked" in cluster.trireme("grant", "revoke", USER, "--all").stdout
