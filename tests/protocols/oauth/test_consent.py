"""A user in his browser: asked, signed in, led back to the client and nowhere else."""

import re
from typing import Any

import pytest
import trio

from protocols.oauth.asking import STATE_CHARS_MAX
from protocols.oauth.consent import letters_of, render_letters
from protocols.oauth.scopes import MAIL
from protocols.oauth.settings import KnownClient
from protocols.ports import Principal
from storage import accounts
from storage.oauth_rows import Kind, row_range
from tests.protocols.jmap.desk import ALICE, BOB, SECRET
from tests.protocols.oauth.world import BACK, BASE, YES, World, form_of, led_back


@pytest.fixture
def world() -> World:
    return World()


# --- the way through (RFC 6749 4.1, RFC 7636, RFC 9207)


async def test_a_user_lets_a_client_in(world: World) -> None:
    client = await world.register()
    page, action, held = await world.open(world.request(client, login_hint=ALICE))
    assert page.status == 200 and held["username"] == ALICE
    assert action.startswith("/oauth/authorize?client_id=")
    answer = await world.post(action, held | YES)
    assert led_back(answer).keys() == {"code", "state", "iss"}
    tokens = (await world.redeem(client, led_back(answer)["code"])).json
    access = world.proves(tokens["access_token"])
    assert access is not None and access.account == world.desk.number
    assert access.client == client and MAIL in access.scopes


async def test_a_private_scheme_and_its_query_are_led_back_to(world: World) -> None:
    client = await world.register(redirect_uris=["org.example.bird:/done?from=us"])
    answer = await world.allow(world.request(client, redirect_uri="org.example.bird:/done?from=us"))
    location = answer.headers["location"]
    assert location.startswith("org.example.bird:/done?from=us&code=trc_")


async def test_a_user_refuses_without_signing_in(world: World) -> None:
    client = await world.register()
    _, action, held = await world.open(world.request(client))
    back = led_back(await world.post(action, held | {"decision": "deny"}))
    assert back["error"] == "access_denied" and back["state"] == "a state & more"
    assert back["iss"] == BASE and "code" not in back


async def test_a_wrong_password_asks_again_and_keeps_the_name_alone(world: World) -> None:
    client = await world.register()
    answer = await world.allow(world.request(client), password="wrong")
    assert answer.status == 403 and b"is wrong" in answer.body
    action, held = form_of(answer)
    assert held["username"] == ALICE and "password" not in held
    assert "code" in led_back(await world.post(action, held | YES))
    assert world.house.auth.attempts == [(ALICE, "192.0.2.7")] * 2


async def test_a_guesser_is_told_to_wait_and_an_outage_is_told_as_one(world: World) -> None:
    client = await world.register()
    world.house.auth.busy = True
    answer = await world.allow(world.request(client))
    assert answer.status == 429 and "retry-after" in answer.headers
    world.house.auth.busy = False
    _, action, held = await world.open(world.request(client))
    world.house.unavailable = True
    answer = await world.post(action, held | YES)
    assert answer.status == 503 and "retry-after" in answer.headers
    assert (await world.http("GET", world.request(client))).status == 503


async def test_oversized_names_and_passwords_are_wrong_before_they_are_tried(world: World) -> None:
    client = await world.register()
    for changed in ({"username": "a" * 321}, {"password": "p" * 1025}, {"password": ""}):
        assert (await world.allow(world.request(client), **changed)).status == 403
    assert world.house.auth.attempts == []


