"""SCRAM-SHA-256 as the server sees it (RFC 5802, RFC 7677), sans-IO.

The password never crosses: both sides prove that they know keys made of it. The exchange takes the
client's two messages; between them the house says whose keys are asked for. Channel binding is not
offered: for TLS 1.3 that is tls-exporter (RFC 9266 4), which our TLS library does not give, and a
client that were offered another would not fall back.
"""

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

from protocols.errors import RemoteProtocolError

# RFC 7677 4: what a modern machine takes some 20 ms for. Clients keep the outcome.
ITERATIONS: Final = 60_000
SALT_BYTES: Final = 16
# A client's nonce; RFC 5802 5.1 asks for no length.
NONCE_BYTES_MAX: Final = 256
_KEY_BYTES: Final = 32

# RFC 5802 7: gs2-header, username, nonce, extensions.
_FIRST: Final = re.compile(
    rb"((?:(n)|(y)|p=[A-Za-z0-9.-]+),(?:a=([^,\x00]+))?,)(m=)?(n=([^,\x00]+),r=([\x21-\x2b\x2d-\x7e]+)(?:,.*)?)\Z",
    re.DOTALL,
)
_FINAL: Final = re.compile(rb"(c=([A-Za-z0-9/+=]+),r=([^,]+)(?:,.*)?),p=([A-Za-z0-9/+=]+)\Z")
_NAME_ESCAPE: Final = re.compile(r"=(2C|3D)?")
# RFC 5803: how the keys are kept.
_KEPT: Final = re.compile(r"SCRAM-SHA-256\$([0-9]{1,9}):([^$:]+)\$([^$:]+):([^$:]+)\Z")


class ScramError(RemoteProtocolError):
    """A message that is not SCRAM; the exchange is over."""


@dataclass(frozen=True, slots=True, repr=False)
class ScramKeys:
    """What a server keeps instead of a password (RFC 5802 3); no repr, as it lets guess it."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes


def derive_keys(password: bytes, salt: bytes, iterations: int = ITERATIONS) -> ScramKeys:
    """Of a prepared password (RFC 4013). Takes its time: in a thread."""
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    return ScramKeys(salt, iterations, stored_key, hmac.digest(salted, b"Server Key", "sha256"))


def render_keys(keys: ScramKeys) -> str:
    """RFC 5803 2 authInfo$authValue."""
    salt, stored, server = (
        base64.b64encode(octets).decode()
        for octets in (keys.salt, keys.stored_key, keys.server_key)
    )
    return f"SCRAM-SHA-256${keys.iterations}:{salt}${stored}:{server}"


def parse_keys(text: str) -> ScramKeys | None:
    """What `render_keys` gave; None for anything else."""
    found = _KEPT.match(text)
    if found is None:
        return None
    salt, stored, server = (_decode(part.encode()) for part in found.groups()[1:])
    return ScramKeys(salt, int(found[1]), stored, server)


class Scram:
    """One exchange: `first`, `challenge`, `final`."""

    def __init__(self) -> None:
        self._header = b""
        self._first = b""
        self._nonce = b""
        self._challenge = b""
        self._keys: ScramKeys | None = None

    def first(self, message: bytes) -> tuple[str, str]:
        """The client's first message: who it says it is, and whom it wants to act for ("": same).

        Raises ScramError.
        """
        found = _FIRST.match(message)
        if found is None or found[5]:  # m= is a mandatory extension: we know none
            raise ScramError("not a first message of SCRAM")
        if not (found[2] or found[3]):
            raise ScramError("channel binding is not offered")
        if len(found[8]) > NONCE_BYTES_MAX:
            raise ScramError("the nonce is too long")
        self._header, self._first, self._nonce = found[1], found[6], found[8]
        return _name(found[7]), "" if found[4] is None else _name(found[4])

    def challenge(self, keys: ScramKeys, nonce: bytes) -> bytes:
        """The server's first message; `nonce` is random octets."""
        self._keys = keys
        self._nonce += base64.b64encode(nonce)
        salt = base64.b64encode(keys.salt)
        self._challenge = b"r=%b,s=%b,i=%d" % (self._nonce, salt, keys.iterations)
        return self._challenge

    def final(self, message: bytes) -> bytes | None:
        """The client's final message: our final one when it has proved itself, else None.

        Raises ScramError.
        """
        keys = self._keys
        assert keys is not None, "challenge comes before final"
        found = _FINAL.match(message)
        if found is None:
            raise ScramError("not a final message of SCRAM")
        if _decode(found[2]) != self._header or found[3] != self._nonce:
            raise ScramError("the final message belongs to another exchange")
        spoken = b",".join((self._first, self._challenge, found[1]))
        signature = hmac.digest(keys.stored_key, spoken, "sha256")
        proof = _decode(found[4])
        if len(proof) != _KEY_BYTES:
            raise ScramError("the proof is not of SHA-256")
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        if not hmac.compare_digest(hashlib.sha256(client_key).digest(), keys.stored_key):
            return None
        verifier = hmac.digest(keys.server_key, spoken, "sha256")
        return b"v=" + base64.b64encode(verifier)


def _name(octets: bytes) -> str:
    """RFC 5802 7 saslname."""
    try:
        text = octets.decode()
    except UnicodeDecodeError as error:
        raise ScramError("the user name is not UTF-8") from error
    if any(found[1] is None for found in _NAME_ESCAPE.finditer(text)):
        raise ScramError("the user name has = for itself")
    return text.replace("=2C", ",").replace("=3D", "=")


def _decode(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise ScramError("not base64") from error
