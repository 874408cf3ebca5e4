"""Every key in the database, in one table. Numbers here are on disk and never change meaning.

    replicated   0x01 | group u16 | account u64 | collection u8 | rest
    local        0x00 | name                       (this node only: never in a snapshot or a hash)

Account rows, by collection (all integers big-endian, so bytes sort as tuples):

    V  version                                      -> u64, the account's change number
    S  account state                                -> counters: next ids, bytes and emails held
    c  change log    type u8 | version u64          -> changed ids
    r  records       type u8 | id u64               -> one record of a Collection
    i  index         type u8 | index u8 | value...  -> per index
    m  email meta        email u64                  -> EmailMeta: the little that changes
    l  email list view   email u64                  -> EmailView: rendered once
    p  email parts       email u64                  -> part tree with offsets
    u  uid           mailbox u64 | uid u32          -> UidRow
    n  mailbox counts    mailbox u64                -> MailboxCounts
    d  by date       mailbox u64 | received u64 | email u64 -> thread u64
    t  thread            thread u64                 -> ThreadRecord
    h  thread hint   message-id hash 8 | email u64  -> thread u64 | subject hash 8
    b  blob held         blob 32 | holder type u8 | holder u64 -> (empty)
System account (0):
    B  blob              blob 32                    -> total u64: every byte is on this node
    o  outcome           replica u64 | epoch u64 | sequence u64 -> outcome
    e  boot epoch        replica u64                -> epoch u64 and who registered
"""

import struct
from enum import IntEnum
from typing import Final

from storage.ids import AccountId

GROUP: Final = 0
LOCAL: Final = b"\x00"
REPLICATED: Final = b"\x01"

_ACCOUNT: Final = struct.Struct(">BHQ")
_U64: Final = struct.Struct(">Q")


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
    ADDRESS = 13
    UPLOAD = 14

    @property
    def bit(self) -> int:
        """This type in an announcement's mask."""
        return 1 << self.value


def account_prefix(account: AccountId) -> bytes:
    """All rows of one account start with this."""
    return _ACCOUNT.pack(1, GROUP, account)


def version_key(account: AccountId) -> bytes:
    """Where the account's version is."""
    return account_prefix(account) + b"V"
