"""SASL exchanges: what each mechanism accepts, and every way to say it wrong."""

import base64

import pytest

from protocols import sasl
from protocols.errors import LimitExceeded
from protocols.sasl import AuthorizationRefused, Challenge, Claim, SaslCancelled, SaslError, Shown


def plain(response: bytes) -> sasl.Step:
    return sasl.Plain().step(response)


def test_plain_in_one_step() -> None:
    assert plain(b"\0alice@example.org\0secret") == Claim("alice@example.org", "secret")


def test_plain_asks_when_there_is_no_initial_response() -> None:
    exchange = sasl.Plain()
    assert exchange.step(None) == Challenge(b"")
    assert exchange.step(b"\0a@b\0c") == Claim("a@b", "c")


def test_plain_takes_utf8() -> None:
    step = plain("\0zoë@example.org\0pässwörd".encode())
    assert step == Claim("zoë@example.org", "pässwörd")


def test_plain_may_name_the_same_identity_twice_and_no_other() -> None:
    assert plain(b"Alice@example.org\0alice@example.org\0p") == Claim("alice@example.org", "p")
    with pytest.raises(AuthorizationRefused):
        plain(b"bob@example.org\0alice@example.org\0p")


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"alice",
        b"\0alice",
        b"\0\0secret",
        b"\0alice\0",
        b"\0alice\0se\0cret",
        b"\0alice\0\xff\xfe",
    ],
)
def test_plain_refuses_what_rfc_4616_does_not_allow(response: bytes) -> None:
    with pytest.raises(SaslError):
        plain(response)


def test_a_field_has_a_limit() -> None:
    longest = b"p" * sasl.FIELD_BYTES_MAX
    assert plain(b"\0a\0" + longest) == Claim("a", longest.decode())
    with pytest.raises(LimitExceeded):
        plain(b"\0a\0" + longest + b"p")


def test_external_says_whom_to_act_for_or_nothing() -> None:
    exchange = sasl.External()
    assert exchange.step(None) == Challenge(b"")
    assert exchange.step(b"") == Shown("")
    assert sasl.External().step("zoë@example.org".encode()) == Shown("zoë@example.org")
    for response in (b"a\0b", b"\xff", None):
        exchange = sasl.External()
        exchange.step(None)
        with pytest.raises(SaslError):
            exchange.step(response)
    with pytest.raises(LimitExceeded):
        sasl.External().step(b"a" * 1025)


def test_login_prompts_twice() -> None:
    exchange = sasl.Login()
    assert exchange.step(None) == Challenge(b"Username:")
    assert exchange.step(b"tim") == Challenge(b"Password:")
    assert exchange.step(b"tanstaaf") == Claim("tim", "tanstaaf")


def test_login_takes_the_name_as_initial_response() -> None:
    exchange = sasl.Login()
    assert exchange.step(b"tim") == Challenge(b"Password:")
    assert exchange.step(b"tanstaaf") == Claim("tim", "tanstaaf")


@pytest.mark.parametrize("mechanism", sorted(sasl.MECHANISMS))
def test_an_exchange_does_not_prompt_for_ever(mechanism: str) -> None:
    exchange = sasl.exchange(mechanism)
    assert exchange is not None
    exchange.step(None)
    with pytest.raises(SaslError):
        exchange.step(None)


def test_mechanisms_are_found_in_any_case_and_no_others() -> None:
    assert isinstance(sasl.exchange("plain"), sasl.Plain)
    assert sasl.exchange("EXTERNAL") is None
    assert sasl.exchange("pla\u0131n") is None  # a dotless i upper-cases to I


def test_response_lines_are_strict_base64() -> None:
    assert sasl.decode_response(b"AGEAYg==") == b"\0a\0b"
    assert sasl.decode_response(b"") == b""
    for wrong in (b"AGEAYg", b"AGE AYg==", b"AGEAYg==x", b"====", b"\xff\xff"):
        with pytest.raises(SaslError):
            sasl.decode_response(wrong)


def test_a_star_cancels() -> None:
    with pytest.raises(SaslCancelled):
        sasl.decode_response(b"*")


def test_an_empty_initial_response_is_an_equals_sign() -> None:
    assert sasl.decode_initial_response(b"=") == b""
    with pytest.raises(SaslError):
        sasl.decode_response(b"=")


def test_a_response_has_a_limit() -> None:
    longest = base64.b64encode(b"x" * sasl.RESPONSE_BYTES_MAX)
    assert len(sasl.decode_response(longest)) == sasl.RESPONSE_BYTES_MAX
    for size in (sasl.RESPONSE_BYTES_MAX + 1, 10 * sasl.RESPONSE_LINE_BYTES_MAX):
        with pytest.raises(LimitExceeded):
            sasl.decode_response(base64.b64encode(b"x" * size))


def test_challenges_are_one_base64_line() -> None:
    assert sasl.encode_challenge(Challenge(b"Username:")) == b"VXNlcm5hbWU6"
    assert sasl.encode_challenge(Challenge(b"")) == b""
