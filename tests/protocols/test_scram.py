"""SCRAM-SHA-256: the RFC's own exchange, and every way to say it wrong."""

import base64
import hashlib
import hmac

import pytest

from protocols.scram import Scram, ScramError, ScramKeys, derive_keys, parse_keys, render_keys

SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
CLIENT_NONCE = b"rOprNGfwEbeRWgbNEkqO"
SERVER_NONCE = b"\x01\x02\x03"


@pytest.fixture(scope="module")
def keys() -> ScramKeys:
    return derive_keys(b"pencil", SALT, 4096)


def begin(keys: ScramKeys, first: bytes = b"n,,n=user,r=" + CLIENT_NONCE) -> tuple[Scram, bytes]:
    exchange = Scram()
    exchange.first(first)
    return exchange, exchange.challenge(keys, SERVER_NONCE)


def proof_of(password: bytes, spoken: bytes) -> bytes:
    salted = hashlib.pbkdf2_hmac("sha256", password, SALT, 4096)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    signature = hmac.digest(hashlib.sha256(client_key).digest(), spoken, "sha256")
    return base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature, strict=True)))


def test_the_example_of_rfc_7677() -> None:
    """Its server's nonce is text; ours is base64, so the exchange is set up by hand."""
    keys = derive_keys(b"pencil", SALT, 4096)
    nonce = CLIENT_NONCE + b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    spoken = b"n=user,r=%b,r=%b,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=%b" % (
        CLIENT_NONCE,
        nonce,
        nonce,
    )
    assert proof_of(b"pencil", spoken) == b"dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    verifier = hmac.digest(keys.server_key, spoken, "sha256")
    assert base64.b64encode(verifier) == b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@pytest.mark.parametrize(("password", "opens"), [(b"pencil", True), (b"pen", False)])
def test_who_knows_the_password_and_who_does_not(
    keys: ScramKeys, password: bytes, opens: bool
) -> None:
    exchange, challenge = begin(keys)
    assert challenge == b"r=rOprNGfwEbeRWgbNEkqOAQID,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    final = b"c=biws,r=" + CLIENT_NONCE + b"AQID"
    spoken = b"n=user,r=" + CLIENT_NONCE + b"," + challenge + b"," + final
    said = exchange.final(final + b",p=" + proof_of(password, spoken))
    if not opens:
        assert said is None
        return
    verifier = hmac.digest(keys.server_key, spoken, "sha256")
    assert said == b"v=" + base64.b64encode(verifier)


def test_names_are_unescaped_and_another_identity_is_told() -> None:
    assert Scram().first(b"y,a=b=2Cc,n=a=3Db@x,r=n") == ("a=b@x", "b,c")
    assert Scram().first(b"n,,n=user,r=n,x=an extension") == ("user", "")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n,,n=user",
        b"n,,n=,r=n",
        b"n,,m=x,n=user,r=n",
        b"p=tls-exporter,,n=user,r=n",
        b"n,,n=us=er,r=n",
        b"n,,n=\xff,r=n",
        b"n,,n=user,r=" + b"n" * 257,
        b"x,,n=user,r=n",
    ],
)
def test_first_messages_that_are_none(message: bytes) -> None:
    with pytest.raises(ScramError):
        Scram().first(message)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"c=biws,r=rOprNGfwEbeRWgbNEkqOAQID",
        b"c=biws,r=another,p=AAAA",
        b"c=eSws,r=rOprNGfwEbeRWgbNEkqOAQID,p=AAAA",
        b"c=biws,r=rOprNGfwEbeRWgbNEkqOAQID,p=AAAA",
        b"c=biws,r=rOprNGfwEbeRWgbNEkqOAQID,p=A",
    ],
)
def test_final_messages_that_are_none(keys: ScramKeys, message: bytes) -> None:
    exchange, _ = begin(keys)
    with pytest.raises(ScramError):
        exchange.final(message)


def test_keys_are_kept_as_text(keys: ScramKeys) -> None:
    text = render_keys(keys)
    assert text.startswith("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$")
    assert parse_keys(text) == keys
    assert parse_keys("") is None
    assert "pencil" not in text
