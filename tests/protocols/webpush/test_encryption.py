"""RFC 8291 by its own example, and by a client that decrypts."""

import base64

import pytest

from protocols.webpush.encryption import (
    PLAIN_OCTETS_MAX,
    encrypt,
    is_point,
    private_key,
    public_octets,
)
from tests.protocols.webpush.client import PushClient


def octets(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# RFC 8291 5 and appendix A.
PLAIN = b"When I grow up, I want to be a watermelon"
AUTH = octets("BTBZMqHH6r4Tts7J_aSIgg")
P256DH = octets(
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
)
SALT = octets("DGv6ra1nlYgDCS1FRnbzlw")
OURS = octets("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")
BODY = octets(
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS"
    "6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qu"
    "lcy4a-fN"
)


def test_the_rfcs_example() -> None:
    key = private_key(OURS)
    assert encrypt(PLAIN, p256dh=P256DH, auth=AUTH, salt=SALT, key=key) == BODY


def test_the_rfcs_client_reads_it() -> None:
    client = PushClient(octets("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"), AUTH)
    assert client.p256dh == P256DH
    assert client.decrypt(BODY) == PLAIN


@pytest.mark.parametrize("size", [0, 1, PLAIN_OCTETS_MAX])
def test_messages_of_any_size_that_is_allowed(size: int) -> None:
    client = PushClient(b"\x07" * 32, b"a" * 16)
    body = encrypt(
        b"x" * size, p256dh=client.p256dh, auth=b"a" * 16, salt=b"s" * 16, key=private_key(OURS)
    )
    assert len(body) <= 4096 and client.decrypt(body) == b"x" * size


def test_points_are_those_of_the_curve() -> None:
    point = public_octets(private_key(OURS))
    assert is_point(point) and is_point(P256DH)
    off = point[:-1] + bytes([point[-1] ^ 1])
    for wrong in (b"", point[:-1], point + b"\0", off, b"\0" * 65, b"\x05" + point[1:]):
        assert not is_point(wrong)
