"""Tokens at every door of HTTP (RFC 6750), what is asked of who has none, and when streams end."""

import re

import pytest
import trio

from protocols.bearer import MAIL_SCOPE
from protocols.http.auth import CREDENTIALS_OCTETS_MAX
from protocols.http.websocket import POLICY_VIOLATION
from storage import grants
from storage.grants import Issued
from tests.protocols.http.doors import open_door
from tests.protocols.http.listening import listen
from tests.protocols.http.test_websocket import ECHO, connect, refusal
from tests.protocols.jmap.desk import Answer, Desk
from tests.tokens import HOUR_MS, let_in

METADATA = "http://mail.example.org:8080/.well-known/oauth-protected-resource"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def socket_headers(issued: Issued) -> dict[bytes, bytes]:
    return {b"authorization": f"Bearer {issued.access_token}".encode()}


async def ask(desk: Desk, header: str, target: str = "/.well-known/jmap", **more: str) -> Answer:
    return await desk.http("GET", target, headers={"authorization": header}, auth=None, **more)


def error_of(answer: Answer) -> str:
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith("Bearer realm="), challenge
    found = re.search(r'error="([a-z_]+)"', challenge)
    return found[1] if found else ""


async def test_a_token_opens_what_a_password_opens() -> None:
    desk = Desk()
    headers = bearer(let_in(desk.house, desk.number).access_token)
    session = await desk.http("GET", "/.well-known/jmap", headers=headers, auth=None)
    assert session.json["username"] == "alice@example.org"
    assert (await desk.post(ECHO, headers=headers, auth=None)).status == 200
    target = f"/jmap/upload/{desk.account}/"
    uploaded = await desk.http("POST", target, b"hello", headers=headers, auth=None)
    target = f"/jmap/download/{desk.account}/{uploaded.json['blobId']}/x"
    assert (await desk.http("GET", target, headers=headers, auth=None)).body == b"hello"


async def test_the_scheme_is_of_any_case_and_the_query_is_not_looked_at() -> None:
    desk = Desk()
    token = let_in(desk.house, desk.number).access_token
    assert (await ask(desk, f"bEARER  {token} ")).status == 200
    for target in (f"/.well-known/jmap?access_token={token}",):
        assert (await desk.http("GET", target, auth=None)).status == 401


async def test_what_is_wrong_with_a_token_is_said_as_the_rfc_has_it() -> None:
    desk = Desk()
    issued = let_in(desk.house, desk.number)
    narrow = let_in(desk.house, desk.number, scopes=("contacts",)).access_token
    for header, status, error in (
        ("Bearer wrong", 401, "invalid_token"),
        (f"Bearer {issued.refresh_token}", 401, "invalid_token"),
        (f"Bearer {narrow}", 403, "insufficient_scope"),
        ("Bearer", 400, "invalid_request"),
        ("Bearer a b", 400, "invalid_request"),
        ("Bearer \xe4", 400, "invalid_request"),
        ("Bearer a,b", 400, "invalid_request"),
    ):
        answer = await ask(desk, header)
        assert (answer.status, error_of(answer)) == (status, error), header
        assert f'scope="{MAIL_SCOPE}"' in answer.headers["www-authenticate"]
        assert "wrong" not in answer.headers["www-authenticate"]
    desk.house.clock.pass_s(HOUR_MS / 1000)
    assert error_of(await ask(desk, f"Bearer {issued.access_token}")) == "invalid_token"
    long = "Bearer " + "a" * CREDENTIALS_OCTETS_MAX
    assert (await ask(desk, long)).status == 401


async def test_who_has_nothing_is_told_of_both_ways_and_of_no_error() -> None:
    desk = Desk()
    async with open_door(desk.app) as door:
        told = await door.say(
            b"GET /jmap/download/a1/b2/x%20y?type=a HTTP/1.1\r\nHost: mail.example.org:8080\r\n"
            b"Connection: close\r\n\r\n"
        )
    challenges = re.findall(rb"(?i)^www-authenticate: (.*)\r$", told, re.MULTILINE)
    url = f"{METADATA}/jmap/download/a1/b2/x%20y".encode()
    assert challenges == [
        b'Bearer realm="mail", scope="%b", resource_metadata="%b"' % (MAIL_SCOPE.encode(), url),
        b'Basic realm="mail", charset="UTF-8"',
    ]


