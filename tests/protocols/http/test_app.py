"""The path table, and what becomes of everything a handler may raise."""

import logging
from typing import Any

import pytest

from protocols.http.requests import Message
from tests.protocols.jmap.desk import Desk


async def test_health() -> None:
    desk = Desk()
    for path, body in (("/healthz", b"ok\n"), ("/readyz", b"ready\n")):
        answer = await desk.http("GET", path, auth=None)
        assert (answer.status, answer.body) == (200, body)
    desk.ready = False
    assert (await desk.http("GET", "/readyz", auth=None)).status == 503
    assert (await desk.http("GET", "/healthz", auth=None)).status == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/jmap", "/jmap/api/", "/metrics", "/healthz/", "/../"],
)
async def test_what_is_not_built_is_not_there(path: str) -> None:
    answer = await Desk().http("GET", path)
    assert answer.status == 404 and answer.json["status"] == 404


async def test_methods_a_resource_has_not() -> None:
    for method, path, allow in (
        ("GET", "/jmap/api", "POST"),
        ("DELETE", "/.well-known/jmap", "GET, HEAD"),
        ("PUT", "/jmap/upload/a1/", "POST"),
        ("POST", "/jmap/download/a1/b/x", "GET, HEAD"),
    ):
        answer = await Desk().http(method, path)
        assert (answer.status, answer.headers["allow"]) == (405, allow)
    assert (await Desk().http("HEAD", "/healthz")).status == 200


async def test_a_bug_is_told_without_its_innards(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk()

    async def broken(*_: Any, **__: Any) -> Any:
        raise KeyError("secret innards")

    monkeypatch.setattr(desk.house.auth, "password", broken)
    with caplog.at_level(logging.ERROR, "trireme.http"):
        answer = await desk.http("GET", "/.well-known/jmap")
    assert answer.status == 500 and b"innards" not in answer.body
    assert "secret innards" in caplog.text


async def test_a_client_that_left_is_answered_nothing() -> None:
    told: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        told.append(message)

    desk = Desk()
    headers = [(b"authorization", b"Basic YWxpY2VAZXhhbXBsZS5vcmc6Y29ycmVjdCBob3JzZQ==")]
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": "/jmap/api",
        "raw_path": b"/jmap/api",
        "query_string": b"",
        "client": ("127.0.0.1", 1),
        "headers": [*headers, (b"content-type", b"application/json")],
        "server": None,
    }
    await desk.app(scope, receive, send)
    assert told == []
