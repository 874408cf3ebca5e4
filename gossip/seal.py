"""Sealing and opening packets: nobody without the cluster's key is heard.

    +------------+-----------+-----------+-------------------------------------------+
    | version u8 | key id 4  | nonce 12  | ChaCha20-Poly1305( stamp u64be ms | plain ) |
    +------------+-----------+-----------+-------------------------------------------+
      version and cluster id are associated data; the 16-byte tag ends the packet

The packet key is derived from the cluster secret and the cluster id, so a packet of another cluster
does not open even when the secrets were copied. The stamp bounds how long a recorded packet can be
played back, and nonces lately seen are refused, which also drops datagrams the network doubled.

Nonces are random: 2**32 packets under one key keep a repetition below one in 2**32. A cluster of
hundreds sends that in months, and rotation (`install`, `use`, `remove`) starts afresh.
"""

import struct
from collections import Counter
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gossip.config import SEAL_BYTES_MAX

VERSION: Final = 1
KEY_ID_BYTES: Final = 4
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
_HEAD: Final = struct.Struct(f">B{KEY_ID_BYTES}s{NONCE_BYTES}s")
_STAMP: Final = struct.Struct(">Q")
OVERHEAD_BYTES: Final = _HEAD.size + _STAMP.size + TAG_BYTES
assert OVERHEAD_BYTES <= SEAL_BYTES_MAX

SECRET_BYTES_MIN: Final = 16
KEYS_MAX: Final = 8

# Wall clocks of members may differ by this much; wide, since refusing a member for its clock would
# be worse than a playback, which incarnations and sequence numbers make harmless anyway.
STAMP_SKEW_MS_MAX: Final = 600_000

# Nonces remembered, per node: some minutes of traffic.
NONCES_MAX: Final = 4_096


class SealError(Exception):
    """A packet that is not from our cluster, or not from now; `reason` is one word for counting."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Keyring:
    """Keys that open packets, one of which seals.

    Rotation without a moment of deafness: `install` the new key everywhere, then `use` it
    everywhere, then `remove` the old one.
    """

    def __init__(
        self, cluster_id: bytes, secret: bytes, *, draw_nonce: Callable[[int], bytes]
    ) -> None:
        """`draw_nonce(n)` returns n random bytes: the operating system's, or a simulation's."""
        self._cluster_id = cluster_id
        self._draw_nonce = draw_nonce
        self._keys: dict[bytes, ChaCha20Poly1305] = {}
        self._seen: dict[bytes, None] = {}
        self._sealing = self.install(secret)
        self.counts: Counter[str] = Counter()

    def install(self, secret: bytes) -> bytes:
        """Learn to open packets of one more key; its id."""
        if len(secret) < SECRET_BYTES_MIN:
            raise ValueError(f"a cluster secret has at least {SECRET_BYTES_MIN} bytes")
        material = _derive(secret, self._cluster_id)
        key_id, key = material[:KEY_ID_BYTES], material[KEY_ID_BYTES:]
        if key_id not in self._keys and len(self._keys) >= KEYS_MAX:
            raise ValueError(f"a keyring holds at most {KEYS_MAX} keys")
        self._keys[key_id] = ChaCha20Poly1305(key)
        return key_id

    def use(self, key_id: bytes) -> None:
        """Seal with this key from now on."""
        if key_id not in self._keys:
            raise ValueError("no such key is installed")
        self._sealing = key_id

    def remove(self, key_id: bytes) -> None:
        """Forget a key that nobody seals with any more."""
        if key_id == self._sealing:
            raise ValueError("the key in use cannot be removed")
        self._keys.pop(key_id, None)

    @property
    def held(self) -> frozenset[bytes]:
        """The ids of all keys that open packets."""
        return frozenset(self._keys)

    def seal(self, plain: bytes, wall_ms: int) -> bytes:
        """Close a packet."""
        nonce = self._draw_nonce(NONCE_BYTES)
        sealed = self._keys[self._sealing].encrypt(
            nonce, _STAMP.pack(wall_ms) + plain, self._bound()
        )
        return _HEAD.pack(VERSION, self._sealing, nonce) + sealed

    def open(self, packet: bytes, wall_ms: int) -> bytes:
        """The plain text of a packet, or `SealError`."""
        try:
            return self._open(packet, wall_ms)
        except SealError as error:
            self.counts[error.reason] += 1
            raise

    def _open(self, packet: bytes, wall_ms: int) -> bytes:
        if len(packet) < OVERHEAD_BYTES:
            raise SealError("short")
        version, key_id, nonce = _HEAD.unpack_from(packet)
        if version != VERSION:
            raise SealError("version")
        key = self._keys.get(key_id)
        if key is None:
            raise SealError("key")
        try:
            opened = key.decrypt(nonce, packet[_HEAD.size :], self._bound())
        except InvalidTag:
            raise SealError("forged") from None
        if abs(_STAMP.unpack_from(opened)[0] - wall_ms) > STAMP_SKEW_MS_MAX:
            raise SealError("time")
        if nonce in self._seen:
            raise SealError("replay")
        self._seen[nonce] = None
        if len(self._seen) > NONCES_MAX:
            del self._seen[next(iter(self._seen))]  # dicts keep order: the oldest
        return opened[_STAMP.size :]

    def _bound(self) -> bytes:
        return bytes([VERSION]) + self._cluster_id


def _derive(secret: bytes, cluster_id: bytes) -> bytes:
    kdf = HKDF(
        algorithm=SHA256(), length=KEY_ID_BYTES + 32, salt=cluster_id, info=b"trireme gossip 1"
    )
    return kdf.derive(secret)
