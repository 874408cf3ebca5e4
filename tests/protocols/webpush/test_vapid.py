"""RFC 8292: the header, checked as a push service checks it."""

import base64
import re

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from protocols.webpush.vapid import TOKEN_S, application_server_key, authorization, base64url

KEY = b"\x01" * 32


def octets(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_a_push_service_finds_the_claims_signed_by_the_key_that_is_named() -> None:
    for now_s in range(1_800_000_000, 1_800_000_020):  # numbers of a signature may begin with 0
        header = authorization(
            KEY, origin="https://push.example", contact="mailto:a@b.example", now_s=now_s
        )
        found = re.fullmatch(r"vapid t=([\w-]+)\.([\w-]+)\.([\w-]+), k=([\w-]+)", header)
        assert found is not None
        assert msgspec.json.decode(octets(found[1])) == {"typ": "JWT", "alg": "ES256"}
        assert msgspec.json.decode(octets(found[2])) == {
            "aud": "https://push.example",
            "exp": now_s + TOKEN_S,
            "sub": "mailto:a@b.example",
        }
        assert found[4] == application_server_key(KEY)
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), octets(found[4]))
        raw = octets(found[3])
        assert len(raw) == 64
        signature = encode_dss_signature(
            int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        )
        signed = f"{found[1]}.{found[2]}".encode()
        point.verify(signature, signed, ec.ECDSA(hashes.SHA256()))


def test_tokens_live_for_less_than_a_day() -> None:
    assert TOKEN_S < 24 * 3600


def test_the_public_key_is_uncompressed_and_without_padding() -> None:
    key = application_server_key(KEY)
    assert len(key) == 87 and octets(key)[0] == 4 and base64url(octets(key)) == key
