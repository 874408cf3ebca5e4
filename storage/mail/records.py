"""The rows of mail: what each holds and how it is packed.

A record is MessagePack of an array, so a field may be added at the end with a default and old
rows still read; fields are never removed or reordered. What changes often (EmailMeta, UidRow,
MailboxCounts) is small and apart from what is written once (EmailView, the part tree).
"""

from collections.abc import Callable
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
    """Counters of one account: the next numbers to give out, and what it holds.

    `emails` and `octets` are of all emails; `deleted` of those are marked $deleted and no JMAP
    client sees them; `threads` are those with an email that is seen. `octets_max`, `messages_max`
    and `mailboxes_max` are the quotas, kept as storage/mail/quota.py says (0: none).
    """

    next_mailbox: int = 1
    next_email: int = 1
    next_thread: int = 1
    next_uidvalidity: int = 1
    emails: int = 0
    octets: int = 0
    threads: int = 0
    deleted: int = 0
    mailboxes: int = 0
    octets_max: int = 0
    messages_max: int = 0
    mailboxes_max: int = 0


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

    `emails`, `unseen`, `octets` and `deleted` are IMAP's and count every message. RFC 8621 4.1.1
    hides those marked \\Deleted from JMAP: its total is `emails - deleted`, and `unread` (neither
    $seen nor $draft), `threads` and `unread_threads` (RFC 8621 2) leave them out.
    `modseq` is the version of the last change to the mailbox's messages.
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
    shown to IMAP alone). `mailboxes` are (mailbox, UID) in order of mailbox; `saved_s` says for
    each of them when the email came into it, in seconds (RFC 8514). It is empty, or 0 for a
    mailbox, where an older version of this software wrote the row: then nobody knows. `origin` is
    the email that this one was copied from by IMAP, at the first of several times; 0: it was not.
    `east_minutes` is the zone that IMAP shows `received_ms` in, and takes its day by: that in which
    it was given (RFC 9051 6.3.12), ahead of UTC.
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
    saved_s: tuple[int, ...] = ()
    origin: EmailId = EmailId(0)
    east_minutes: int = 0


class UidRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One message of one mailbox, with all that a FETCH of flags, dates and sizes needs.

    `saved_s` is EmailMeta's; 0: not known. So are `origin` and `east_minutes`.
    """

    email: EmailId
    keywords: tuple[str, ...]
    modseq: Version
    size: int
    received_ms: int
    saved_s: int = 0
    origin: EmailId = EmailId(0)
    east_minutes: int = 0

    @property
    def content(self) -> EmailId:
        """What it has in common with its copies: RFC 8474 5.1 EMAILID."""
        return self.origin or self.email


class ThreadMember(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An email in its thread: order, where it is, and whether it is unread ($seen, $draft).

    One marked $deleted keeps its place, for the mark may go again, but is in no count.
    """

    received_ms: int
    email: EmailId
    unread: bool
    mailboxes: tuple[MailboxId, ...]
    deleted: bool = False


class ThreadRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """RFC 8621 3: the emails of a thread, oldest first (by receivedAt, then id)."""

    members: tuple[ThreadMember, ...]


class EmailView(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An email as lists show it, rendered once at ingest and spliced into answers as it is.

    `json` holds one JSON value per name of LIST_PROPERTIES; `envelope` and `bodystructure` are
    IMAP's parenthesised forms (RFC 9051 7.5.2). `renderer` tells which code made them.
    `hints` are the keys of the email's thread hints, one after the other (mail/threads.py sets
    them at ingest; who renders an email anew keeps them).
    """

    renderer: int
    json: tuple[bytes, ...]
    envelope: bytes
    bodystructure: bytes
    hints: bytes = b""


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
    east_minutes: int = 0


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


def unpacker(kind: type[T]) -> Callable[[bytes], T]:
    """The function that reads rows of `kind`: `unpack_meta = unpacker(EmailMeta)`."""
    return msgspec.msgpack.Decoder(kind).decode


# The marks that decide what counts (RFC 8621 4.1.1; "$deleted" is IMAP's \\Deleted).
SEEN: Final = "$seen"
DRAFT: Final = "$draft"
DELETED: Final = "$deleted"

unpack_state: Final = unpacker(AccountState)
unpack_mailbox: Final = unpacker(Mailbox)
unpack_counts: Final = unpacker(MailboxCounts)
unpack_meta: Final = unpacker(EmailMeta)
unpack_uid_row: Final = unpacker(UidRow)
unpack_thread: Final = unpacker(ThreadRecord)
unpack_view: Final = unpacker(EmailView)


def uid_row_at(meta: EmailMeta, place: int) -> UidRow:
    """The row that an email has in one of its mailboxes, the `place`th."""
    saved_s = meta.saved_s[place] if meta.saved_s else 0
    return UidRow(
        meta.id,
        meta.keywords,
        meta.modseq,
        meta.size,
        meta.received_ms,
        saved_s,
        meta.origin,
        meta.east_minutes,
    )


def is_visible(meta: EmailMeta) -> bool:
    """Whether JMAP shows the email: what is marked \\Deleted is hidden (RFC 8621 4.1.1)."""
    return DELETED not in meta.keywords


def is_unread(keywords: tuple[str, ...]) -> bool:
    """RFC 8621 2 unreadEmails: neither $seen nor $draft."""
    return SEEN not in keywords and DRAFT not in keywords
