"""Which pages may use the server from a browser."""

import pytest

from protocols.http.cors import Cors
from tests.protocols.jmap.desk import Answer, Desk

PAGE = "https://mail.example"


async def preflight(desk: Desk, origin: str = PAGE, target: str = "/jmap/api") -> Answer:
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    return await desk.http("OPTIONS", target, headers=headers, auth=None)


def told(answer: Answer) -> dict[str, str]:
    return {k: v for k, v in answer.headers.items() if k.startswith("access-control-")}


async def test_nobody_is_allowed_unless_it_is_said() -> None:
    answer = await preflight(Desk())
    assert answer.status == 405 and told(answer) == {}
    plain = await Desk().http("GET", "/.well-known/jmap", headers={"origin": PAGE})
    assert plain.status == 200 and told(plain) == {} and "vary" not in plain.headers


@pytest.mark.parametrize(
    "target",
    [
        "/.well-known/jmap",
        "/jmap/api",
        "/jmap/upload/a1/",
        "/jmap/download/a1/b/c",
        "/jmap/eventsource/",
    ],
)
async def test_an_allowed_page_may_use_every_resource(target: str) -> None:
    answer = await preflight(Desk(allow_origins=(PAGE,)), target=target)
    assert answer.status == 204 and "content-length" not in answer.headers
    assert answer.headers["vary"] == "Origin"
    rights = told(answer)
    assert rights["access-control-allow-origin"] == PAGE
    assert rights["access-control-allow-credentials"] == "true"
    assert "POST" in rights["access-control-allow-methods"]
    for name in ("Authorization", "Content-Type", "Last-Event-ID"):
        assert name in rights["access-control-allow-headers"]


async def test_answers_and_refusals_carry_it_too() -> None:
    desk = Desk(allow_origins=(PAGE,))
    for auth, status in ((("nobody@example.org", "x"), 401), (None, 401)):
        answer = await desk.http("GET", "/.well-known/jmap", headers={"origin": PAGE}, auth=auth)
        assert answer.status == status
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "WWW-Authenticate" in answer.headers["access-control-expose-headers"]


async def test_other_pages_are_told_nothing() -> None:
    desk = Desk(allow_origins=(PAGE,))
    for origin in ("https://evil.example", "null", PAGE + ".evil.example", "http://mail.example"):
        answer = await preflight(desk, origin)
        assert answer.status == 204 and told(answer) == {}
        assert answer.headers["vary"] == "Origin"


async def test_any_page_may_come_without_what_the_browser_remembers() -> None:
    rights = told(await preflight(Desk(allow_origins=("*",))))
    assert rights["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in rights


async def test_options_that_are_no_preflight_are_an_unknown_method() -> None:
    answer = await Desk(allow_origins=("*",)).http("OPTIONS", "/jmap/api")
    assert answer.status == 405


def test_origins_are_compared_without_case() -> None:
    assert Cors(["https://Mail.Example"]).allows("https://mail.example")
