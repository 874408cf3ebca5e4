"""What clients find out by themselves, and by which doors: all of it true, in TLS, by its host."""

import pytest

from protocols.http.login import PAGES, RESOURCES
from protocols.oauth.metadata import RESOURCE_PATH, SERVER_PATH
from protocols.oauth.scopes import MAIL
from tests.protocols.jmap.desk import Desk
from tests.protocols.oauth.world import BASE, FORM, World

PAGE = "https://mail.example"


@pytest.fixture
def world() -> World:
    return World()


async def test_the_servers_metadata(world: World) -> None:
    """RFC 8414 2, 3.2; draft-ietf-mailmaint-oauth-public-05 3.2."""
    answer = await world.http("GET", SERVER_PATH)
    assert answer.status == 200 and answer.headers["content-type"] == "application/json"
    assert answer.json == {
        "issuer": BASE,
        "authorization_endpoint": f"{BASE}/oauth/authorize",
        "token_endpoint": f"{BASE}/oauth/token",
        "device_authorization_endpoint": f"{BASE}/oauth/device_authorization",
        "revocation_endpoint": f"{BASE}/oauth/revoke",
        "registration_endpoint": f"{BASE}/oauth/register",
        "scopes_supported": [MAIL, "offline_access"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [
            "authorization_code",
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:device_code",
        ],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }


async def test_every_endpoint_that_is_told_is_there(world: World) -> None:
    told = (await world.http("GET", SERVER_PATH)).json
    for name, url in told.items():
        if name.endswith("_endpoint"):
            answer = await world.http("POST", url.removeprefix(BASE), b"", **FORM)
            assert answer.status in (400, 403), name


async def test_registration_that_is_shut_is_not_told() -> None:
    told = (await World(registration=False).http("GET", SERVER_PATH)).json
    assert "registration_endpoint" not in told


@pytest.mark.parametrize("path", ["", *RESOURCES])
async def test_a_resources_metadata(world: World, path: str) -> None:
    """RFC 9728 3: the resource is what the URL of its metadata was made of."""
    answer = await world.http("GET", RESOURCE_PATH + path)
    assert answer.status == 200 and answer.headers["content-type"] == "application/json"
    assert answer.json == {
        "resource": BASE + path,
        "authorization_servers": [BASE],
        "scopes_supported": [MAIL, "offline_access"],
        "bearer_methods_supported": ["header"],
    }


async def test_what_is_no_resource_has_no_metadata(world: World) -> None:
    for path in ("/", "/oauth/token", "/jmap/api/x"):
        assert (await world.http("GET", RESOURCE_PATH + path)).status == 404


async def test_the_issuer_is_as_the_client_reached_it() -> None:
    desk = Desk()
    for host, issuer in (("a.example", "http://a.example"), ("[::1]:8080", "http://[::1]:8080")):
        told = await desk.http("GET", SERVER_PATH, headers={"host": host}, auth=None)
        assert told.json["issuer"] == issuer
    public = Desk(public_url="https://public.example")
    told = await public.http("GET", SERVER_PATH, auth=None)
    assert told.json["issuer"] == "https://public.example"
    for target in (SERVER_PATH, RESOURCE_PATH):
        odd = await desk.http("GET", target, headers={"host": "a b"}, auth=None)
        assert odd.status == 400


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", SERVER_PATH),
        ("GET", RESOURCE_PATH),
        ("GET", "/oauth/authorize"),
        ("POST", "/oauth/authorize"),
        ("GET", "/oauth/device"),
        ("POST", "/oauth/device"),
        ("POST", "/oauth/token"),
        ("POST", "/oauth/revoke"),
        ("POST", "/oauth/device_authorization"),
        ("POST", "/oauth/register"),
    ],
)
async def test_nothing_is_told_or_taken_in_clear_text(method: str, target: str) -> None:
    answer = await Desk().http(method, target, auth=None, remote="192.0.2.7")
    assert answer.status == 403 and "set-cookie" not in answer.headers


async def test_programs_of_other_sites_may_ask_and_pages_are_nobodys() -> None:
    """RFC 9700 2.6: no CORS where people sign in."""
    desk = Desk(allow_origins=(PAGE,))
    asks = {"origin": PAGE, "access-control-request-method": "POST"}
    for target in ("/oauth/token", "/oauth/register", "/oauth/revoke", SERVER_PATH, RESOURCE_PATH):
        answer = await desk.http("OPTIONS", target, headers=asks, auth=None)
        assert answer.status == 204
        assert answer.headers["access-control-allow-origin"] == PAGE
    for target in PAGES:
        answer = await desk.http("OPTIONS", target, headers=asks, auth=None)
        assert answer.status == 405
        got = await desk.http("GET", target, headers=asks, auth=None)
        assert not [name for name in got.headers if name.startswith("access-control-")]


async def test_on_loopback_a_cookie_needs_no_tls() -> None:
    answer = await Desk().http("GET", "/oauth/device", auth=None)
    assert answer.status == 200
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("trireme-oauth=")
    assert cookie.endswith("; Path=/oauth/; HttpOnly; SameSite=Lax")
