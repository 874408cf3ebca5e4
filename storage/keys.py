"""Every key in the database, in one table. Numbers here are on disk and never change meaning.

    replicated   0x01 | group u16 | account u64 | collection u8 | rest
    local        0x00 | collection u8 | rest   (this node only: see local_keys.py)

Account rows, by collection (y, U: uploads.py; g, G, j: deliveries.py; A: mail/annotations.py;
a, R, F: mail/sharing.py; K: mail/url_keys.py; N: mail/recent.py; W: mail/defined.py;
s: mail/left_names.py; Z: trimming.py):

    V  version                                      -> u64, the account's change number
    S  account state                                -> counters: next ids, bytes and emails held
    k  counter       type u8                        -> u64, the next id of a Collection
    c  change log    type u8 | version u64          -> changed ids
    z  horizon                                      -> u64, the change log is whole above it
    r  records       type u8 | id u64               -> one record of a Collection
    i  index         type u8 | index u8 | value ... -> per index
    m  email meta        email u64                  -> EmailMeta: the little that changes
    l  email list view   email u64                  -> EmailView: rendered once
    p  email parts       email u64                  -> part tree with offsets
    u  uid           mailbox u64 | uid u32          -> UidRow
    x  expunged      mailbox u64 | version u64      -> UIDs that left the mailbox then
    n  mailbox counts    mailbox u64                -> MailboxCounts
    d  by date       mailbox u64 | received u64 | email u64 -> thread u64
    t  thread            thread u64                 -> ThreadRecord
    h  thread hint   hash 16 of message id, subject -> thread u64 | emails u32 that name it
    b  blob held         blob 32 | holder type u8 | holder u64 -> (empty)
System account (0):
    B  blob              blob 32                    -> total u64: every byte is on this node
    q  blob part         blob 32 | offset u64       -> (empty), until the blob is whole
    X  lone blob         blob 32                    -> nobody has linked it since: collecting.py
    o  outcome           replica u64 | epoch u64 | sequence u64 -> outcome
    e  boot epoch        replica u64                -> epoch u64 and who registered
    f  formed                                       -> there once the first accounts are made
    w  push watch, v push key, D due, O OAuth       -> see push_rows.py, due.py, oauth_rows.py
    E  guarded, Y collected                         -> see collecting.py

No mailbox has id 0; a `d` row of mailbox 0 orders all emails of the account.
"""

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import Final

from storage.engine import prefix_end
from storage.ids import SYSTEM_ACCOUNT, AccountId, BlobId, EmailId, MailboxId, ThreadId, Version

GROUP: Final = 0
REPLICATED: Final = b"\x01"

KeyRange = tuple[bytes, bytes]
"""First key and the first key after: what `scan` takes."""

REPLICATED_RANGE: Final[KeyRange] = (REPLICATED, b"\x02")

U32_MAX: Final = 2**32 - 1
U64_MAX: Final = 2**64 - 1

_ACCOUNT: Final = struct.Struct(">BHQ")
_PLAIN: Final = struct.Struct(">BHQc")  # account rows of which there is one
_BYTE: Final = struct.Struct(">BHQcB")
_BYTE_U64: Final = struct.Struct(">BHQcBQ")
_BYTE_BYTE: Final = struct.Struct(">BHQcBB")
_NUMBER: Final = struct.Struct(">BHQcQ")
_NUMBER_U32: Final = struct.Struct(">BHQcQI")
_NUMBER_ALONE: Final = struct.Struct(f">{_PLAIN.size}xQ")
_UID_ALONE: Final = struct.Struct(f">{_NUMBER.size}xI")
_TWO: Final = struct.Struct(">BHQcQQ")
_THREE: Final = struct.Struct(">BHQcQQQ")
_HASH: Final = struct.Struct(">BHQc16s")
_BLOB: Final = struct.Struct(">BHQc32s")
_BLOB_U64: Final = struct.Struct(">BHQc32sQ")
_BLOB_HOLDER: Final = struct.Struct(">BHQc32sBQ")

HINT_BYTES: Final = 16


