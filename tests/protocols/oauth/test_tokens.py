"""A program by itself: tokens for codes, new ones for old, devices, registration, revocation."""

from typing import Any

import msgspec
import pytest

from protocols.oauth.forms import FORM_OCTETS_MAX, PARAMETERS_MAX
from protocols.oauth.metadata import CODE_GRANT, DEVICE_GRANT
from protocols.oauth.redirects import URI_CHARS_MAX
from protocols.oauth.registration import (
    LIST_MAX,
    NAME_CHARS_MAX,
    REDIRECT_URIS_MAX,
    REGISTRATION_OCTETS_MAX,
    SOFTWARE_CHARS_MAX,
)
from protocols.oauth.scopes import MAIL, SCOPE_CHARS_MAX
from protocols.oauth.tokens import INTERVAL_MAX_S, INTERVAL_S, POLLS_MAX, Polls
from storage.clients import UNPROVEN_MS
from storage.codes import EXPIRED_TOLD_MS
from storage.grants import FORGIVEN_MS, Terms
from tests.protocols.oauth.test_consent import Few
from tests.protocols.oauth.world import (
    BACK,
    FORM,
    SOFTWARE,
    YES,
    World,
    error,
    form_of,
)

JSON = {"content-type": "application/json"}


@pytest.fixture
def world() -> World:
    return World()


# --- codes (RFC 6749 4.1.3, RFC 7636 4.6)


async def test_a_code_is_redeemed_for_tokens(world: World) -> None:
    client = await world.register()
    answer = await world.redeem(client, await world.code(client))
    assert answer.status == 200 and answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    told = answer.json
    assert told.keys() == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
    assert told["token_type"] == "Bearer" and told["expires_in"] == 3600
    assert told["scope"] == f"{MAIL} offline_access"
    world.house.clock.pass_s(3599)
    assert world.proves(told["access_token"])
    world.house.clock.pass_s(1)
    assert not world.proves(told["access_token"]) and not world.proves(told["refresh_token"])


async def test_a_code_used_twice_takes_back_what_it_gave(world: World) -> None:
    client = await world.register()
    code = await world.code(client)
    told = (await world.redeem(client, code)).json
    assert error(await world.redeem(client, code)) == "invalid_grant"
    assert not world.proves(told["access_token"])
    assert error(await world.refresh(client, told["refresh_token"])) == "invalid_grant"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"code_verifier": "v" * 42}, "invalid_request"),
        ({"code_verifier": "v" * 129}, "invalid_request"),
        ({"code_verifier": "v" * 42 + "/"}, "invalid_request"),
        ({"code_verifier": ""}, "invalid_request"),
        ({"redirect_uri": ""}, "invalid_request"),
        ({"redirect_uri": BACK + "2"}, "invalid_grant"),
        ({"redirect_uri": BACK.replace("49152", "49153")}, "invalid_grant"),
        ({"code": ""}, "invalid_request"),
        ({"code": "trc_" + "A" * 64}, "invalid_grant"),
        ({"client_id": ""}, "invalid_request"),
        ({"client_id": "c" * 65}, "invalid_request"),
        ({"client_id": "c-nobody"}, "invalid_client"),
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
    ],
)
async def test_a_code_is_for_its_client_as_it_asked(
    world: World, changed: dict[str, str], told: str
) -> None:
    client = await world.register()
    code = await world.code(client)
    assert error(await world.redeem(client, code, **changed)) == told
    assert (await world.redeem(client, code)).status == 200


async def test_another_client_gets_nothing_for_a_code(world: World) -> None:
    client, other = await world.register(), await world.register(client_name="Cat")
    code = await world.code(client)
    assert error(await world.redeem(other, code)) == "invalid_grant"


async def test_a_code_ends(world: World) -> None:
    client = await world.register()
    code = await world.code(client)
    world.house.clock.pass_s(600)
    assert error(await world.redeem(client, code)) == "invalid_grant"


# --- refresh tokens (RFC 6749 6, RFC 9700 4.14.2)


async def test_refresh_tokens_rotate(world: World) -> None:
    client = await world.register()
    first = await world.tokens(client)
    second = (await world.refresh(client, first["refresh_token"])).json
    assert second["refresh_token"] != first["refresh_token"]
    assert world.proves(second["access_token"])
    again = await world.refresh(client, first["refresh_token"])  # the answer was lost
    assert again.status == 200
    world.house.clock.pass_s(FORGIVEN_MS / 1000)
    assert error(await world.refresh(client, first["refresh_token"])) == "invalid_grant"
    assert not world.proves(second["access_token"])
    assert error(await world.refresh(client, again.json["refresh_token"])) == "invalid_grant"


