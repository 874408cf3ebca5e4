"""UIDBATCHES: a mailbox in batches of so many messages, as ranges of UIDs (RFC 10022). Sans-IO.

Batches are counted from the newest messages on. Each begins right below the one before it, and the
last one ends at 1, so that every UID up to the highest is in one of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from protocols.imap.tokens import Tokens

# RFC 10022 3.1.3: batches of 500 must be given; smaller ones would be sequence numbers again.
BATCH_MESSAGES_MIN: Final = 500
# RFC 10022 3.1.5: 200 of the smallest must be; so many are 200 KB of one line.
BATCHES_MAX: Final = 10_000

Batch = tuple[int, int]
"""The highest UID and the lowest, both included."""


@dataclass(frozen=True, slots=True)
class UidBatches:
    """RFC 10022 3.1: batches of `size` messages, all of them or the `first` to the `last`."""

    size: int
    first: int = 1
    last: int | None = None


def parse_uid_batches(tokens: Tokens) -> UidBatches:
    """What follows UIDBATCHES: a size, and which batches if not all."""
    tokens.space()
    size = tokens.nz_number()
    if tokens.at_end:
        return UidBatches(size)
    tokens.space()
    first = tokens.nz_number()
    tokens.expect(b":")
    return UidBatches(size, first, tokens.nz_number())


def count_batches(messages: int, command: UidBatches) -> int:
    """How many there would be in the answer, at most."""
    if command.last is not None:
        return command.last - command.first + 1
    return -(-messages // command.size)


def batches(uids: Sequence[int], command: UidBatches) -> list[Batch]:
    """The batches that are asked for, of ascending UIDs."""
    found: list[Batch] = []
    last = command.last or len(uids)
    for number in range(command.first, last + 1):
        end = len(uids) - (number - 1) * command.size
        if end <= 0:
            break
        start = end - command.size
        # One begins below the oldest message of the one before, which may be far above its own.
        high = uids[-1] if end == len(uids) else uids[end] - 1
        found.append((high, uids[start] if start > 0 else 1))
    return found
