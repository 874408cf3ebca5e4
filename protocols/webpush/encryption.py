"""RFC 8291: a push message that only the client can read, as one aes128gcm record (RFC 8188).

What must not be guessed, the salt and the message's own private key, is given by the caller.
"""

import hashlib
import hmac
import struct
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SALT_OCTETS: Final = 16
AUTH_OCTETS: Final = 16
POINT_OCTETS: Final = 65
RECORD_OCTETS: Final = 4096
# RFC 8291 4: all of it in one record, and RFC 8030 7.2: 4096 octets are taken by every service.
PLAIN_OCTETS_MAX: Final = RECORD_OCTETS - 86 - 17

_CURVE: Final = ec.SECP256R1()
_LAST: Final = b"\x02"  # RFC 8188 2: this record is the last


def private_key(number: bytes) -> ec.EllipticCurvePrivateKey:
    """The P-256 key that is this number, big-endian and not 0."""
    return ec.derive_private_key(int.from_bytes(number, "big"), _CURVE)


def public_octets(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Its public key, uncompressed."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def is_point(octets: bytes) -> bool:
    """Whether these are an uncompressed point of the curve."""
    if len(octets) != POINT_OCTETS:
        return False
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, octets)
    except ValueError:
        return False
    return True


def encrypt(
    plain: bytes, *, p256dh: bytes, auth: bytes, salt: bytes, key: ec.EllipticCurvePrivateKey
) -> bytes:
    """The body of the message; `key` is for this one message, and `p256dh` a point."""
    assert len(plain) <= PLAIN_OCTETS_MAX, len(plain)
    theirs = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, p256dh)
    ours = public_octets(key)
    shared = key.exchange(ec.ECDH(), theirs)
    content_key, nonce = record_secrets(shared, p256dh=p256dh, ours=ours, auth=auth, salt=salt)
    head = salt + struct.pack(">IB", RECORD_OCTETS, len(ours)) + ours
    return head + AESGCM(content_key).encrypt(nonce, plain + _LAST, None)


def record_secrets(
    shared: bytes, *, p256dh: bytes, ours: bytes, auth: bytes, salt: bytes
) -> tuple[bytes, bytes]:
    """RFC 8291 3.4: the content encryption key and the nonce."""
    info = b"WebPush: info\0" + p256dh + ours
    input_key = _derive(auth, shared, info, 32)
    content_key = _derive(salt, input_key, b"Content-Encoding: aes128gcm\0", 16)
    return content_key, _derive(salt, input_key, b"Content-Encoding: nonce\0", 12)


def _derive(salt: bytes, secret: bytes, info: bytes, octets: int) -> bytes:
    """RFC 5869 HKDF with SHA-256, for at most 32 octets."""
    extracted = hmac.digest(salt, secret, hashlib.sha256)
    return hmac.digest(extracted, info + b"\x01", hashlib.sha256)[:octets]