@pytest.mark.parametrize(
    "path", ["/.well-known/jmap", "/jmap/api", "/jmap/eventsource/", "/jmap/upload/a1/"]
)
async def test_the_metadata_of_a_challenge_is_of_the_very_url(path: str) -> None:
    desk = Desk()
    method = "GET" if path in ("/.well-known/jmap", "/jmap/eventsource/") else "POST"
    answer = await desk.http(method, path, headers=bearer("wrong"), auth=None)
    found = re.search(r'resource_metadata="([^"]*)"', answer.headers["www-authenticate"])
    assert found is not None and found[1] == METADATA + path
    document = await desk.http("GET", found[1].partition(":8080")[2], auth=None)
    assert document.json["resource"] == "http://mail.example.org:8080" + path
    assert MAIL_SCOPE in document.json["scopes_supported"]


async def test_a_strange_host_or_path_is_not_said_back() -> None:
    desk = Desk()
    headers = bearer("wrong") | {"host": 'x" evil="'}
    for target in ("/.well-known/jmap", '/jmap/download/a"b/x'):
        answer = await desk.http("GET", target, headers=headers, auth=None)
        assert error_of(answer) == "invalid_token"
        assert "resource_metadata" not in answer.headers["www-authenticate"]
        assert "evil" not in answer.headers["www-authenticate"]
        headers = bearer("wrong")


async def test_in_clear_text_from_afar_no_token_is_looked_at() -> None:
    desk = Desk()
    header = f"Bearer {let_in(desk.house, desk.number).access_token}"
    answer = await ask(desk, header, remote="203.0.113.1")
    assert answer.status == 403 and "www-authenticate" not in answer.headers
    assert desk.house.auth.attempts == []
    assert (await ask(desk, header, remote="203.0.113.1", scheme="https")).status == 200


async def test_while_nothing_can_be_looked_up_the_token_is_not_blamed() -> None:
    desk = Desk()
    header = f"Bearer {let_in(desk.house, desk.number).access_token}"
    desk.house.unavailable = True
    assert (await ask(desk, header)).status == 503
    desk.house.unavailable, desk.house.auth.busy = False, True
    assert (await ask(desk, header)).status == 429


# --- what stays open


async def test_a_stream_outlives_its_token_and_ends_with_the_grant() -> None:
    desk = Desk()
    issued = let_in(desk.house, desk.number)
    async with listen(desk, headers=socket_headers(issued)) as heard:
        desk.house.clock.pass_s(HOUR_MS / 1000)
        desk.deliver()
        await heard.wait_events(2)
        desk.house.run(lambda plan: grants.plan_revoke(plan, desk.number, issued.grant))
        await heard.wait_end()


async def test_a_socket_closes_when_its_grant_is_taken_back() -> None:
    desk = Desk()
    first, second = (let_in(desk.house, desk.number) for _ in range(2))
    async with (
        connect(desk, headers=socket_headers(first)) as asking,
        connect(desk, headers=socket_headers(first)) as listening,
        connect(desk, headers=socket_headers(second)) as other,
    ):
        listening.say({"@type": "WebSocketPushEnable"})
        await trio.testing.wait_all_tasks_blocked()
        desk.house.run(lambda plan: grants.plan_revoke(plan, desk.number, first.grant))
        assert await listening.wait_closed() == POLICY_VIOLATION
        asking.say({"@type": "Request", **ECHO})
        assert await asking.wait_closed() == POLICY_VIOLATION
        other.say({"@type": "Request", **ECHO})
        assert (await other.hear())["@type"] == "Response"


async def test_a_socket_is_not_opened_by_a_wrong_token() -> None:
    assert await refusal(Desk(), headers={b"authorization": b"Bearer wrong"}) == 401
