"""Keys of push: rows of the system account, beside those of keys.py.

w  push watch   account u64 | subscription u64  -> told version u64 | what was done u8
v  push key                                     -> the private key that signs pushes
j  old push key                                 -> the one before | until when it signs u64 (ms)
"""

import struct
from typing import Final

from storage.engine import prefix_end
from storage.ids import SYSTEM_ACCOUNT, AccountId
from storage.keys import KeyRange, account_prefix

PUSH_KEY_KEY: Final = account_prefix(SYSTEM_ACCOUNT) + b"v"
OLD_PUSH_KEY_KEY: Final = account_prefix(SYSTEM_ACCOUNT) + b"j"

_WATCHES: Final = account_prefix(SYSTEM_ACCOUNT) + b"w"
_ACCOUNT: Final = struct.Struct(">Q")
_PAIR: Final = struct.Struct(">QQ")


def push_watch_key(account: AccountId, number: int) -> bytes:
    """How far a push subscription of an account has been told."""
    return _WATCHES + _PAIR.pack(account, number)


def push_watch_range(account: AccountId | None = None) -> KeyRange:
    """All watches of one account, or of all accounts."""
    prefix = _WATCHES if account is None else _WATCHES + _ACCOUNT.pack(account)
    return prefix, prefix_end(prefix)


def unpack_push_watch_key(key: bytes) -> tuple[AccountId, int]:
    """Account and subscription."""
    account, number = _PAIR.unpack(key[len(_WATCHES) :])
    return AccountId(account), number
