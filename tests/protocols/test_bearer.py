"""OAUTHBEARER and XOAUTH2 by themselves: what is a claim, what is nonsense, what is told."""

import json

import pytest

from protocols.bearer import (
    MAIL_SCOPE,
    TOKEN_MECHANISMS,
    OauthBearer,
    Refusal,
    TokenClaim,
    XOauth2,
    token_of,
)
from protocols.errors import LimitExceeded
from protocols.sasl import RESPONSE_BYTES_MAX, Challenge, SaslError

# RFC 7628 4.1, its token shortened.
RFC_EXAMPLE = (
    b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01"
    b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
)


def claim_of(response: bytes) -> TokenClaim:
    claim = OauthBearer().step(response)
    assert isinstance(claim, TokenClaim)
    return claim


def test_the_example_of_the_rfc_is_a_claim() -> None:
    claim = claim_of(RFC_EXAMPLE)
    assert claim == TokenClaim("user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==")
    assert "vF9dft" not in repr(claim)


@pytest.mark.parametrize("made", TOKEN_MECHANISMS.values())
def test_without_an_initial_response_one_is_asked_for_once(made: type[OauthBearer]) -> None:
    exchange = made()
    assert exchange.step(None) == Challenge(b"")
    with pytest.raises(SaslError):
        exchange.step(None)


@pytest.mark.parametrize(
    ("response", "claim"),
    [
        (b"n,,\x01auth=Bearer abc\x01\x01", TokenClaim("", "abc")),
        (b"y,,\x01auth=bEARER   a.b_c~d+e/f-g==\x01\x01", TokenClaim("", "a.b_c~d+e/f-g==")),
        (b"n,a=a=2Cb=3Dc,\x01auth=Bearer abc\x01\x01", TokenClaim("a,b=c", "abc")),
        ("n,a=jürgen@example.org,\x01auth=Bearer abc\x01\x01".encode(),
         TokenClaim("jürgen@example.org", "abc")),
        # 3.1: unknown pairs are ignored
        (b"n,,\x01mthd=POST\x01auth=Bearer abc\x01xyz=\tso\r\n\x01\x01", TokenClaim("", "abc")),
        # 4.3: who has no token asks which it should have
        (b"n,a=u@example.com,\x01host=h\x01port=143\x01auth=\x01\x01",
         TokenClaim("u@example.com", "")),
        (b"n,,\x01\x01", TokenClaim("", "")),
        (b"", TokenClaim("", "")),
        # what is no bearer token is none
        (b"n,,\x01auth=Basic YWJj\x01\x01", TokenClaim("", "")),
        (b"n,,\x01auth=Bearer a b\x01\x01", TokenClaim("", "")),
        (b"n,,\x01auth=Bearer ==\x01\x01", TokenClaim("", "")),
        (b"n,,\x01auth=Bearer abc=x\x01\x01", TokenClaim("", "")),
    ],
)  # fmt: skip
def test_oauthbearer_reads(response: bytes, claim: TokenClaim) -> None:
    assert claim_of(response) == claim


@pytest.mark.parametrize(
    "response",
    [
        b"\x01",  # 3.1: valid after an error only
        b"hello",
        b"n,,",
        b"n,\x01auth=Bearer abc\x01\x01",
        b"p=tls-exporter,,\x01auth=Bearer abc\x01\x01",
        b"F,n,,\x01auth=Bearer abc\x01\x01",
        b"n,user=u@example.com,\x01auth=Bearer abc\x01\x01",
        b"n,a=,\x01auth=Bearer abc\x01\x01",
        b"n,a=a=b,\x01auth=Bearer abc\x01\x01",
        b"n,a=a=2c,\x01auth=Bearer abc\x01\x01",
        b"n,a=\xff,\x01auth=Bearer abc\x01\x01",
        b"n,a=a\x00,\x01auth=Bearer abc\x01\x01",
        b"n,,\x01auth=Bearer abc\x01",
        b"n,,\x01auth=Bearer abc\x01\x01\x01",
        b"n,,\x01auth=Bearer abc\x01\x01 ",
        b"n,,\x01auth=Bearer abc\x01auth=Bearer def\x01\x01",
        b"n,,\x01auth=Bearer \xc3\xa4\x01\x01",
        b"n,,\x01=x\x01auth=Bearer abc\x01\x01",
        b"n,,\x01au1h=x\x01auth=Bearer abc\x01\x01",
        b"n,,\x01port=0143\x01auth=Bearer abc\x01\x01",
        b"n,,\x01port=65536\x01auth=Bearer abc\x01\x01",
        b"n,,\x01port=-1\x01auth=Bearer abc\x01\x01",
        b"n,,\x01port=\x01auth=Bearer abc\x01\x01",
    ],
)
def test_what_is_no_oauthbearer_is_refused(response: bytes) -> None:
    with pytest.raises(SaslError):
        OauthBearer().step(response)


