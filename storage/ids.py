"""Names of things: accounts, mailboxes, threads, emails, blobs; and their text form in JMAP.

Numbers are given out per account, in order, under the account's version, and never given twice.
Text form is a letter and a decimal number without leading zeros, so that two ids never differ by
case alone and none looks like a number (RFC 8620 1.2). A blob is named by the SHA-256 of its bytes.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final, NewType

AccountId = NewType("AccountId", int)
MailboxId = NewType("MailboxId", int)
ThreadId = NewType("ThreadId", int)
EmailId = NewType("EmailId", int)
BlobId = NewType("BlobId", bytes)
Version = NewType("Version", int)
"""An account's change number: JMAP state, IMAP MODSEQ and session token in one (63 bits)."""

# Holds the directory (domains, addresses, cluster-wide rows); no one's mail lives there.
SYSTEM_ACCOUNT: Final = AccountId(0)

NUMBER_MAX: Final = 2**63 - 1
BLOB_ID_BYTES: Final = 32

_NUMBERED: Final = re.compile(r"([a-z])(0|[1-9][0-9]{0,18})\Z", re.ASCII)
_BLOB: Final = re.compile(r"b([0-9a-f]{64})(?:-([0-9]{1,12})-([0-9]{1,12})-([0-9]))?\Z", re.ASCII)


def blob_id(data: bytes) -> BlobId:
    """The name of these bytes."""
    return BlobId(hashlib.sha256(data).digest())


def _parse(prefix: str, text: str) -> int | None:
    found = _NUMBERED.match(text)
    if found is None or found[1] != prefix:
        return None
    number = int(found[2])
    return number if number <= NUMBER_MAX else None


def parse_numbered(letter: str, text: str) -> int | None:
    """The number of a client's id of the type with this letter, or None: an id we never gave."""
    return _parse(letter, text)


def render_account(account: AccountId) -> str:
    """`a7`."""
    return f"a{account}"


def parse_account(text: str) -> AccountId | None:
    """The account a client named, or None: an id we never gave."""
    number = _parse("a", text)
    return None if number is None else AccountId(number)


def render_mailbox(mailbox: MailboxId) -> str:
    """`m7`."""
    return f"m{mailbox}"


def parse_mailbox(text: str) -> MailboxId | None:
    """The mailbox a client named, or None: an id we never gave."""
    number = _parse("m", text)
    return None if number is None else MailboxId(number)


def render_thread(thread: ThreadId) -> str:
    """`t7`."""
    return f"t{thread}"


def parse_thread(text: str) -> ThreadId | None:
    """The thread a client named, or None: an id we never gave."""
    number = _parse("t", text)
    return None if number is None else ThreadId(number)


def render_email(email: EmailId) -> str:
    """`e7`."""
    return f"e{email}"


def parse_email(text: str) -> EmailId | None:
    """The email a client named, or None: an id we never gave."""
    number = _parse("e", text)
    return None if number is None else EmailId(number)


def render_subscription(number: int) -> str:
    """`p7`."""
    return f"p{number}"


def parse_subscription(text: str) -> int | None:
    """The push subscription a client named, or None: an id we never gave."""
    return _parse("p", text)


@dataclass(frozen=True, slots=True)
class BlobRef:
    """A blob, or a transfer-encoded section of one (a body part), as JMAP's blobId names it.

    `start` and `length` are octets into the blob; `encoding` is the code of the section's
    transfer encoding (0 none, 1 base64, 2 quoted-printable). A whole blob has length None.
    """

    blob: BlobId
    start: int = 0
    length: int | None = None
    encoding: int = 0


def render_blob(ref: BlobRef | BlobId) -> str:
    """`b<sha256>` or `b<sha256>-<start>-<length>-<encoding>`."""
    if isinstance(ref, bytes):
        return "b" + ref.hex()
    whole = "b" + ref.blob.hex()
    if ref.length is None:
        return whole
    return f"{whole}-{ref.start}-{ref.length}-{ref.encoding}"


def parse_blob(text: str) -> BlobRef | None:
    """The blob or section a client named, or None: an id we never gave."""
    found = _BLOB.match(text)
    if found is None:
        return None
    blob = BlobId(bytes.fromhex(found[1]))
    if found[2] is None:
        return BlobRef(blob)
    ref = BlobRef(blob, int(found[2]), int(found[3]), int(found[4]))
    return ref if render_blob(ref) == text else None
