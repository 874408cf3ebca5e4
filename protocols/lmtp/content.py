"""The octets of a message on their way in: DATA's dots, BDAT's counts, and what may be held.

Only CRLF "." CRLF ends DATA (RFC 5321 4.1.1.4, 2.3.8). A bare CR or bare LF is neither the end of a
line nor a fault: it stays in the message as it came, and a dot after it is just a dot. So nothing
that another server would read as a message's end can end one here (SMTP smuggling), and a message
is stored octet for octet. Time is linear in the octets however they are cut into pieces.
"""

from enum import Enum, auto
from typing import Final

from protocols.buffer import ReceiveBuffer
from protocols.lmtp import replies
from protocols.lmtp.replies import Reply

MIB: Final = 1024 * 1024

# What of a message that cannot be kept is read to its end before the connection is given up: twice
# the usual limit, for a sender that ignores SIZE.
DROPPED_BYTES_MAX: Final = 100 * MIB

_CRLF_DOT: Final = b"\r\n."
_CRLF: Final = b"\r\n"


class DotReader:
    """DATA's transparency undone (RFC 5321 4.5.2), piece by piece."""

    __slots__ = ("_held", "_owed")

    def __init__(self) -> None:
        # The line of the DATA command ended in CRLF: a first line of "." is the end.
        self._held = _CRLF
        self._owed = len(_CRLF)  # leading octets of _held that are not the message's

    def feed(self, piece: bytes) -> tuple[bytes, bytes | None]:
        """Content to append, and what follows the end; None while the end has not come."""
        data = self._held + piece
        content: list[bytes] = []
        start = 0
        while (found := data.find(_CRLF_DOT, start)) >= 0:
            following = data[found + 3 : found + 5]
            if following == _CRLF:
                content.append(data[start : found + 2])
                return self._without_debt(content), data[found + 5 :]
            if following in (b"", b"\r"):
                break  # a stuffed dot or the end: the next piece tells
            content.append(data[start : found + 2])
            start = found + 3  # the dot is dropped, what follows it stays
        keep = found if found >= 0 else len(data) - _tail(data, start)
        content.append(data[start:keep])
        self._held = data[keep:]
        return self._without_debt(content), None

    def _without_debt(self, content: list[bytes]) -> bytes:
        joined = b"".join(content)
        paid = min(self._owed, len(joined))
        self._owed -= paid
        return joined[paid:]


def _tail(data: bytes, start: int) -> int:
    """How many last octets, from `start` on, may begin CRLF "."."""
    if data.endswith(_CRLF) and len(data) - start >= 2:
        return 2
    return 1 if data.endswith(b"\r") and len(data) > start else 0


class Budget:
    """Octets of messages that all connections of a door hold together."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self.held = 0

    @property
    def room(self) -> int:
        """How many more may be held."""
        return self._bytes_max - self.held

    def take(self, octets: int) -> bool:
        """Set so many aside; False, and nothing taken, when that is too much."""
        if octets > self.room:
            return False
        self.held += octets
        return True

    def give_back(self, octets: int) -> None:
        """No longer needed."""
        self.held -= octets
        assert self.held >= 0, self.held


# A message grows in such steps of the budget, so that most never ask twice.
_STEP_BYTES: Final = 64 * 1024


class Draft:
    """A message being received: within its own limit and the budget, or dropped as it comes."""

    def __init__(self, budget: Budget, *, bytes_max: int) -> None:
        self._budget = budget
        self._bytes_max = bytes_max
        self._octets = bytearray()
        self._reserved = 0
        self.too_big = False
        """More came than one message may have."""
        self.no_room = False
        """More came than all connections may hold together."""
        self.dropped = 0
        """Octets received since one of these, and forgotten."""

    @property
    def refusal(self) -> Reply | None:
        """Why it is not kept, if it is not."""
        if self.too_big:
            return replies.MESSAGE_TOO_BIG
        return replies.NO_ROOM if self.no_room else None

    def append(self, content: bytes) -> None:
        """Keep it, or count it as dropped."""
        size = len(self._octets) + len(content)
        if not (self.too_big or self.no_room):
            self.too_big = size > self._bytes_max
            self.no_room = not self.too_big and not self._grow(size)
        if self.too_big or self.no_room:
            self._octets.clear()
            self._release()
            self.dropped += len(content)
            return
        self._octets += content

    def _grow(self, size: int) -> bool:
        if size <= self._reserved:
            return True
        # A step ahead, so that most messages ask once; the bare size when there is no more room.
        for wanted in (min(size + _STEP_BYTES, self._bytes_max), size):
            if self._budget.take(wanted - self._reserved):
                self._reserved = wanted
                return True
        return False

    def finish(self) -> bytearray:
        """The whole message, handed over; its room stays taken until `close`."""
        whole, self._octets = self._octets, bytearray()
        return whole

    def close(self) -> None:
        """Forget all and give the room back."""
        self._octets.clear()
        self._release()

    def _release(self) -> None:
        self._budget.give_back(self._reserved)
        self._reserved = 0


class Taken(Enum):
    """How far an intake has come."""

    MORE = auto()  # all that was here is taken, the end is not
    ALL = auto()
    WASTE = auto()  # so much was dropped that the end is not worth waiting for


class DottedIntake:
    """Content of DATA, up to its dot."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._dots = DotReader()

    def take_from(self, buffer: ReceiveBuffer) -> Taken:
        """Take what is here; what follows the end stays in the buffer."""
        content, rest = self._dots.feed(buffer.take_up_to(len(buffer)))
        self._draft.append(content)
        if rest is not None:
            buffer.feed(rest)
            return Taken.ALL
        return Taken.WASTE if self._draft.dropped > DROPPED_BYTES_MAX else Taken.MORE


class ChunkIntake:
    """Content of one BDAT, as many octets as it said (RFC 3030 2); for no draft, dropped."""

    def __init__(self, draft: Draft | None, octets: int) -> None:
        self._draft = draft
        self._left = octets

    def take_from(self, buffer: ReceiveBuffer) -> Taken:
        """Take what is here of the chunk; what follows it stays in the buffer."""
        piece = buffer.take_up_to(self._left)
        self._left -= len(piece)
        if self._draft is not None:
            self._draft.append(piece)
        if not self._left:
            return Taken.ALL
        dropped = 0 if self._draft is None else self._draft.dropped
        return Taken.WASTE if dropped > DROPPED_BYTES_MAX else Taken.MORE