async def test_a_refresh_token_is_no_access_token_nor_the_other_way_round(world: World) -> None:
    client = await world.register()
    told = await world.tokens(client)
    assert world.proves(told["refresh_token"]) is None
    assert error(await world.refresh(client, told["access_token"])) == "invalid_grant"


async def test_a_refresh_token_is_its_clients_and_gives_no_more_than_was_granted(
    world: World,
) -> None:
    client, other = await world.register(), await world.register(client_name="Cat")
    code = await world.code(client, scope=MAIL)
    told = (await world.redeem(client, code)).json
    token = told["refresh_token"]
    assert error(await world.refresh(other, token)) == "invalid_grant"
    assert error(await world.refresh("c-nobody", token)) == "invalid_client"
    wide = await world.refresh(client, token, scope=f"{MAIL} offline_access")
    assert error(wide) == "invalid_scope"
    assert error(await world.refresh(client, token, scope="x y")) == "invalid_scope"
    assert error(await world.refresh(client, "")) == "invalid_request"
    assert (await world.refresh(client, token, scope=MAIL)).json["scope"] == MAIL


async def test_a_refresh_token_that_nobody_uses_ends() -> None:
    world = World(terms=Terms(access_ms=60_000, refresh_ms=120_000))
    client = await world.register()
    told = await world.tokens(client)
    assert told["expires_in"] == 60
    world.house.clock.pass_s(100)
    told = (await world.refresh(client, told["refresh_token"])).json
    world.house.clock.pass_s(120)
    assert error(await world.refresh(client, told["refresh_token"])) == "invalid_grant"


# --- revocation (RFC 7009)


async def test_tokens_are_revoked(world: World) -> None:
    client = await world.register()
    told = await world.tokens(client)
    other = await world.tokens(client)
    for token in (told["access_token"], told["refresh_token"], "never given"):
        form = {"client_id": client, "token": token, "token_type_hint": "refresh_token"}
        answer = await world.post("/oauth/revoke", form)
        assert answer.status == 200 and answer.body == b""
        assert not world.proves(told["access_token"])
    assert error(await world.refresh(client, told["refresh_token"])) == "invalid_grant"
    assert world.proves(other["access_token"])


async def test_nobody_revokes_anothers_tokens(world: World) -> None:
    client, other = await world.register(), await world.register(client_name="Cat")
    told = await world.tokens(client)
    for token in (told["access_token"], told["refresh_token"]):
        form = {"client_id": other, "token": token}
        assert (await world.post("/oauth/revoke", form)).status == 200
    assert world.proves(told["access_token"])
    assert error(await world.post("/oauth/revoke", {"client_id": client})) == "invalid_request"
    assert error(await world.post("/oauth/revoke", {"token": "x"})) == "invalid_request"


# --- devices (RFC 8628)


async def test_a_device_waits_for_its_user(world: World) -> None:
    client = await world.register()
    device = await world.device(client)
    assert device["expires_in"] == 1800 and device["interval"] == INTERVAL_S
    assert device["verification_uri_complete"].endswith(f"?user_code={device['user_code']}")
    code = device["device_code"]
    assert error(await world.poll(client, code)) == "authorization_pending"
    other = await world.register(client_name="Cat")
    assert error(await world.poll(other, code)) == "invalid_grant"
    assert error(await world.poll("c-nobody", "trd_x")) == "invalid_client"
    assert error(await world.poll(client, "trd_x")) == "invalid_grant"
    assert error(await world.poll(client, "")) == "invalid_request"
    _, action, held = await world.open("/oauth/device")
    page = await world.post(action, held | {"user_code": device["user_code"]})
    action, held = form_of(page)
    await world.post(action, held | YES)
    told = (await world.poll(client, code)).json
    assert world.proves(told["access_token"])
    world.house.clock.pass_s(FORGIVEN_MS / 1000)
    assert error(await world.poll(client, code)) == "invalid_grant"
    assert not world.proves(told["access_token"])


async def test_a_device_that_asks_too_often_is_slowed_down(world: World) -> None:
    client = await world.register()
    code = (await world.device(client))["device_code"]
    form = {"grant_type": DEVICE_GRANT, "client_id": client, "device_code": code}
    assert error(await world.post("/oauth/token", form)) == "authorization_pending"
    assert error(await world.post("/oauth/token", form)) == "slow_down"
    assert error(await world.poll(client, code)) == "slow_down"  # ten seconds by now
    world.house.clock.pass_s(15)
    assert error(await world.post("/oauth/token", form)) == "authorization_pending"