async def test_a_password_changed_between_proof_and_yes_gives_no_code(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await world.register()
    prove = world.house.auth.password

    async def changed_at_once(*args: Any, **kwargs: Any) -> Any:
        principal = await prove(*args, **kwargs)
        world.house.run(lambda plan: accounts.plan_set_password(plan, principal.account, "new"))
        return principal

    monkeypatch.setattr(world.house.auth, "password", changed_at_once)
    answer = await world.allow(world.request(client))
    assert answer.status == 403 and not world.house.engine.scan(*row_range(Kind.CODE))


async def test_an_address_that_changed_hands_meanwhile_gives_no_code(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await world.register()

    async def somebody_elses(*args: Any, **kwargs: Any) -> Principal:
        return Principal(world.house.accounts[BOB], BOB)

    monkeypatch.setattr(world.house.auth, "password", somebody_elses)
    answer = await world.allow(world.request(client))
    assert answer.status == 403 and not world.house.engine.scan(*row_range(Kind.CODE))


# --- what the client is told (RFC 6749 4.1.2.1)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"response_type": ""}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": ""}, "invalid_request"),
        ({"scope": "urn:example:everything"}, "invalid_scope"),
        ({"scope": "offline_access"}, "invalid_scope"),
        ({"scope": 'a"b'}, "invalid_scope"),
    ],
)
async def test_what_is_wrong_is_told_to_the_client(
    world: World, changed: dict[str, str], told: str
) -> None:
    client = await world.register()
    back = led_back(await world.http("GET", world.request(client, **changed)))
    assert back["error"] == told and back["state"] == "a state & more" and back["iss"] == BASE


async def test_a_state_that_cannot_be_told_back_is_not(world: World) -> None:
    client = await world.register()
    for state in ("x" * (STATE_CHARS_MAX + 1), "line\nbreak", "é"):
        back = led_back(await world.http("GET", world.request(client, state=state)))
        assert back["error"] == "invalid_request" and "state" not in back


async def test_a_scope_that_is_not_here_is_left_out_and_one_not_registered_refused(
    world: World,
) -> None:
    client = await world.register(scope=MAIL)
    code = await world.code(client, scope=f"{MAIL} urn:ietf:params:oauth:scope:contacts")
    assert (await world.redeem(client, code)).json["scope"] == MAIL
    back = led_back(await world.http("GET", world.request(client)))
    assert back["error"] == "invalid_scope"


# --- what the user alone is told: never a redirect (RFC 6749 4.1.2.1, RFC 9700 4.11)


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": ""},
        {"client_id": "c-unknown"},
        {"client_id": "c" * 70},
        {"redirect_uri": ""},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": "http://127.0.0.1/done"},
        {"redirect_uri": "http://127.0.0.1:0/done"},
        {"redirect_uri": "http://127.0.0.1:65536/done"},
        {"redirect_uri": "http://127.0.0.1:80/done/"},
        {"redirect_uri": "http://127.0.0.1:80/Done"},
        {"redirect_uri": "http://127.0.0.1:80@evil.example/done"},
        {"redirect_uri": "http://localhost:80/done"},
        {"redirect_uri": "http://[::1]:80/done"},
        {"redirect_uri": "org.example.bird:/done?x"},
        {"redirect_uri": "http://127.0.0.1:80/done\r\nx: y"},
    ],
)
async def test_nobody_is_led_where_the_client_has_not_registered(
    world: World, changed: dict[str, str]
) -> None:
    client = await world.register()
    target = world.request(client, **changed)
    answer = await world.http("GET", target)
    assert answer.status == 400 and "location" not in answer.headers
    answer = await world.post(target, YES | {"csrf": next(iter(world.cookies.values()))})
    assert answer.status == 400 and "location" not in answer.headers
    assert world.house.auth.attempts == []


async def test_a_parameter_that_comes_twice_leads_nowhere(world: World) -> None:
    client = await world.register()
    target = world.request(client)
    for more in ("&state=other", "&redirect_uri=x", "&scope=%zz", "&state=%ff"):
        assert (await world.http("GET", target + more)).status == 400
    twice = "&resource=https%3A%2F%2Fmail.example.org%2Fjmap&resource=imaps%3A%2F%2Fx"
    assert (await world.http("GET", target + twice)).status == 200  # RFC 8707 2