class TypeCode(IntEnum):
    """Kinds of records, in change logs, collections and announcements. On disk; only add."""

    MAILBOX = 1
    EMAIL = 2
    THREAD = 3
    EMAIL_DELIVERY = 4
    IDENTITY = 5
    SUBMISSION = 6
    VACATION = 7
    SCRIPT = 8
    PUSH_SUBSCRIPTION = 9
    QUOTA = 10
    ACCOUNT = 11
    DOMAIN = 12
    MAILING_LIST = 13
    UPLOAD = 14
    HIDDEN_EMAIL = 15  # changes of emails marked $deleted: IMAP follows them, JMAP does not
    ANNOTATION = 16
    RIGHTS = 17
    URL_KEY = 18
    GRANT = 19  # what OAuth has in the system account: due at its end, told when it is revoked

    @property
    def bit(self) -> int:
        """This type in an announcement's mask."""
        return 1 << self.value


# --- an account and its counters


def account_prefix(account: AccountId) -> bytes:
    """All rows of one account start with this."""
    return _ACCOUNT.pack(1, GROUP, account)


def account_of(key: bytes) -> AccountId:
    """Whose a replicated row is."""
    return AccountId(_ACCOUNT.unpack_from(key)[2])


def account_range(account: AccountId) -> KeyRange:
    """All rows of one account."""
    prefix = account_prefix(account)
    return prefix, prefix_end(prefix)


BOOTSTRAPPED_KEY: Final = account_prefix(SYSTEM_ACCOUNT) + b"f"


def version_key(account: AccountId) -> bytes:
    """Where the account's version is."""
    return _PLAIN.pack(1, GROUP, account, b"V")


def state_key(account: AccountId) -> bytes:
    """Where the account's counters are."""
    return _PLAIN.pack(1, GROUP, account, b"S")


def counter_key(account: AccountId, kind: int) -> bytes:
    """Where the next id of a Collection of this type is."""
    return _BYTE.pack(1, GROUP, account, b"k", kind)


# --- change log


def change_key(account: AccountId, kind: int, version: int) -> bytes:
    """What `version` changed of one type."""
    return _BYTE_U64.pack(1, GROUP, account, b"c", kind, version)


def change_range(account: AccountId, kind: int, after: int, last: int = U64_MAX - 1) -> KeyRange:
    """Changes of one type with after < version <= last."""
    return change_key(account, kind, after + 1), change_key(account, kind, last + 1)


def unpack_change_key(key: bytes) -> tuple[int, Version]:
    """Type and version."""
    fields = _BYTE_U64.unpack(key)
    return fields[4], Version(fields[5])


def change_log_range(account: AccountId) -> KeyRange:
    """The change log of all types of an account."""
    prefix = _PLAIN.pack(1, GROUP, account, b"c")
    return prefix, prefix_end(prefix)


def horizon_key(account: AccountId) -> bytes:
    """Where the version is that the change log goes back to."""
    return _PLAIN.pack(1, GROUP, account, b"z")


def expunged_key(account: AccountId, mailbox: MailboxId, version: int) -> bytes:
    """The UIDs that left a mailbox at `version`."""
    return _TWO.pack(1, GROUP, account, b"x", mailbox, version)


def expunged_range(
    account: AccountId, mailbox: MailboxId, after: int, last: int = U64_MAX - 1
) -> KeyRange:
    """What left a mailbox at versions with after < version <= last."""
    first = expunged_key(account, mailbox, after + 1)
    return first, expunged_key(account, mailbox, last + 1)


def unpack_expunged_key(key: bytes) -> tuple[MailboxId, Version]:
    """Mailbox and version."""
    fields = _TWO.unpack(key)
    return MailboxId(fields[4]), Version(fields[5])


# --- records and indexes of Collections


def record_key(account: AccountId, kind: int, number: int) -> bytes:
    """One record."""
    return _BYTE_U64.pack(1, GROUP, account, b"r", kind, number)


def record_range(account: AccountId, kind: int, first: int = 0) -> KeyRange:
    """All records of a type, from id `first`."""
    return record_key(account, kind, first), prefix_end(_BYTE.pack(1, GROUP, account, b"r", kind))


def unpack_record_key(key: bytes) -> tuple[int, int]:
    """Type and id."""
    fields = _BYTE_U64.unpack(key)
    return fields[4], fields[5]


