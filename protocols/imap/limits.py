"""Limits that more than one file of the room knows."""

from typing import Final

MIB: Final = 1024 * 1024

# The largest message APPEND takes where `[limits] message-bytes` says nothing else, as LMTP's SIZE;
# a longer literal is refused unread.
APPEND_BYTES_MAX: Final = 50 * MIB
