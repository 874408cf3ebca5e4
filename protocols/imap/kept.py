"""Responses of FETCH that were told lately, kept from one command to the next.

Each device of a user asks the same of the same mailbox, and some ask for all flags whenever they
look. The row of a message tells all of it that may change, and what may not follows from its blob,
so responses made of the same rows, for the same items, are the same octets. Nothing has to be taken
back here, only the oldest forgotten.
"""

from array import array
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import chain
from typing import Final, NamedTuple

from protocols.imap.fetch_commands import FetchItem
from protocols.imap.flags import RECENT
from protocols.imap.sets import Range
from storage.engine import Row
from storage.ids import AccountId

# Nobody finds two windows with one digest, be they his own (as nobody does two blobs).
DIGEST_BYTES: Final = 32
# Fewer messages than this are as soon rendered as found.
MESSAGES_MIN: Final = 16
# One command fills, or finds, no more than this share of the room and keeps nothing more: else the
# end of a mailbox that is larger than all of it would always put out the beginning.
COMMAND_SHARE: Final = 2
# Where they show nothing that may change without the row of the message.
LASTING: Final = frozenset(FetchItem) - {FetchItem.THREADID}
# What an entry takes beside its octets, about: a key of five, a digest, its place.
_ENTRY_OCTETS: Final = 600
# How the flags of a response begin, which are the first that it tells; and what ends them.
_FLAGS: Final = b"(FLAGS ("
_CLOSING: Final = ord(")")


class Name(NamedTuple):
    """What makes two answers the same."""

    rows: bytes
    """A digest of keys and rows: account, mailbox and UIDs are in the keys."""
    sequence: int
    """The number of the first message; the others follow without a gap."""
    items: frozenset[FetchItem]
    by_uid: bool
    owner: AccountId | None
    """Whose mailbox it is, if another's: object ids tell."""


def _no_ends() -> "array[int]":
    return array("I")


@dataclass(frozen=True, slots=True)
class Answer:
    """Responses as a session sees them to which nothing is \\Recent."""

    octets: bytes
    keywords: tuple[tuple[str, ...], ...] = ()
    """The sets of keywords that they show, which the client must have been told of."""
    ends: "array[int]" = field(default_factory=_no_ends)
    """Where each response ends, when they begin with flags."""

    @property
    def weight(self) -> int:
        """What it takes of the room."""
        words = sum(map(len, chain.from_iterable(self.keywords)))
        return len(self.octets) + words + len(self.ends) * self.ends.itemsize + _ENTRY_OCTETS

    def marked(self, places: Iterable[Range]) -> bytes:
        """The same for a session to which those at these places, ascending, are \\Recent."""
        pieces: list[bytes] = []
        octets, ends, told = self.octets, self.ends, 0
        for first, end in places:
            for at in range(first, end):
                begun = octets.index(_FLAGS, ends[at - 1] if at else 0) + len(_FLAGS)
                pieces += (octets[told:begun], RECENT)
                if octets[begun] != _CLOSING:
                    pieces.append(b" ")
                told = begun
        return b"".join([*pieces, octets[told:]]) if pieces else octets


def digest(packed: Iterable[Row]) -> bytes:
    """Of the rows of messages as they are stored."""
    return blake2b(b"".join(chain.from_iterable(packed)), digest_size=DIGEST_BYTES).digest()


class KeptAnswers:
    """The answers used last, as many as fit `octets_max`."""

    def __init__(self, octets_max: int) -> None:
        self._octets_max: Final = octets_max
        self._held: OrderedDict[Name, Answer] = OrderedDict()
        self.octets = 0
        """What all of them take."""

    def __len__(self) -> int:
        return len(self._held)

    @property
    def command_octets_max(self) -> int:
        """How much of it one command may fill."""
        return self._octets_max // COMMAND_SHARE

    def get(self, name: Name) -> Answer | None:
        """The answer, if it is here."""
        found = self._held.get(name)
        if found is not None:
            self._held.move_to_end(name)
        return found

    def keep(self, name: Name, answer: Answer) -> None:
        """Remember an answer that was not here; those used longest ago are forgotten for it."""
        self._held[name] = answer
        self.octets += answer.weight
        while self.octets > self._octets_max:
            self.octets -= self._held.popitem(last=False)[1].weight