@pytest.mark.parametrize(
    ("response", "claim"),
    [
        (b"user=u@example.com\x01auth=Bearer ya29.vF9\x01\x01",
         TokenClaim("u@example.com", "ya29.vF9")),
        (b"auth=Bearer abc\x01\x01", TokenClaim("", "abc")),
        (b"user=\x01auth=Bearer abc\x01\x01", TokenClaim("", "abc")),
        (b"user=u@example.com\x01auth=\x01\x01", TokenClaim("u@example.com", "")),
    ],
)  # fmt: skip
def test_xoauth2_reads(response: bytes, claim: TokenClaim) -> None:
    assert XOauth2().step(response) == claim


@pytest.mark.parametrize(
    "response",
    [
        b"", b"\x01", b"user=u@example.com\x01auth=Bearer abc\x01",
        b"user=u@example.com\x01auth=Bearer abc\x01\x01\x01",
        b"auth=Bearer abc\x01user=u@example.com\x01\x01",
        b"user=a\x00b\x01auth=Bearer abc\x01\x01", b"user=\xff\x01auth=Bearer abc\x01\x01",
        b"n,a=u@example.com,\x01auth=Bearer abc\x01\x01",
    ],
)  # fmt: skip
def test_what_is_no_xoauth2_is_refused(response: bytes) -> None:
    with pytest.raises(SaslError):
        XOauth2().step(response)


@pytest.mark.parametrize("made", [OauthBearer, XOauth2])
def test_a_response_and_a_name_have_their_limits(made: type[OauthBearer]) -> None:
    with pytest.raises(LimitExceeded):
        made().step(b"x" * (RESPONSE_BYTES_MAX + 1))
    name = b"u" * 1025
    long = {
        OauthBearer: b"n,a=%b,\x01auth=Bearer abc\x01\x01",
        XOauth2: b"user=%b\x01auth=Bearer abc\x01\x01",
    }
    with pytest.raises(LimitExceeded):
        made().step(long[made] % name)


def test_a_refusal_says_why_and_where_tokens_are_got() -> None:
    url = "https://mail.example.org/.well-known/oauth-authorization-server"
    told = json.loads(OauthBearer().refuse(Refusal.TOKEN, metadata_url=url).data)
    assert told == {"status": "invalid_token", "scope": MAIL_SCOPE, "openid-configuration": url}
    told = json.loads(OauthBearer().refuse(Refusal.SCOPE, metadata_url=None).data)
    assert told == {"status": "insufficient_scope", "scope": MAIL_SCOPE}


@pytest.mark.parametrize(
    ("refusal", "status"),
    [(Refusal.TOKEN, "401"), (Refusal.SCOPE, "403"), (Refusal.REQUEST, "400")],
)
def test_xoauth2_tells_it_as_http_does(refusal: Refusal, status: str) -> None:
    told = json.loads(XOauth2().refuse(refusal, metadata_url=None).data)
    assert told == {"status": status, "schemes": "Bearer", "scope": MAIL_SCOPE}


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer a\n", "Bearerabc", "Basic a"])
def test_a_header_without_a_token_has_none(header: str) -> None:
    assert token_of(header) == ""
