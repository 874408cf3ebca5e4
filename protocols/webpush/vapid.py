"""RFC 8292: who sends a push, signed with the cluster's key (RFC 9749 tells clients of it)."""

import base64
from functools import lru_cache
from typing import Final

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from protocols.webpush.encryption import private_key, public_octets

# RFC 8292 2: no more than 24 hours from now.
TOKEN_S: Final = 12 * 3600

_HEADER: Final = b'{"typ":"JWT","alg":"ES256"}'


def base64url(octets: bytes) -> str:
    """RFC 7515 2: without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


@lru_cache(maxsize=4)
def application_server_key(number: bytes) -> str:
    """The public key of a private one, as clients pass it to their push service."""
    return base64url(public_octets(private_key(number)))


def authorization(number: bytes, *, origin: str, contact: str, now_s: int) -> str:
    """The Authorization header of a message to a push service at `origin`."""
    claims = {"aud": origin, "exp": now_s + TOKEN_S, "sub": contact}
    signed = f"{base64url(_HEADER)}.{base64url(msgspec.json.encode(claims))}"
    signature = private_key(number).sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
    # RFC 7518 3.4: both numbers as they are, and not as DER.
    octets = b"".join(part.to_bytes(32, "big") for part in decode_dss_signature(signature))
    return f"vapid t={signed}.{base64url(octets)}, k={application_server_key(number)}"
