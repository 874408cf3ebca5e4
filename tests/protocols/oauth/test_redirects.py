"""Redirect URIs: a program's own machine for strangers, and nothing that only looks like it."""

import pytest

from protocols.oauth.redirects import (
    URI_CHARS_MAX,
    form_source,
    is_registered,
    led_back,
    may_configure,
    may_register,
)


@pytest.mark.parametrize(
    "uri",
    ["http://127.0.0.1/", "http://[::1]/a?b=c", "com.example:/", "com.example.app://x/y", "a.b:c"],
)
def test_a_program_on_ones_own_machine_registers(uri: str) -> None:
    """draft-ietf-mailmaint-oauth-public-05 3.3."""
    assert may_register(uri) and may_configure(uri)


def test_the_longest_uri() -> None:
    most = "a.b:/" + "x" * (URI_CHARS_MAX - 5)
    assert may_register(most) and is_registered(most, [most])
    assert not may_register(most + "x")
    loopback = "http://127.0.0.1/" + "x" * (URI_CHARS_MAX - 17)
    assert may_register(loopback)
    assert is_registered(loopback.replace("1/x", "1:65535/x"), [loopback])
    over = "a.b:/" + "x" * (URI_CHARS_MAX + 2)
    assert not is_registered(over, [over])


def test_a_loopbacks_port_is_free_and_nothing_else() -> None:
    """RFC 8252 7.3, RFC 9700 4.1.3."""
    known = ["http://127.0.0.1/a?b", "http://localhost/", "https://w.example/in"]
    for uri in ("http://127.0.0.1:1/a?b", "http://localhost:65535/", "https://w.example/in"):
        assert is_registered(uri, known), uri
    for uri in (
        "http://127.0.0.1/a?b",
        "http://127.0.0.1:/a?b",
        "http://127.0.0.1:x/a?b",
        "http://127.0.0.1:١/a?b",
        "http://127.0.0.1:1/a?c",
        "http://127.0.0.1:1/a?b#",
        "http://127.0.0.1:1/a?b\n",
        "http://127.0.0.2:1/a?b",
        "http://0:1/a?b",
        "HTTP://127.0.0.1:1/a?b",
        "https://127.0.0.1:1/a?b",
        "https://w.example:443/in",
        "https://w.example/in/",
        "https://w.example/in?x",
        "https://W.example/in",
        "",
    ):
        assert not is_registered(uri, known), uri


def test_an_answer_joins_the_query_that_is_there() -> None:
    assert led_back("a.b:/x", {"code": "c d&e"}) == "a.b:/x?code=c%20d%26e"
    assert led_back("a.b:/x?y=z", {"code": "c"}) == "a.b:/x?y=z&code=c"


@pytest.mark.parametrize(
    ("uri", "source"),
    [
        ("https://w.example:8443/in?x", "https://w.example:8443"),
        ("http://127.0.0.1:49152/x", "http://127.0.0.1:49152"),
        ("http://[::1]:49152/x", "http:"),
        ("com.example.app:/x", "com.example.app:"),
    ],
)
def test_what_a_page_allows_its_form(uri: str, source: str) -> None:
    assert form_source(uri) == source