def test_polls_are_bounded() -> None:
    polls = Polls()
    assert not polls.is_too_soon(1, 0.0)
    assert all(polls.is_too_soon(1, 0.0) for _ in range(50))
    assert not polls.is_too_soon(1, INTERVAL_MAX_S)  # it never has to wait longer
    for device in range(POLLS_MAX + 5):
        polls.is_too_soon(device, 1_000.0)
    assert len(polls) == POLLS_MAX


async def test_a_device_code_ends(world: World) -> None:
    client = await world.register()
    code = (await world.device(client))["device_code"]
    world.house.clock.pass_s(1800)
    world.expire()
    assert error(await world.poll(client, code)) == "expired_token"
    world.house.clock.pass_s(EXPIRED_TOLD_MS / 1000)
    world.expire()
    assert error(await world.poll(client, code)) == "invalid_grant"


async def test_who_may_begin_on_a_device(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await world.register(scope=MAIL)
    begin = "/oauth/device_authorization"
    assert error(await world.post(begin, {})) == "invalid_request"
    assert error(await world.post(begin, {"client_id": "c-nobody"})) == "invalid_client"
    wide = {"client_id": client, "scope": f"{MAIL} offline_access"}
    assert error(await world.post(begin, wide)) == "invalid_scope"
    monkeypatch.setattr("storage.codes.DEVICES_MAX", 1)
    await world.device(client)
    full = await world.post(begin, {"client_id": client})
    assert error(full, 503) == "temporarily_unavailable" and "retry-after" in full.headers


async def test_strangers_begin_so_much_and_no_more() -> None:
    world = World(newcomers=Few(2))
    client = await world.register()
    await world.device(client)
    busy = await world.post("/oauth/device_authorization", {"client_id": client})
    assert error(busy, 429) == "slow_down"
    assert error(await world.registered(), 429) == "temporarily_unavailable"


# --- registration (RFC 7591, draft-ietf-mailmaint-oauth-public-05 3.3)


async def test_a_client_registers(world: World) -> None:
    answer = await world.registered(unknown="ignored", client_secret="x")
    assert answer.status == 201 and answer.headers["cache-control"] == "no-store"
    told = answer.json
    assert told.pop("client_id").startswith("c-")
    assert told.pop("client_id_issued_at") == world.house.clock.now_ms() // 1000
    assert told == SOFTWARE


async def test_the_same_software_is_one_client_whatever_its_version(world: World) -> None:
    client = await world.register()
    assert await world.register(software_version="2") == client
    assert await world.register(policy_uri="https://bird.example/policy") != client


async def test_what_a_client_leaves_out_is_filled_in(world: World) -> None:
    answer = await world.http("POST", "/oauth/register", b'{"redirect_uris":["a.b:/"]}', **JSON)
    told = answer.json
    assert answer.status == 201 and told["token_endpoint_auth_method"] == "none"
    assert told["grant_types"] == [CODE_GRANT, "refresh_token"]
    assert told["response_types"] == ["code"] and told["scope"] == f"{MAIL} offline_access"
    page, _, _ = await world.open(world.request(told["client_id"], redirect_uri="a.b:/"))
    assert b"A program without a name" in page.body
    blank = await world.register(client_name=" \u2003 ")
    page, _, _ = await world.open(world.request(blank))
    assert b"A program without a name" in page.body


async def test_a_device_needs_no_redirect_uri(world: World) -> None:
    client = await world.register(
        grant_types=[DEVICE_GRANT, "refresh_token"], response_types=None, redirect_uris=None
    )
    assert (await world.device(client))["user_code"]


@pytest.mark.parametrize(
    "uri",
    [
        "https://web.example/",
        "http://127.0.0.1",
        "http://127.0.0.1:8080/",
        "http://127.0.0.1.evil.example/",
        "http://127.0.0.1@evil.example/",
        "http://localhost/",
        "http://[::1]",
        "javascript:alert(1)",
        "data:text/html,x",
        "mailto:a@b.example",
        "nodot:/x",
        "org.example:/a#b",
        "org.example:/a/../b",
        "org.example:/a..b",
        "org.example:/ b",
        "org.example:/é",
        'org.example:/"',
        "org.example:/\r\n",
        "org.example:/" + "x" * URI_CHARS_MAX,
        "",
        7,
    ],
)
async def test_only_a_program_on_ones_own_machine_registers(world: World, uri: Any) -> None:
    answer = await world.registered(redirect_uris=["http://127.0.0.1/", uri])
    assert error(answer) == "invalid_redirect_uri"


@pytest.mark.parametrize(
    "changed",
    [
        {"token_endpoint_auth_method": "client_secret_basic"},
        {"grant_types": [CODE_GRANT]},
        {"grant_types": ["implicit"]},
        {"grant_types": "authorization_code"},
        {"grant_types": ["x"] * (LIST_MAX + 1)},
        {"response_types": ["token"]},
        {"response_types": [7]},
        {"client_name": "n" * (NAME_CHARS_MAX + 1)},
        {"client_name": "Bank\u202egnp"},
        {"client_name": "\ud800"},
        {"client_name": ["Bird"]},
        {"client_uri": "http://bird.example/"},
        {"logo_uri": "javascript:x"},
        {"tos_uri": "https://x y"},
        {"policy_uri": "https://x/" + "y" * URI_CHARS_MAX},
        {"software_id": "s" * (SOFTWARE_CHARS_MAX + 1)},
        {"scope": ["mail"]},
        {"scope": "urn:example:other"},
        {"scope": "s" * (SCOPE_CHARS_MAX + 1)},
    ],
    ids=str,
)
async def test_what_cannot_be_registered(world: World, changed: dict[str, Any]) -> None:
    if changed == {"client_name": "\ud800"}:
        body = msgspec.json.encode(SOFTWARE | {"client_name": "X"}).replace(b'"X"', b'"\\ud800"')
        answer = await world.http("POST", "/oauth/register", body, **JSON)
    else:
        answer = await world.registered(**changed)
    assert error(answer) == "invalid_client_metadata"


async def test_hostile_registrations(world: World) -> None:
    none: list[Any] = []
    many = ["a.b:/"] * (REDIRECT_URIS_MAX + 1)
    for uris in (none, many, "a.b:/", {"a.b:/": 1}):
        assert error(await world.registered(redirect_uris=uris)) == "invalid_redirect_uri"
    for body in (b"", b"[]", b"7", b"\xff", b'{"a":"\xff"}', b"{", b"[" * 10_000, b'{"a":' * 2_000):
        answer = await world.http("POST", "/oauth/register", body, **JSON)
        assert error(answer) == "invalid_client_metadata"
    large = await world.http("POST", "/oauth/register", b" " * (REGISTRATION_OCTETS_MAX + 1))
    assert large.status == 413
    plain = await world.http("POST", "/oauth/register", b"{}", **{"content-type": "text/plain"})
    assert error(plain) == "invalid_client_metadata"


async def test_registration_may_be_shut() -> None:
    world = World(registration=False)
    assert error(await world.registered(), 403) == "access_denied"


async def test_a_client_that_nobody_let_in_is_forgotten(world: World) -> None:
    client = await world.register()
    world.house.clock.pass_s(UNPROVEN_MS / 1000)
    assert (await world.http("GET", world.request(client))).status == 400


# --- hostile requests (RFC 6749 3.2: once each; 5.2)


@pytest.mark.parametrize("target", ["/oauth/token", "/oauth/revoke", "/oauth/device_authorization"])
async def test_what_is_no_form_is_an_invalid_request(world: World, target: str) -> None:
    good = b"client_id=x&token=y&grant_type=z"
    for body in (
        good + b"&client_id=x",
        good + b"&x=%zz",
        good + b"&x=%",
        good + b"&x=%ff",
        b"&".join(b"p%d=x" % number for number in range(PARAMETERS_MAX + 1)),
        b"",
        b"\x00",
    ):
        assert error(await world.http("POST", target, body, **FORM)) == "invalid_request"
    for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x", ""):
        answer = await world.http("POST", target, good, **{"content-type": kind})
        assert error(answer) == "invalid_request"
    large = await world.http("POST", target, b"a" * (FORM_OCTETS_MAX + 1), **FORM)
    assert large.status == 413
    assert (await world.http("GET", target)).status == 405


async def test_a_client_that_shows_a_secret_is_told_that_there_are_none(world: World) -> None:
    answer = await world.http(
        "POST", "/oauth/token", b"grant_type=x", **FORM, authorization="Basic eDp5"
    )
    assert error(answer, 401) == "invalid_client" and "www-authenticate" in answer.headers


async def test_an_outage_says_so_and_spends_nothing(world: World) -> None:
    client = await world.register()
    code = await world.code(client)
    device = await world.device(client)
    world.house.unavailable = True
    for answer in (
        await world.redeem(client, code),
        await world.poll(client, device["device_code"]),
        await world.registered(client_name="Other"),
        await world.post("/oauth/revoke", {"client_id": client, "token": "x"}),
        await world.post("/oauth/device_authorization", {"client_id": client}),
    ):
        assert error(answer, 503) == "temporarily_unavailable" and "retry-after" in answer.headers
    world.house.unavailable = False
    assert (await world.redeem(client, code)).status == 200
