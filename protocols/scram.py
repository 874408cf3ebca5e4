"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS as the server sees them (RFC 5802, RFC 7677), sans-IO.

The password never crosses: both sides prove that they know keys made of it. The exchange takes the
client's two messages; between them the house says whose keys are asked for.

With -PLUS what is proved covers the channel too (RFC 5802 6): the client's final message holds what
names its TLS connection, and ours must have the same name. Who sits in the middle with a connection
to either side has two names, and can pass no proof on. Which mechanisms the server has he could
hide from the client; so a client that could have bound says "y", and is refused where we offer it.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from protocols.errors import RemoteProtocolError

# RFC 7677 4: what a modern machine takes some 20 ms for. Clients keep the outcome.
ITERATIONS: Final = 60_000
SALT_BYTES: Final = 16
# A client's nonce; RFC 5802 5.1 asks for no length.
NONCE_BYTES_MAX: Final = 256
_KEY_BYTES: Final = 32

# What -PLUS is offered for; a connection without it has no name that is surely its own (RFC 9266).
OFFERED_BINDING: Final = "tls-exporter"

Binding = Callable[[str], bytes | None]
"""What names the connection, by type of channel binding (RFC 5056); None: it has no such name."""

# RFC 5802 7: gs2-header, username, nonce, extensions.
_FIRST: Final = re.compile(
    rb"(?P<header>(?:(?P<flag>[ny])|p=(?P<kind>[A-Za-z0-9.-]+)),(?:a=(?P<other>[^,\x00]+))?,)"
    rb"(?P<bare>(?P<demand>m=[^,\x00]+,)?n=(?P<name>[^,\x00]+)"
    rb",r=(?P<nonce>[\x21-\x2b\x2d-\x7e]+)(?P<more>(?:,.*)?))\Z",
    re.DOTALL,
)
_FINAL: Final = re.compile(
    rb"(?P<bare>c=(?P<bound>[A-Za-z0-9/+=]+),r=(?P<nonce>[^,]+)(?P<more>(?:,.*)?))"
    rb",p=(?P<proof>[A-Za-z0-9/+=]+)\Z",
    re.DOTALL,
)
# RFC 5802 5.1: an extension that whoever does not know it must refuse; we know none.
_DEMAND: Final = b",m="
_NAME_ESCAPE: Final = re.compile(r"=(2C|3D)?")
# RFC 5803: how the keys are kept.
_KEPT: Final = re.compile(r"SCRAM-SHA-256\$([0-9]{1,9}):([^$:]+)\$([^$:]+):([^$:]+)\Z")


class ScramError(RemoteProtocolError):
    """A message that is not SCRAM; the exchange is over."""


class ScramRefused(ScramError):
    """What the message demands or says of the channel is not so: RFC 5802 7 server-error-value."""


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
    """One exchange: `first`, `challenge`, `final`.

    `binding` tells the names of the connection; `plus`: it is the mechanism that uses one.
    """

    def __init__(self, binding: Binding = lambda kind: None, *, plus: bool = False) -> None:
        self._binding = binding
        self._plus = plus
        self._name_of_channel = b""
        self._header = b""
        self._first = b""
        self._nonce = b""
        self._challenge = b""
        self._keys: ScramKeys | None = None

    def first(self, message: bytes) -> tuple[str, str]:
        """The client's first message: who it says it is, and whom it wants to act for ("": same).

        Raises ScramError, ScramRefused.
        """
        found = _FIRST.match(message)
        if found is None:
            raise ScramError("not a first message of SCRAM")
        if found["demand"] or _DEMAND in found["more"]:
            raise ScramRefused("extensions-not-supported")
        if len(found["nonce"]) > NONCE_BYTES_MAX:
            raise ScramError("the nonce is too long")
        name, other = _name(found["name"]), _name(found["other"] or b"")
        self._bind(found["flag"], found["kind"])
        self._header, self._first, self._nonce = found["header"], found["bare"], found["nonce"]
        return name, other

    def _bind(self, flag: bytes | None, kind: bytes | None) -> None:
        """RFC 5802 6: gs2-cbind-flag goes with the mechanism, and y with our having no -PLUS."""
        if self._plus != (kind is not None):
            raise ScramError("p= and only p= goes with the mechanism that binds")
        if kind is not None:
            name = self._binding(kind.decode())
            if name is None:
                raise ScramRefused("unsupported-channel-binding-type")
            self._name_of_channel = name
        elif flag == b"y" and self._binding(OFFERED_BINDING) is not None:
            raise ScramRefused("server-does-support-channel-binding")

    def challenge(self, keys: ScramKeys, nonce: bytes) -> bytes:
        """The server's first message; `nonce` is random octets."""
        self._keys = keys
        self._nonce += base64.b64encode(nonce)
        salt = base64.b64encode(keys.salt)
        self._challenge = b"r=%b,s=%b,i=%d" % (self._nonce, salt, keys.iterations)
        return self._challenge

    def final(self, message: bytes) -> bytes | None:
        """The client's final message: our final one when it has proved itself, else None.

        Raises ScramError, ScramRefused.
        """
        keys = self._keys
        assert keys is not None, "challenge comes before final"
        found = _FINAL.match(message)
        if found is None:
            raise ScramError("not a final message of SCRAM")
        if _DEMAND in found["more"]:
            raise ScramRefused("extensions-not-supported")
        bound = _decode(found["bound"])
        if not bound.startswith(self._header) or found["nonce"] != self._nonce:
            raise ScramError("the final message belongs to another exchange")
        if not hmac.compare_digest(bound, self._header + self._name_of_channel):
            raise ScramRefused("channel-bindings-dont-match")
        spoken = b",".join((self._first, self._challenge, found["bare"]))
        signature = hmac.digest(keys.stored_key, spoken, "sha256")
        proof = _decode(found["proof"])
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
