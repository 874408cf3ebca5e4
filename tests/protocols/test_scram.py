"""SCRAM-SHA-256: the RFC's own exchange, and every way to say it wrong."""

import base64
import hashlib
import hmac

import pytest

from protocols.scram import (
    ITERATIONS,
    Scram,
    ScramError,
    ScramKeys,
    ScramRefused,
    derive_keys,
    parse_keys,
    render_keys,
)

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


def test_extensions_are_passed_over_unless_they_must_be_known(keys: ScramKeys) -> None:
    for message in (b"n,,m=x,n=user,r=n", b"n,,n=user,r=n,x=y,m=z"):
        with pytest.raises(ScramRefused, match=r"^extensions-not-supported$"):
            Scram().first(message)
    exchange, challenge = begin(keys)
    for extra in (b",m=1", b",x=y,m=1"):
        with pytest.raises(ScramRefused, match=r"^extensions-not-supported$"):
            exchange.final(b"c=biws,r=" + CLIENT_NONCE + b"AQID" + extra + b",p=AAAA")
    final = b"c=biws,r=" + CLIENT_NONCE + b"AQID,x=y"
    spoken = b"n=user,r=" + CLIENT_NONCE + b"," + challenge + b"," + final
    assert exchange.final(final + b",p=" + proof_of(b"pencil", spoken)) is not None


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


def test_a_guess_costs_more_than_the_least() -> None:
    """4,096 at least (RFC 7677 3); a phone is not to wait (4)."""
    assert 4096 * 10 < ITERATIONS < 4096 * 40
    assert derive_keys(b"pencil", SALT).iterations == ITERATIONS


# --- channel binding (RFC 5802 6)

NAMES = {"tls-exporter": b"exported", "tls-server-end-point": b"a hash of a certificate"}


def bind(keys: ScramKeys, first: bytes) -> tuple[Scram, bytes]:
    exchange = Scram(NAMES.get, plus=True)
    exchange.first(first + b"n=user,r=" + CLIENT_NONCE)
    return exchange, exchange.challenge(keys, SERVER_NONCE)


def finish(exchange: Scram, challenge: bytes, bound: bytes) -> bytes | None:
    """The final message of who knows the password, for a channel of that name."""
    final = b"c=" + base64.b64encode(bound) + b",r=" + CLIENT_NONCE + b"AQID"
    spoken = b"n=user,r=" + CLIENT_NONCE + b"," + challenge + b"," + final
    return exchange.final(final + b",p=" + proof_of(b"pencil", spoken))


@pytest.mark.parametrize("kind", list(NAMES))
def test_what_is_proved_covers_the_channel(keys: ScramKeys, kind: str) -> None:
    header = b"p=%b,," % kind.encode()
    exchange, challenge = bind(keys, header)
    said = finish(exchange, challenge, header + NAMES[kind])
    assert said is not None and said.startswith(b"v=")


@pytest.mark.parametrize(
    "name", [b"", b"exporte", b"exported ", b"another", NAMES["tls-server-end-point"]]
)
def test_the_name_of_another_channel_is_refused_whoever_proves_it(
    keys: ScramKeys, name: bytes
) -> None:
    exchange, challenge = bind(keys, b"p=tls-exporter,,")
    with pytest.raises(ScramRefused, match=r"^channel-bindings-dont-match$"):
        finish(exchange, challenge, b"p=tls-exporter,," + name)


def test_whoever_passes_a_proof_on_may_not_put_his_own_channel_in(keys: ScramKeys) -> None:
    """The man in the middle makes the binding fit; the client has signed another."""
    exchange, challenge = bind(keys, b"p=tls-exporter,,")
    signed = b"c=%b,r=%bAQID" % (base64.b64encode(b"p=tls-exporter,,hers"), CLIENT_NONCE)
    forged = b"c=%b,r=%bAQID" % (base64.b64encode(b"p=tls-exporter,,exported"), CLIENT_NONCE)
    spoken = b"n=user,r=" + CLIENT_NONCE + b"," + challenge + b"," + signed
    assert exchange.final(forged + b",p=" + proof_of(b"pencil", spoken)) is None


@pytest.mark.parametrize(
    ("plus", "flag"), [(False, b"p=tls-exporter"), (True, b"n"), (True, b"y"), (True, b"p=")]
)
def test_the_flag_goes_with_the_mechanism(plus: bool, flag: bytes) -> None:
    with pytest.raises(ScramError) as caught:
        Scram(NAMES.get, plus=plus).first(flag + b",,n=user,r=n")
    assert not isinstance(caught.value, ScramRefused)


def test_a_type_that_the_channel_has_no_name_of_is_refused() -> None:
    with pytest.raises(ScramRefused, match=r"^unsupported-channel-binding-type$"):
        Scram(NAMES.get, plus=True).first(b"p=tls-unique,,n=user,r=n")


def test_who_was_not_told_of_plus_by_somebody_in_between_is_told_now() -> None:
    """y: it could bind, and was offered nothing to bind with (RFC 5802 6)."""
    with pytest.raises(ScramRefused, match=r"^server-does-support-channel-binding$"):
        Scram(NAMES.get).first(b"y,,n=user,r=n")
    assert Scram(NAMES.get).first(b"n,,n=user,r=n") == ("user", "")
    end_point_only = {"tls-server-end-point": b"x"}
    assert Scram(end_point_only.get).first(b"y,,n=user,r=n") == ("user", "")


def test_who_binds_says_to_what_and_who_does_not_says_nothing(keys: ScramKeys) -> None:
    exchange, challenge = bind(keys, b"p=tls-exporter,,")
    with pytest.raises(ScramRefused):
        finish(exchange, challenge, b"p=tls-exporter,,")
    exchange, challenge = begin(keys)
    with pytest.raises(ScramRefused):
        finish(exchange, challenge, b"n,,exported")
    assert finish(exchange, challenge, b"n,,") is not None