async def test_any_loopback_port_is_the_clients(world: World) -> None:
    client = await world.register(redirect_uris=["http://127.0.0.1/done", "http://[::1]/done"])
    for uri in ("http://127.0.0.1:1/done", "http://[::1]:65535/done"):
        assert "code" in led_back(await world.allow(world.request(client, redirect_uri=uri)), uri)


# --- the page


async def test_a_page_runs_nothing_and_is_framed_and_kept_by_nobody(world: World) -> None:
    client = await world.register()
    page = (await world.open(world.request(client)))[0]
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "form-action 'self' http://127.0.0.1:49152;" in policy
    assert re.search(r"style-src 'sha256-[A-Za-z0-9+/]{43}='", policy)
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert b"<script" not in page.body and b" on" not in re.sub(rb">[^<]*<", b"><", page.body)


async def test_what_a_client_and_a_user_say_is_escaped(world: World) -> None:
    client = await world.register()
    evil = '"><script>alert(1)</script>'
    answer = await world.allow(world.request(client, login_hint=evil), password="x", username=evil)
    for page in ((await world.open(world.request(client, login_hint=evil)))[0], answer):
        assert b"<script" not in page.body and b"Bird &lt;Mail&gt; &amp; Co" in page.body
    device = (await world.http("GET", "/oauth/device?user_code=%22%3E%3Cscript%3E")).body
    assert b"<script" not in device and b"&lt;script&gt;" in device


async def test_a_client_of_the_file_is_not_called_unchecked() -> None:
    own = KnownClient("web", "Our web mail", ("https://web.example/in",), (MAIL,), checked=True)
    world = World(clients={"web": own})
    page = (
        await world.open(world.request("web", redirect_uri="https://web.example/in", scope=""))
    )[0]
    assert b"Our web mail" in page.body and b"Nobody has checked" not in page.body
    assert "form-action 'self' https://web.example;" in page.headers["content-security-policy"]
    target = world.request("web", redirect_uri="https://web.example/in", scope=MAIL)
    assert "code" in led_back(await world.allow(target), "https://web.example/in")


# --- other sites (CSRF)


async def test_a_form_without_this_browsers_cookie_is_not_taken(world: World) -> None:
    client = await world.register()
    _, action, held = await world.open(world.request(client))
    form = held | YES
    for broken in (form | {"csrf": "A" * 43}, form | {"csrf": ""}):
        assert (await world.post(action, broken)).status == 403
    kept, world.cookies = world.cookies, {}
    assert (await world.post(action, form)).status == 403
    assert (await world.post(action, form | {"csrf": ""})).status == 403
    world.cookies = kept
    assert world.house.auth.attempts == []
    assert "code" in led_back(await world.post(action, form))


async def test_a_browser_that_says_the_form_is_another_sites_is_believed(world: World) -> None:
    client = await world.register()
    _, action, held = await world.open(world.request(client))
    body = "&".join(f"{k}={v}" for k, v in (held | {"decision": "deny"}).items()).encode()
    kind = {"content-type": "application/x-www-form-urlencoded"}
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 303)):
        answer = await world.http("POST", action, body, **kind, **{"sec-fetch-site": site})
        assert answer.status == status


async def test_the_cookie_is_this_hosts_alone_and_two_tabs_share_it(world: World) -> None:
    client = await world.register()
    answer = await world.http("GET", world.request(client))
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-trireme-oauth=")
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Lax; Secure")
    assert "set-cookie" not in (await world.http("GET", world.request(client))).headers
    world.cookies = {"__Host-trireme-oauth": "forged; x"}
    assert "set-cookie" in (await world.http("GET", world.request(client))).headers


# --- a device's user (RFC 8628 3.3)


