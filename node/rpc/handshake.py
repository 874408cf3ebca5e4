"""Who is there? Two nodes prove to each other that they know the cluster's key (sans-IO).

    dialer                                             acceptor
      | -- magic, version, cluster tag, public key ------> |
      | <-- magic, version, cluster tag, public key ------ |
      |        keys = HKDF(X25519(ours, theirs) | secret,  |
      |                    salt = both hellos, info = id)  |
      | -- frame 0: sealed(replica id, name) ------------> |  opens it: the dialer knows the secret
      | <-- frame 0: sealed(replica id, name) ------------ |  opens it: so does the acceptor

While the key is being changed (node/keyring.py) a node knows several secrets. The dialer uses one,
the one in use at first and the others when that is refused; the acceptor tries all it knows.

Fresh public keys are both sides' challenges: no recorded hello leads to known keys, and traffic
recorded today stays closed if the secret is stolen tomorrow. Each direction has its own key, so a
frame sent back to its sender does not open. The secret is a random key, not a password: there is
no stretching, and the first sealed frame would let a guess be checked.

Frames are AES-256-GCM with the frame's number as nonce; a lost, doubled, swapped or changed frame
does not open. Keys step forward every `FRAMES_PER_KEY`, far inside what one GCM key may seal.
"""

import contextlib
import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from node.rpc.errors import MALFORMED, HandshakeFailed, LinkLost

VERSION: Final = 1
_MAGIC: Final = b"TRI1"
_TAG_BYTES: Final = 8
_HELLO: Final = struct.Struct(f">4sH{_TAG_BYTES}s32s")
_NONCE: Final = struct.Struct(">4xQ")
_KEY_BYTES: Final = 32

SECRET_BYTES_MIN: Final = 16
NAME_CHARS_MAX: Final = 64

# 2**14 frames of at most 4 MiB are 64 GiB, a quarter of the bound for a 2**-57 margin.
FRAMES_PER_KEY: Final = 2**14

Draw = Callable[[int], bytes]
"""n random bytes: the operating system's, or a simulation's."""


