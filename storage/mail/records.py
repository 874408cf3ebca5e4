"""The rows of mail: what each holds and how it is packed.

A record is MessagePack of an array, so a field may be added at the end with a default and old
rows still read; fields are never removed or reordered. What changes often (EmailMeta, UidRow,
MailboxCounts) is small and apart from what is written once (EmailView, the part tree).
"""

from typing import Final, TypeVar

import msgspec

from storage.ids import AccountId, BlobId, EmailId, MailboxId, ThreadId, Version

T = TypeVar("T", bound=msgspec.Struct)

# RFC 8621 2: a mailbox's role, at most one mailbox of each; the six a new account starts with.
ROLES_AT_START: Final = (
    ("inbox", "Inbox"),
    ("drafts", "Drafts"),
    ("sent", "Sent"),
    ("trash", "Trash"),
    ("junk", "Junk"),
    ("archive", "Archive"),
)


class AccountState(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Counters of one account: the next numbers to give out, and what it holds."""

    next_mailbox: int = 1
    next_email: int = 1
    next_thread: int = 1
    next_uidvalidity: int = 1
    emails: int = 0
    octets: int = 0


class Mailbox(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """RFC 8621 2 Mailbox, without its counts. `name` is NFC; `parent` 0 is the top level."""

    id: MailboxId
    name: str
    parent: MailboxId
    role: str | None
    sort_order: int
    subscribed: bool
    uidvalidity: int
    created: Version


class MailboxCounts(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a mailbox holds, kept exactly by every command that changes it.

    `unread` counts emails without $seen (and without $draft, RFC 8621 2); `unseen` is IMAP's, all
    without \\Seen. `modseq` is the version of the last change to the mailbox's messages.
    """

    uidnext: int = 1
    emails: int = 0
    unread: int = 0
    unseen: int = 0
    threads: int = 0
    unread_threads: int = 0
    octets: int = 0
    deleted: int = 0
    modseq: Version = Version(0)


class EmailMeta(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What may change of an email, and what is asked most. Times are milliseconds since 1970.

    `keywords` are sorted, lower case, without duplicates ("$seen"; IMAP's \\Deleted is "$deleted",
    shown to IMAP alone). `mailboxes` are (mailbox, UID) in order of mailbox.
    """

    id: EmailId
    thread: ThreadId
    blob: BlobId
    size: int
    received_ms: int
    keywords: tuple[str, ...]
    mailboxes: tuple[tuple[MailboxId, int], ...]
    modseq: Version
    created: Version


class UidRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One message of one mailbox, with all that a FETCH of flags, dates and sizes needs."""

    email: EmailId
    keywords: tuple[str, ...]
    modseq: Version
    size: int
    received_ms: int


class ThreadMember(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An email in its thread: order, where it is, and whether it is unread ($seen, $draft)."""

    received_ms: int
    email: EmailId
    unread: bool
    mailboxes: tuple[MailboxId, ...]


class ThreadRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """RFC 8621 3: the emails of a thread, oldest first (by receivedAt, then id)."""

    members: tuple[ThreadMember, ...]


class EmailView(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An email as lists show it, rendered once at ingest and spliced into answers as it is.

    `json` holds one JSON value per name of LIST_PROPERTIES; `envelope` and `bodystructure` are
    IMAP's parenthesised forms (RFC 9051 7.5.2). `renderer` tells which code made them.
    """

    renderer: int
    json: tuple[bytes, ...]
    envelope: bytes
    bodystructure: bytes


# The order of EmailView.json; only ever extended at the end, together with the renderer version.
LIST_PROPERTIES: Final = (
    "messageId",
    "inReplyTo",
    "references",
    "sender",
    "from",
    "to",
    "cc",
    "bcc",
    "replyTo",
    "subject",
    "sentAt",
    "hasAttachment",
    "preview",
)


class NewEmail(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed and rendered message, ready to be planned into an account (protocols/delivery).

    `message_ids` are Message-ID, In-Reply-To and References together, without brackets, most
    telling first; `thread_subject` is the base subject that must agree (RFC 8621 3).
    `parts` is the packed part tree, opaque here. Ids come in the plan.
    """

    blob: BlobId
    size: int
    received_ms: int
    message_ids: tuple[str, ...]
    thread_subject: str
    view: EmailView
    parts: bytes


class IngestedEmail(msgspec.Struct, frozen=True):
    """What an ingest gave: RFC 8621's id, threadId, blobId, size; UIDs for UIDPLUS."""

    account: AccountId
    id: EmailId
    thread: ThreadId
    blob: BlobId
    size: int
    mailboxes: tuple[tuple[MailboxId, int], ...]
    version: Version


_ENCODER: Final = msgspec.msgpack.Encoder()


def pack(record: msgspec.Struct) -> bytes:
    """A record as the bytes of its row."""
    return _ENCODER.encode(record)
