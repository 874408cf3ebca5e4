"""A user agent of RFC 8291: its keys, and how it reads what a push service hands it."""

import struct

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from protocols.webpush.encryption import private_key, public_octets
from protocols.webpush.vapid import base64url


class PushClient:
    """One device."""

    def __init__(self, number: bytes, auth: bytes) -> None:
        self._key = private_key(number)
        self._auth = auth
        self.p256dh = public_octets(self._key)

    @property
    def keys(self) -> dict[str, str]:
        """The keys of a PushSubscription."""
        return {"p256dh": base64url(self.p256dh), "auth": base64url(self._auth)}

    def decrypt(self, body: bytes) -> bytes:
        """The message in a body of one record; raises when it was not for this client."""
        salt, (size, length) = body[:16], struct.unpack(">IB", body[16:21])
        theirs, record = body[21 : 21 + length], body[21 + length :]
        assert len(record) <= size
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), theirs)
        shared = self._key.exchange(ec.ECDH(), point)
        info = b"WebPush: info\0" + self.p256dh + theirs
        ikm = HKDF(SHA256(), 32, salt=self._auth, info=info).derive(shared)
        key = HKDF(SHA256(), 16, salt=salt, info=b"Content-Encoding: aes128gcm\0").derive(ikm)
        nonce = HKDF(SHA256(), 12, salt=salt, info=b"Content-Encoding: nonce\0").derive(ikm)
        plain = AESGCM(key).decrypt(nonce, record, None).rstrip(b"\0")
        assert plain.endswith(b"\x02")
        return plain[:-1]