async def test_a_user_lets_a_device_in(world: World) -> None:
    client = await world.register()
    device = await world.device(client)
    assert device["verification_uri"] == f"{BASE}/oauth/device"
    target = device["verification_uri_complete"].removeprefix(BASE)
    page, action, held = await world.open(target)
    assert page.status == 200 and held["user_code"] == device["user_code"]
    page = await world.post(action, held | {"user_code": device["user_code"].lower()})
    action, held = form_of(page)
    assert page.status == 200 and held["user_code"] == device["user_code"]
    assert device["user_code"].encode() in page.body and b"Bird" in page.body
    page = await world.post(action, held | YES)
    assert page.status == 200 and b"signed in" in page.body
    tokens = (await world.poll(client, device["device_code"])).json
    assert world.proves(tokens["access_token"]) is not None
    assert (await world.post(action, held | YES)).status == 404


async def test_a_user_refuses_a_device(world: World) -> None:
    client = await world.register()
    device = await world.device(client)
    _, action, held = await world.open("/oauth/device")
    form = held | {"user_code": device["user_code"], "decision": "deny"}
    assert (await world.post(action, form)).status == 200
    answer = await world.poll(client, device["device_code"])
    assert answer.json["error"] == "access_denied"


async def test_three_wrong_passwords_kill_a_user_code(world: World) -> None:
    client = await world.register()
    device = await world.device(client)
    _, action, held = await world.open("/oauth/device")
    form = held | YES | {"user_code": device["user_code"], "password": "wrong"}
    said = [(await world.post(action, form)).body for _ in range(3)]
    assert [b"begin anew on the device" in each for each in said] == [False, False, True]
    assert (await world.post(action, form | {"password": SECRET})).status == 404
    answer = await world.poll(client, device["device_code"])
    assert answer.json["error"] == "access_denied"


class Few:
    """A gate that lets so many through."""

    def __init__(self, most: int) -> None:
        self.left = most

    def site(self, remote: str) -> str:
        return remote

    def take(self, remote: str) -> bool:
        taken = self.left > 0
        self.left -= taken
        return taken

    def put_back(self, remote: str) -> None:
        self.left += 1


async def test_user_codes_are_guessed_a_few_times_only() -> None:
    world = World(guesses=Few(2))
    device = await world.device(await world.register())
    _, action, held = await world.open("/oauth/device")
    statuses = [
        (await world.post(action, held | {"user_code": code})).status
        for code in ("BBBB-BBBB", "", "CCCC-CCCC", device["user_code"])
    ]
    assert statuses == [404, 404, 429, 429]


async def test_user_codes_guessed_at_once_count_like_those_guessed_in_turn() -> None:
    gate = Few(2)
    world = World(guesses=gate)
    device = await world.device(await world.register())
    _, action, held = await world.open("/oauth/device")
    statuses: list[int] = []

    async def guess() -> None:
        statuses.append((await world.post(action, held | {"user_code": "BBBB-BBBB"})).status)

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(guess)
    assert sorted(statuses) == [404] * 2 + [429] * 18
    gate.left = 1  # who knows the code, or is not answered, has guessed nothing
    form = held | {"user_code": device["user_code"]}
    world.house.unavailable = True
    assert (await world.post(action, form)).status == 503
    world.house.unavailable = False
    assert [(await world.post(action, form)).status for _ in range(3)] == [200] * 3


async def test_an_outage_loses_nobodys_code(world: World) -> None:
    device = await world.device(await world.register())
    _, action, held = await world.open("/oauth/device")
    form = held | YES | {"user_code": device["user_code"]}
    world.house.unavailable = True
    assert (await world.post(action, form)).status == 503
    world.house.unavailable = False
    assert (await world.post(action, form)).status == 200


def test_a_code_is_typed_as_people_type() -> None:
    assert letters_of(" bcdf-ghjk ") == letters_of("BCDF GHJK") == "BCDFGHJK"
    assert render_letters("BCDFGHJK") == "BCDF-GHJK"


async def test_a_redirect_is_where_the_browser_goes_without_the_form(world: World) -> None:
    client = await world.register()
    answer = await world.allow(world.request(client))
    assert answer.status == 303 and answer.headers["location"].startswith(BACK)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer" and answer.body == b""
