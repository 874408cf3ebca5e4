"""APPENDs of a client that waits for none of them (RFC 9051 5.5): all that come while one commit
is under way are the next, and each is answered in its turn.

    session: read, parse, prepare  --add-->  waiting  --run-->  a group: one commit, its answers

They are done in the order in which they came, each all or not at all, and refused alone. Whatever
else the client asks for is not begun before they are answered. What may be under way is bounded;
beyond, nothing more is read, not so much as the size of the next literal.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import trio

from protocols.imap.core import LiteralRoom, Request
from protocols.imap.ops.append import Incoming
from protocols.imap.responses import Ending
from protocols.serve import Patience

KIB: Final = 1024
MIB: Final = 1024 * KIB

# APPENDs of one connection that are not answered: mbsync sends as many as it is let.
UPLOADS_MAX: Final = 64
# The same by octets of their messages; one more may begin while there are fewer.
UPLOADS_BYTES_MAX: Final = 1 * MIB
# What one commit takes in, but for a message that is larger by itself: so much travels in one
# batch with its rows, and what others write to the account is not kept waiting for long.
GROUP_BYTES_MAX: Final = 448 * KIB
# How often others have their turn without the session having received more: then what the client
# has sent is here, and is not waited for any longer. A compressed octet takes two turns.
QUIET_TURNS: Final = 4


@dataclass(frozen=True, slots=True)
class Upload:
    """An APPEND that has come whole: prepared, or with the ending that it has already."""

    request: Request
    incoming: Incoming | Ending

    @property
    def octets(self) -> int:
        """Of its messages, as they wait to be written."""
        return 0 if isinstance(self.incoming, Ending) else self.incoming.octets


Carry = Callable[[Sequence[Upload]], Awaitable[None]]


class Uploads:
    """Those of one connection; `run` must be running from the first `add` to `close`."""

    def __init__(self, carry: Carry, room: LiteralRoom, patience: Patience) -> None:
        """`carry` does a group and answers it."""
        self._carry = carry
        self._room = room
        self._patience = patience
        self._waiting: deque[Upload] = deque()
        self._closed = False
        self._moved = trio.lowlevel.ParkingLot()
        self._held = 0  # octets of literals, from the room
        self._unanswered = 0
        self._octets = 0  # of those
        self.received = 0
        """Octets that the session has received meanwhile."""

    def hold(self, request: Request) -> None:
        """A request has come: what it holds of the room is given back when it is answered."""
        self._held += request.held

    def add(self, upload: Upload) -> None:
        """The next one."""
        self._patience.hold()
        self._waiting.append(upload)
        self._unanswered += 1
        self._octets += upload.octets
        self._moved.unpark_all()

    async def wait_room(self) -> None:
        """Block until one more may begin."""
        while not self._has_room:
            await self._moved.park()

    @property
    def _has_room(self) -> bool:
        return self._unanswered < UPLOADS_MAX and self._octets < UPLOADS_BYTES_MAX

    async def wait_answered(self) -> None:
        """Block until all are answered."""
        while self._unanswered:
            await self._moved.park()

    def close(self) -> None:
        """No more will come; `run` returns when all are answered."""
        self._closed = True
        self._moved.unpark_all()

    async def run(self) -> None:
        """Carry them out, group after group."""
        while True:
            while not self._waiting:
                if self._closed:
                    return
                await self._moved.park()
            await self._gather()
            group = self._take_group()
            await self._carry(group)
            for upload in group:
                self._unanswered -= 1
                self._octets -= upload.octets
                self._give_back(upload.request.held)
            if not self._unanswered:
                self._patience.let_go()
            self._moved.unpark_all()

    async def _gather(self) -> None:
        """Let the session take in what the client has sent already, as much as one commit takes:
        that costs about as much for many as for one."""
        began, seen, quiet = self.received, self.received, 0
        while quiet < QUIET_TURNS and self._has_room and seen - began < GROUP_BYTES_MAX:
            await trio.lowlevel.checkpoint()
            quiet = 0 if self.received != seen else quiet + 1
            seen = self.received

    def release(self) -> None:
        """The connection is over: whatever was not answered holds nothing."""
        self._give_back(self._held)
        self._patience.let_go()

    def _take_group(self) -> list[Upload]:
        group = [self._waiting.popleft()]
        octets = group[0].octets
        while self._waiting and octets + self._waiting[0].octets <= GROUP_BYTES_MAX:
            group.append(self._waiting.popleft())
            octets += group[-1].octets
        return group

    def _give_back(self, held: int) -> None:
        self._held -= held
        self._room.give(held)