class Secrets:
    """What opens a link: each of the cluster's keys, the one in use first."""

    __slots__ = ("held",)

    def __init__(self, *held: bytes) -> None:
        self.replace(*held)

    def replace(self, *held: bytes) -> None:
        """Know these from now on, and no others."""
        assert held, "without a key nobody is known"
        if any(len(secret) < SECRET_BYTES_MIN for secret in held):
            raise ValueError(f"a cluster secret has at least {SECRET_BYTES_MIN} bytes")
        self.held: tuple[bytes, ...] = held

    def offered(self, attempt: int) -> bytes:
        """What a dialer tries: the one in use, and after refusals the others in turn."""
        return self.held[attempt % len(self.held)]


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are and what we know."""

    cluster_id: bytes
    secrets: Secrets
    replica: int
    name: str


class Remote(msgspec.Struct, frozen=True, array_like=True):
    """Who the other end has shown to be."""

    replica: Annotated[int, msgspec.Meta(ge=0)]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_CHARS_MAX)]


class FrameCipher:
    """One direction of a link."""

    __slots__ = ("_cipher", "_count", "_key")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._cipher = AESGCM(key)
        self._count = 0

    def seal(self, plain: bytes) -> bytes:
        """Close the next frame."""
        nonce = self._next_nonce()  # first: it may put a new cipher in place of the spent one
        return self._cipher.encrypt(nonce, plain, None)

    def open(self, sealed: bytes | memoryview) -> bytes:
        """Open the next frame, or `LinkLost`."""
        nonce = self._next_nonce()
        try:
            return self._cipher.decrypt(nonce, sealed, None)
        except InvalidTag:
            raise LinkLost("a frame did not open: wrong key, or changed on the way") from None

    def _next_nonce(self) -> bytes:
        if self._count == FRAMES_PER_KEY:
            step = HKDFExpand(algorithm=SHA256(), length=_KEY_BYTES, info=b"trireme rpc next")
            self._key = step.derive(self._key)
            self._cipher = AESGCM(self._key)
            self._count = 0
        nonce = _NONCE.pack(self._count)
        self._count += 1
        return nonce


class Handshake:
    """One side of the exchange above; `hello` first, then the methods in order of the picture."""

    def __init__(
        self, credentials: Credentials, *, dialer: bool, draw: Draw, attempt: int = 0
    ) -> None:
        """`attempt` counts a dialer's refusals so far: it chooses the key that is tried."""
        self._credentials = credentials
        self._dialer = dialer
        known = credentials.secrets
        self._tried = (known.offered(attempt),) if dialer else known.held
        self._private = X25519PrivateKey.from_private_bytes(draw(32))
        self._cluster_tag = hashlib.sha256(credentials.cluster_id).digest()[:_TAG_BYTES]
        public = self._private.public_key().public_bytes_raw()
        self.hello: Final = _HELLO.pack(_MAGIC, VERSION, self._cluster_tag, public)

    def hear_hello(self, theirs: bytes) -> None:
        """Derive both directions' keys from the other side's hello."""
        if len(theirs) != _HELLO.size:
            raise HandshakeFailed("what came is no hello")
        magic, version, tag, public = _HELLO.unpack(theirs)
        if magic != _MAGIC:
            raise HandshakeFailed("what came is no hello")
        if version != VERSION:
            raise HandshakeFailed(f"the peer speaks version {version}, we speak {VERSION}")
        if tag != self._cluster_tag:
            raise HandshakeFailed("the peer belongs to another cluster")
        if theirs == self.hello:
            raise HandshakeFailed("the peer only repeats what we say")
        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError:
            raise HandshakeFailed("the peer's public key is not a real one") from None
        self._derive(shared, theirs)

    def identity(self) -> bytes:
        """Our proof, sealed: the first frame we send."""
        me = Remote(self._credentials.replica, self._credentials.name)
        return self.sending.seal(msgspec.msgpack.encode(me))

    def hear_identity(self, sealed: bytes, *, expected: int | None = None) -> Remote:
        """Check the other side's proof; `expected` is the replica we meant to reach."""
        try:
            plain = self._open_identity(sealed)
            remote = msgspec.msgpack.decode(plain, type=Remote)
        except LinkLost:
            raise HandshakeFailed("the peer does not know the cluster's key") from None
        except MALFORMED:
            raise HandshakeFailed("the peer's identity cannot be read") from None
        if remote.replica == self._credentials.replica:
            raise HandshakeFailed("we reached ourselves, or a copy of our data")
        if expected is not None and remote.replica != expected:
            raise HandshakeFailed(f"{remote.name} answers there, another replica was meant")
        return remote

    def _derive(self, shared: bytes, theirs: bytes) -> None:
        first, second = (self.hello, theirs) if self._dialer else (theirs, self.hello)
        self._shared, self._salt = shared, hashlib.sha256(first + second).digest()
        self._take(self._tried[0])

    def _open_identity(self, sealed: bytes) -> bytes:
        """With the first key that opens it; both directions have that key from then on."""
        for secret in self._tried:
            if secret != self.secret:
                self._take(secret)
            with contextlib.suppress(LinkLost):
                return self.receiving.open(sealed)
        raise LinkLost("no key opens it")

    def _take(self, secret: bytes) -> None:
        kdf = HKDF(
            algorithm=SHA256(),
            length=2 * _KEY_BYTES,
            salt=self._salt,
            info=b"trireme rpc 1 " + self._credentials.cluster_id,
        )
        keys = kdf.derive(self._shared + secret)
        self.secret = secret
        dialers, acceptors = FrameCipher(keys[:_KEY_BYTES]), FrameCipher(keys[_KEY_BYTES:])
        self.sending, self.receiving = (
            (dialers, acceptors) if self._dialer else (acceptors, dialers)
        )
