"""What is pushed: RFC 8620's objects as an encrypted, signed request (RFC 8030, 8291, 8292)."""

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from protocols.jmap.state_change import state_change
from protocols.push.schedule import Job
from protocols.webpush.encryption import SALT_OCTETS, encrypt, private_key
from protocols.webpush.targets import Target
from protocols.webpush.vapid import authorization, base64url
from storage.engine import Rows
from storage.ids import render_subscription
from storage.keys import TypeCode
from storage.push_keys import P256_ORDER

# How long a push service may keep a message for a device that is away (RFC 8030 5.2).
TTL_S: Final = 24 * 3600
KEY_OCTETS: Final = 32

Draw = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Sealed:
    """The head and body of a POST."""

    headers: list[tuple[str, str]]
    body: bytes


def content(rows: Rows, job: Job) -> dict[str, Any]:
    """The object that is pushed now."""
    if not job.subscription.verified:
        return {
            "@type": "PushVerification",
            "pushSubscriptionId": render_subscription(job.number),
            "verificationCode": job.subscription.code,
        }
    change = state_change(rows, {job.account: (job.sending_version, job.sending)}, job.sending)
    assert change is not None, job
    return change


def seal(
    told: dict[str, Any],
    job: Job,
    target: Target,
    *,
    sign: bytes,
    contact: str,
    now_s: int,
    draw: Draw,
) -> Sealed:
    """The request that carries an object."""
    body = msgspec.json.encode(told)
    headers = [
        ("Content-Type", "application/json"),
        ("TTL", str(TTL_S)),
        ("Urgency", "high" if job.sending & TypeCode.EMAIL_DELIVERY.bit else "normal"),
        ("Authorization", authorization(sign, origin=target.origin, contact=contact, now_s=now_s)),
    ]
    if job.sending:
        headers.append(("Topic", _topic(job)))
    keys = job.subscription.push_keys
    if keys is not None:
        headers.append(("Content-Encoding", "aes128gcm"))
        body = encrypt(
            body,
            p256dh=keys.p256dh,
            auth=keys.auth,
            salt=draw(SALT_OCTETS),
            key=private_key(_scalar(draw)),
        )
    return Sealed(headers, body)


def _topic(job: Job) -> str:
    """RFC 8030 5.4: a later message takes the place of one that waits, if it tells of the same
    types; one that tells of others must not."""
    named = struct.pack(">QQQ", job.account, job.number, job.sending)
    return base64url(hashlib.sha256(named).digest()[:24])


def _scalar(draw: Draw) -> bytes:
    """A private key: any number but those few that the curve has not."""
    while True:
        octets = draw(KEY_OCTETS)
        if 0 < int.from_bytes(octets, "big") < P256_ORDER:
            return octets
