"""The JSON resources over HTTP: who may ask, what is refused whole, and how that is said."""

import pytest
import trio
from trio.testing import MockClock

from protocols.http.auth import CREDENTIALS_OCTETS_MAX
from protocols.jmap.capabilities import CORE, MAIL, VAPID, Limits
from tests.protocols.jmap.desk import ALICE, SECRET, Answer, Desk

EMPTY = {"using": [CORE], "methodCalls": []}


def problem(answer: Answer) -> tuple[int, str]:
    """Status and type of a problem document."""
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == answer.status and answer.json["detail"]
    return answer.status, answer.json["type"].removeprefix("urn:ietf:params:jmap:error:")


async def test_the_session_names_what_there_is() -> None:
    desk = Desk()
    session = (await desk.http("GET", "/.well-known/jmap")).json
    assert set(session["capabilities"]) >= {CORE, MAIL}
    assert session["primaryAccounts"][MAIL] == desk.account
    assert session["username"] == session["accounts"][desk.account]["name"] == ALICE
    assert session["apiUrl"] == "http://mail.example.org:8080/jmap/api"
    for name in ("downloadUrl", "uploadUrl", "eventSourceUrl"):
        assert session[name].startswith("http://mail.example.org:8080/jmap/")
    assert all(mark in session["downloadUrl"] for mark in ("{accountId}", "{blobId}", "{name}"))


async def test_the_key_that_signs_pushes_is_made_once_and_changes_the_sessions_state() -> None:
    desk = Desk()
    before = (await desk.post(EMPTY)).json["sessionState"]
    session, again = [(await desk.http("GET", "/.well-known/jmap")).json for _ in range(2)]
    assert len(session["capabilities"][VAPID]["applicationServerKey"]) == 87
    assert session == again and desk.house.writer.writes == 1
    assert session["state"] == (await desk.post(EMPTY)).json["sessionState"] != before
    fresh = Desk()
    fresh.house.stall()
    with trio.move_on_after(0.05) as scope:
        await fresh.http("GET", "/.well-known/jmap")
    assert scope.cancelled_caught


async def test_the_limits_told_are_the_limits_kept() -> None:
    desk = Desk(limits=Limits(calls_max=3, get_objects_max=2, set_objects_max=1))
    core = (await desk.http("GET", "/.well-known/jmap")).json["capabilities"][CORE]
    echo = ["Core/echo", {}, "c"]
    for count, status in ((core["maxCallsInRequest"], 200), (core["maxCallsInRequest"] + 1, 400)):
        answer = await desk.post({**EMPTY, "methodCalls": [echo] * count})
        assert answer.status == status
    assert answer.json["limit"] == "maxCallsInRequest"
    await desk.call("Mailbox/get", ids=["m1"] * core["maxObjectsInGet"])
    assert await desk.refusal("Mailbox/get", ids=["m1", "m2", "m3"]) == "requestTooLarge"
    assert await desk.refusal("Mailbox/get", ids=None) == "requestTooLarge"
    await desk.call("Mailbox/set", destroy=["m9"] * core["maxObjectsInSet"])
    assert await desk.refusal("Mailbox/set", destroy=["m8", "m9"]) == "requestTooLarge"


async def test_urls_follow_the_host_or_what_is_configured() -> None:
    tls = await Desk().http("GET", "/.well-known/jmap", scheme="https", remote="203.0.113.1")
    assert tls.json["apiUrl"] == "https://mail.example.org:8080/jmap/api"
    fixed = await Desk(public_url="https://jmap.example.org").http("GET", "/.well-known/jmap")
    assert fixed.json["apiUrl"] == "https://jmap.example.org/jmap/api"
    for host in ("evil/path", "a b", "x@y", "", "a" * 300, "[::1"):
        answer = await Desk().http("GET", "/.well-known/jmap", headers={"host": host})
        assert problem(answer)[0] == 400, host
    six = await Desk().http("GET", "/.well-known/jmap", headers={"host": "[::1]:80"})
    assert six.json["apiUrl"] == "http://[::1]:80/jmap/api"


