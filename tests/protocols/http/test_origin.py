"""URLs lead back to where the client came from, by whatever proxies."""

import pytest

from tests.protocols.jmap.desk import Desk


async def api_url(desk: Desk, **headers: str) -> str | None:
    """The apiUrl that a session tells, None when the request is refused."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await desk.http("GET", "/.well-known/jmap", headers=sent)
    if answer.status == 400:
        return None
    url: str = answer.json["apiUrl"]
    return url.removesuffix("/jmap/api")


@pytest.mark.parametrize(
    ("headers", "url"),
    [
        ({}, "http://mail.example.org:8080"),
        ({"host": "a.example"}, "http://a.example"),
        ({"forwarded": "for=192.0.2.1;host=b.example;proto=https"}, "https://b.example"),
        (
            {"forwarded": 'For="[2001:db8::1]:4711"; Host="b.example:8443"; Proto=HTTPS'},
            "https://b.example:8443",
        ),
        (
            {"forwarded": "proto=https, for=10.0.0.1;host=inner.example"},
            "https://mail.example.org:8080",
        ),
        (
            {"x_forwarded_host": "c.example, inner", "x_forwarded_proto": "https, http"},
            "https://c.example",
        ),
        ({"x_forwarded_proto": "https"}, "https://mail.example.org:8080"),
        ({"forwarded": "host=b.example", "x_forwarded_host": "c.example"}, "http://b.example"),
        ({"forwarded": 'host="b.example/evil"'}, None),
        ({"forwarded": "proto=ftp"}, None),
        ({"x_forwarded_host": "a b"}, None),
        ({"forwarded": "%%;;=,"}, "http://mail.example.org:8080"),
    ],
)
async def test_what_proxies_say(headers: dict[str, str], url: str | None) -> None:
    assert await api_url(Desk(), **headers) == url


async def test_what_is_configured_counts_first() -> None:
    desk = Desk(public_url="https://mail.example.org")
    assert await api_url(desk, forwarded="host=b.example") == "https://mail.example.org"


async def test_all_urls_of_a_session_begin_alike() -> None:
    sent = {"forwarded": "host=b.example;proto=https"}
    told = (await Desk().http("GET", "/.well-known/jmap", headers=sent)).json
    for name in ("apiUrl", "downloadUrl", "uploadUrl", "eventSourceUrl"):
        assert told[name].startswith("https://b.example/"), name
    socket = told["capabilities"]["urn:ietf:params:jmap:websocket"]["url"]
    assert socket.startswith("wss://b.example/")


@pytest.mark.parametrize("host", ["127.0.0.1:8443", "localhost", "[::1]:8443", "LOCALHOST:8443"])
async def test_a_client_of_this_machine_is_led_back_to_the_loopback_name_it_used(host: str) -> None:
    desk = Desk(named_url="https://mail.example.org")
    answer = await desk.http("GET", "/.well-known/jmap", headers={"host": host}, scheme="https")
    assert answer.json["apiUrl"] == f"https://{host}/jmap/api"


@pytest.mark.parametrize(
    ("host", "scheme", "remote"),
    [
        # A proxy on this machine that tells us nothing of its own clients.
        ("127.0.0.1:8080", "http", "127.0.0.1"),
        ("localhost.example:8443", "https", "127.0.0.1"),
        ("192.0.2.7", "https", "127.0.0.1"),
        ("127.0.0.1:8443", "https", "192.0.2.9"),
    ],
)
async def test_everybody_else_is_led_to_the_service_by_its_name(
    host: str, scheme: str, remote: str
) -> None:
    desk = Desk(named_url="https://mail.example.org")
    sent = {"host": host}
    answer = await desk.http("GET", "/.well-known/jmap", headers=sent, scheme=scheme, remote=remote)
    assert answer.json["apiUrl"] == "https://mail.example.org/jmap/api"
