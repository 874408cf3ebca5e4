"""Names of things: accounts, mailboxes, threads, emails, blobs; and their text form in JMAP.

Numbers are given out per account, in order, under the account's version, and never given twice.
Text form is a letter and a decimal number without leading zeros, so that two ids never differ by
case alone and none looks like a number (RFC 8620 1.2). A blob is named by the SHA-256 of its bytes.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final, NamedTuple, NewType

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
# A section, one in what that one decodes to, and so on: an id has at most 255 characters.
SECTIONS_MAX: Final = 4
_BLOB: Final = re.compile(
    rf"b([0-9a-f]{{64}})((?:-[0-9]{{1,12}}-[0-9]{{1,12}}-[0-9]){{0,{SECTIONS_MAX}}})\Z", re.ASCII
)
_SECTION: Final = re.compile(r"-([0-9]+)-([0-9]+)-([0-9])", re.ASCII)


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
    `inner` are sections of what the one before decodes to: parts of a message that was encoded.
    """

    blob: BlobId
    start: int = 0
    length: int | None = None
    encoding: int = 0
    inner: "tuple[Section, ...]" = ()

    def within(self, start: int, length: int, encoding: int) -> "BlobRef | None":
        """A section of what this names; None when it would lie too deep."""
        first = () if self.length is None else (Section(self.start, self.length, self.encoding),)
        sections = [*first, *self.inner]
        if sections and not sections[-1].encoding:
            start += sections.pop().start
        sections.append(Section(start, length, encoding))
        return _of_sections(self.blob, sections) if len(sections) <= SECTIONS_MAX else None


class Section(NamedTuple):
    """Octets of something, and the code of the transfer encoding they are in."""

    start: int
    length: int
    encoding: int


def _of_sections(blob: BlobId, sections: "list[Section]") -> BlobRef:
    return BlobRef(blob, *sections[0], tuple(sections[1:])) if sections else BlobRef(blob)


def render_blob(ref: BlobRef | BlobId) -> str:
    """`b<sha256>`, and `-<start>-<length>-<encoding>` for each section."""
    if isinstance(ref, bytes):
        return "b" + ref.hex()
    whole = "b" + ref.blob.hex()
    if ref.length is None:
        return whole
    inner = "".join(f"-{one.start}-{one.length}-{one.encoding}" for one in ref.inner)
    return f"{whole}-{ref.start}-{ref.length}-{ref.encoding}{inner}"


def parse_blob(text: str) -> BlobRef | None:
    """The blob or section a client named, or None: an id we never gave."""
    found = _BLOB.match(text)
    if found is None:
        return None
    blob = BlobId(bytes.fromhex(found[1]))
    sections = [Section(*map(int, one)) for one in _SECTION.findall(found[2])]
    if not all(one.encoding for one in sections[:-1]):
        return None
    ref = _of_sections(blob, sections)
    return ref if render_blob(ref) == text else None