async def test_who_is_not_signed_in_is_asked_to() -> None:
    desk = Desk()
    for auth in (None, (ALICE, "wrong"), ("nobody@example.org", SECRET), ("", SECRET)):
        answer = await desk.http("GET", "/.well-known/jmap", auth=auth)
        assert problem(answer)[0] == 401
        assert answer.headers["www-authenticate"].startswith("Basic realm=")
    for header in (
        "Basic",
        "Basic !!!",
        "Basic YWxpY2U=",
        "Basic " + "YQ==" * CREDENTIALS_OCTETS_MAX,
        "Basic /////w==",
        "Basic YTpiAA==",
        "Bearer x",
    ):
        headers = {"authorization": header}
        answer = await desk.http("GET", "/.well-known/jmap", headers=headers, auth=None)
        assert answer.status == 401, header


async def test_credentials_are_not_taken_in_the_clear_off_loopback() -> None:
    desk = Desk()
    for remote, scheme, status in (
        ("127.0.0.1", "http", 200),
        ("::1", "http", 200),
        ("203.0.113.1", "https", 200),
        ("203.0.113.1", "http", 403),
        ("2001:db8::1", "http", 403),
        ("", "http", 403),
        ("127.0.0.1.evil.example", "http", 403),
    ):
        answer = await desk.http("GET", "/.well-known/jmap", remote=remote, scheme=scheme)
        assert answer.status == status, (remote, scheme)
    assert "www-authenticate" not in answer.headers
    assert len(desk.house.auth.attempts) == 3


async def test_who_guesses_too_fast_is_told_to_wait() -> None:
    desk = Desk()
    desk.house.auth.busy = True
    answer = await desk.http("GET", "/.well-known/jmap")
    assert problem(answer)[0] == 429 and int(answer.headers["retry-after"]) > 0


async def test_without_a_leader() -> None:
    desk = Desk()
    desk.house.unavailable = True
    answer = await desk.http("GET", "/.well-known/jmap")
    assert problem(answer)[0] == 503 and "retry-after" in answer.headers


async def test_requests_refused_whole() -> None:
    desk = Desk(limits=Limits(request_bytes_max=300))
    for body, told in (
        (b"{", (400, "notJSON")),
        (b"[]", (400, "notRequest")),
        (b'{"using":["urn:x"],"methodCalls":[]}', (400, "unknownCapability")),
        (b" " * 301, (400, "limit")),
    ):
        assert problem(await desk.post(body)) == told
    padded = b'{"using":[],"methodCalls":[]}'.ljust(300)
    assert (await desk.post(padded)).status == 200
    announced = await desk.post(b"", headers={"content-length": "301"})
    assert announced.json["limit"] == "maxSizeRequest"


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("text/plain", 400),
        ("application/jsonp", 400),
        ("", 400),
    ],
)
async def test_the_content_type_is_json(content_type: str, status: int) -> None:
    answer = await Desk().post(EMPTY, headers={"content-type": content_type})
    assert answer.status == status
    if status != 200:
        assert problem(answer) == (400, "notJSON")


async def test_so_many_requests_at_once_and_no_more(autojump_clock: MockClock) -> None:
    desk = Desk(limits=Limits(requests_max=2))
    desk.house.stall()
    write = {
        "using": [CORE, MAIL],
        "methodCalls": [["Mailbox/set", {"accountId": desk.account, "create": {}}, "c"]],
    }
    answers: list[int] = []

    async def ask() -> None:
        answers.append((await desk.post(write)).status)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        answer = await desk.post(EMPTY)
        assert problem(answer) == (429, "limit")
        assert answer.json["limit"] == "maxConcurrentRequests"
        nursery.start_soon(ask)  # waits, and has its turn
        await trio.testing.wait_all_tasks_blocked()
        desk.house.release()
    assert answers == [200, 200, 200]
    assert (await desk.post(EMPTY)).status == 200


async def test_bodies_share_a_room() -> None:
    desk = Desk(bodies_octets_max=400)
    desk.house.stall()
    write = {
        "using": [CORE, MAIL],
        "methodCalls": [["Mailbox/set", {"accountId": desk.account, "create": {}}, "c" * 150]],
    }
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.post, write)
        await trio.testing.wait_all_tasks_blocked()
        refused = await desk.post(write)
        assert problem(refused)[0] == 429 and "retry-after" in refused.headers
        assert (await desk.post(EMPTY)).status == 200
        desk.house.release()
    assert (await desk.post(write)).status == 200


async def test_answers_are_not_kept_by_caches() -> None:
    desk = Desk()
    for answer in (await desk.post(EMPTY), await desk.http("GET", "/.well-known/jmap")):
        assert "no-store" in answer.headers["cache-control"]
        assert answer.headers["content-type"] == "application/json"