def index_prefix(account: AccountId, kind: int, index: int) -> bytes:
    """All rows of one index start with this; the indexed value follows."""
    return _BYTE_BYTE.pack(1, GROUP, account, b"i", kind, index)


# --- mail


def email_meta_key(account: AccountId, email: EmailId) -> bytes:
    """EmailMeta."""
    return _NUMBER.pack(1, GROUP, account, b"m", email)


def email_meta_range(account: AccountId, first: int = 0) -> KeyRange:
    """All EmailMeta rows of an account, by id, from `first`."""
    return (
        _NUMBER.pack(1, GROUP, account, b"m", first),
        prefix_end(_PLAIN.pack(1, GROUP, account, b"m")),
    )


def unpack_email_meta_key(key: bytes) -> EmailId:
    """The email of an EmailMeta row."""
    return EmailId(_NUMBER.unpack(key)[4])


def email_view_key(account: AccountId, email: EmailId) -> bytes:
    """EmailView."""
    return _NUMBER.pack(1, GROUP, account, b"l", email)


def email_parts_key(account: AccountId, email: EmailId) -> bytes:
    """The packed part tree."""
    return _NUMBER.pack(1, GROUP, account, b"p", email)


def uid_key(account: AccountId, mailbox: MailboxId, uid: int) -> bytes:
    """UidRow."""
    return _NUMBER_U32.pack(1, GROUP, account, b"u", mailbox, uid)


def uid_range(
    account: AccountId, mailbox: MailboxId, first: int = 0, last: int = U32_MAX
) -> KeyRange:
    """UidRows of a mailbox with first <= uid <= last."""
    # The key of (mailbox, last) with one byte more is the first after it.
    return uid_key(account, mailbox, first), uid_key(account, mailbox, last) + b"\x00"


def unpack_uid_key(key: bytes) -> tuple[MailboxId, int]:
    """Mailbox and UID."""
    fields = _NUMBER_U32.unpack(key)
    return MailboxId(fields[4]), fields[5]


def unpack_numbers(number_keys: Iterable[bytes]) -> list[int]:
    """The last number alone of many keys of rows by email, or by mailbox, at once."""
    return [number for (number,) in _NUMBER_ALONE.iter_unpack(b"".join(number_keys))]


def unpack_uids(uid_keys: Iterable[bytes]) -> list[int]:
    """The UIDs alone of many UidRow keys, at once: an index of a mailbox is made of them."""
    return [uid for (uid,) in _UID_ALONE.iter_unpack(b"".join(uid_keys))]


def mailbox_counts_key(account: AccountId, mailbox: MailboxId) -> bytes:
    """MailboxCounts."""
    return _NUMBER.pack(1, GROUP, account, b"n", mailbox)


def mailbox_counts_range(account: AccountId) -> KeyRange:
    """MailboxCounts of every mailbox, by id."""
    prefix = _PLAIN.pack(1, GROUP, account, b"n")
    return prefix, prefix_end(prefix)


def unpack_mailbox_counts_key(key: bytes) -> MailboxId:
    """The mailbox of a MailboxCounts row."""
    return MailboxId(_NUMBER.unpack(key)[4])


def date_key(account: AccountId, mailbox: MailboxId, received_ms: int, email: EmailId) -> bytes:
    """An email's place in its mailbox by date (mailbox 0: in the account)."""
    return _THREE.pack(1, GROUP, account, b"d", mailbox, received_ms, email)


def date_range(
    account: AccountId, mailbox: MailboxId, first_ms: int = 0, end_ms: int | None = None
) -> KeyRange:
    """Emails of a mailbox with first_ms <= received < end_ms (None: without end)."""
    first = _TWO.pack(1, GROUP, account, b"d", mailbox, first_ms)
    if end_ms is None:
        return first, prefix_end(_NUMBER.pack(1, GROUP, account, b"d", mailbox))
    return first, _TWO.pack(1, GROUP, account, b"d", mailbox, end_ms)


def unpack_date_key(key: bytes) -> tuple[MailboxId, int, EmailId]:
    """Mailbox, milliseconds, email."""
    fields = _THREE.unpack(key)
    return MailboxId(fields[4]), fields[5], EmailId(fields[6])


def thread_key(account: AccountId, thread: ThreadId) -> bytes:
    """ThreadRecord."""
    return _NUMBER.pack(1, GROUP, account, b"t", thread)


def thread_range(account: AccountId, first: int = 0) -> KeyRange:
    """ThreadRecords by id, from `first`."""
    return (
        _NUMBER.pack(1, GROUP, account, b"t", first),
        prefix_end(_PLAIN.pack(1, GROUP, account, b"t")),
    )


def unpack_thread_key(key: bytes) -> ThreadId:
    """The thread of a ThreadRecord row."""
    return ThreadId(_NUMBER.unpack(key)[4])


def thread_hint_key(account: AccountId, hint: bytes) -> bytes:
    """The thread that the next email with this message id and base subject joins (RFC 8621 3)."""
    assert len(hint) == HINT_BYTES, hint
    return _HASH.pack(1, GROUP, account, b"h", hint)


def thread_hint_range(account: AccountId) -> KeyRange:
    """All thread hints of an account."""
    prefix = _PLAIN.pack(1, GROUP, account, b"h")
    return prefix, prefix_end(prefix)


def unpack_thread_hint_key(key: bytes) -> bytes:
    """The hash."""
    hint: bytes = _HASH.unpack(key)[4]
    return hint


# --- blobs


def blob_link_key(account: AccountId, blob: BlobId, holder_type: int, holder: int) -> bytes:
    """That a record of the account holds a blob."""
    return _BLOB_HOLDER.pack(1, GROUP, account, b"b", blob, holder_type, holder)


def blob_link_range(account: AccountId, blob: BlobId) -> KeyRange:
    """All holders of a blob in an account."""
    prefix = _BLOB.pack(1, GROUP, account, b"b", blob)
    return prefix, prefix + b"\xff" * 10


def unpack_blob_link_key(key: bytes) -> tuple[BlobId, int, int]:
    """Blob, holder's type, holder's id."""
    fields = _BLOB_HOLDER.unpack(key)
    return BlobId(fields[4]), fields[5], fields[6]


def blob_key(blob: BlobId) -> bytes:
    """That a blob is whole."""
    return _BLOB.pack(1, GROUP, SYSTEM_ACCOUNT, b"B", blob)


def blob_part_key(blob: BlobId, offset: int) -> bytes:
    """That a part of a blob not yet whole is there."""
    return _BLOB_U64.pack(1, GROUP, SYSTEM_ACCOUNT, b"q", blob, offset)


def lone_blob_key(blob: BlobId) -> bytes:
    """That nobody has linked a blob since this was written."""
    return _BLOB.pack(1, GROUP, SYSTEM_ACCOUNT, b"X", blob)


def blobs_range(letter: bytes) -> KeyRange:
    """All whole blobs (B), all parts of others (q), or all that are lone (X)."""
    prefix = account_prefix(SYSTEM_ACCOUNT) + letter
    return prefix, prefix_end(prefix)


# --- proposals


def outcome_key(replica: int, epoch: int, sequence: int) -> bytes:
    """The outcome of a proposal."""
    return _THREE.pack(1, GROUP, SYSTEM_ACCOUNT, b"o", replica, epoch, sequence)


def outcome_range(replica: int | None = None) -> KeyRange:
    """Outcomes of one replica, or of all."""
    if replica is None:
        prefix = _PLAIN.pack(1, GROUP, SYSTEM_ACCOUNT, b"o")
        return prefix, prefix_end(prefix)
    prefix = _NUMBER.pack(1, GROUP, SYSTEM_ACCOUNT, b"o", replica)
    return prefix, prefix_end(prefix)


def unpack_outcome_key(key: bytes) -> tuple[int, int, int]:
    """Replica, epoch, sequence."""
    fields = _THREE.unpack(key)
    return fields[4], fields[5], fields[6]


def epoch_key(replica: int) -> bytes:
    """The boot epoch a replica has registered."""
    return _NUMBER.pack(1, GROUP, SYSTEM_ACCOUNT, b"e", replica)


def epoch_range() -> KeyRange:
    """The boot epochs of all replicas."""
    prefix = _PLAIN.pack(1, GROUP, SYSTEM_ACCOUNT, b"e")
    return prefix, prefix_end(prefix)


def unpack_epoch_key(key: bytes) -> int:
    """The replica of an epoch row."""
    return int(_NUMBER.unpack(key)[4])
