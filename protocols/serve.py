"""The frame around one connection of a line protocol, from accepted to closed.

The session converses; this file sees to it that every conversation ends, and ends well: a peer
that broke the rules, was too slow, or is being sent away because the node stops hears so in the
door's own words, a peer that is gone is told nothing, and the stream is closed in time. A bug of
ours is none of these and rises.

One cancel scope per connection carries all its time limits, moved as the conversation goes on
(`Patience`): a slow-loris that sends an octet a minute runs into the limit of the command it never
finishes, and one that finishes idle commands for ever without logging in into UNAUTHENTICATED_S.
"""

import math
from typing import Final, Protocol

import trio

from protocols.errors import RemoteProtocolError
from protocols.stream import DoorStream, PeerGone, PeerSlow

# From the greeting to a proven identity, handshake, typing and a slow hash included.
UNAUTHENTICATED_S: Final = 60.0
# From a command's first octet to its end, literals and message data apart.
COMMAND_S: Final = 60.0
# Parting words, then closing: the most a connection outlives its conversation by.
FAREWELL_S: Final = 3.0


class Closing(Exception):
    """The node stops: the connection is ended by us, through no fault of the peer's."""


Fault = RemoteProtocolError | PeerSlow | Closing


class OpeningHours:
    """Whether a door still converses. When it closes, who has nothing begun is sent away at once;
    the others may end what they are at, and are sent away then.
    """

    def __init__(self) -> None:
        self.over = False
        self.resting: dict[Patience, None] = {}
        """Connections that wait for their next command, in the order they began to."""

    def close(self) -> None:
        """Converse no more."""
        self.over = True
        for patience in list(self.resting):
            patience.dismiss()


class Patience:
    """How long the connection may take for what it is doing now."""

    def __init__(self, hours: OpeningHours) -> None:
        self._hours = hours
        self._rest = _Rest(self, hours)
        self._held = False
        self.dismissed = False
        """The door closed while nothing was begun here."""
        self.scope = trio.CancelScope()
        self._latest = trio.current_time() + UNAUTHENTICATED_S
        self.scope.deadline = self._latest

    def allow(self, seconds: float) -> None:
        """What comes next is over within `seconds`, or the conversation is."""
        self.scope.deadline = min(trio.current_time() + seconds, self._latest)

    def lift(self) -> None:
        """What comes next is our own work, bounded elsewhere: the peer is not to blame."""
        self.scope.deadline = self._latest

    def rest(self) -> "_Rest":
        """A wait for the peer while nothing is begun. Raises Closing once the door has closed."""
        if self._hours.over:
            raise Closing
        return self._rest

    def hold(self) -> None:
        """Something is begun that goes on beside a rest: a door that closes lets it end."""
        self._held = True

    def let_go(self) -> None:
        """It has ended."""
        self._held = False
        if self._hours.over and self in self._hours.resting:
            self.dismiss()

    def dismiss(self) -> None:
        """The door closes: the conversation is over where it rests, unless it is held."""
        if not self._held:
            self.dismissed = True
            self.scope.cancel()

    def trust(self) -> None:
        """The peer has proved who it is, or needs not: UNAUTHENTICATED_S no longer counts."""
        self._latest = math.inf

    def distrust(self) -> None:
        """The peer is a stranger again: it has UNAUTHENTICATED_S to prove who it is."""
        self._latest = trio.current_time() + UNAUTHENTICATED_S
        self.scope.deadline = self._latest


class _Rest:
    """Patience.rest; made once for a connection, since it is entered with every command."""

    __slots__ = ("_hours", "_patience")

    def __init__(self, patience: Patience, hours: OpeningHours) -> None:
        self._patience = patience
        self._hours = hours

    def __enter__(self) -> None:
        self._hours.resting[self._patience] = None

    def __exit__(self, *_: object) -> None:
        self._hours.resting.pop(self._patience, None)


class Session(Protocol):
    """A door's side of one connection."""

    async def run(self, patience: Patience) -> None:
        """Greet, converse, return when it is over. Raises RemoteProtocolError, PeerGone, PeerSlow,
        Closing.

        Sets `patience` before each wait for the peer: a long limit while nothing has come of the
        next command, COMMAND_S from its first octet on.
        """

    def farewell(self, fault: Fault) -> bytes:
        """The last words: IMAP's BYE, LMTP's 421; b"" to say nothing."""


async def run_connection(stream: DoorStream, session: Session, hours: OpeningHours) -> None:
    """Run the session to its end, say the last words if any are due, close the stream."""
    fault: Fault | None = Closing()  # what it is if nothing below decides otherwise
    try:
        fault = await _converse(session, hours)
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + FAREWELL_S):
            if fault is not None and stream.writable:
                await _say(stream, session.farewell(fault))
            await stream.aclose()


async def _converse(session: Session, hours: OpeningHours) -> Fault | None:
    patience = Patience(hours)
    faults: list[Fault] = []
    gone = False
    with patience.scope:
        try:
            await session.run(patience)
        except* PeerGone:  # a session may have a nursery of its own, hence groups
            gone = True
        except* (RemoteProtocolError, PeerSlow, Closing) as group:
            faults = [_first(group)]
    if gone:
        return None
    if patience.dismissed:
        return Closing()
    if patience.scope.cancelled_caught:
        return PeerSlow("too long for one command")
    return faults[0] if faults else None


def _first(group: BaseExceptionGroup[Fault]) -> Fault:
    leaf: BaseException = group
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    assert isinstance(leaf, Fault)
    return leaf


async def _say(stream: DoorStream, words: bytes) -> None:
    if not words:
        return
    try:
        await stream.send_all(words, timeout_s=FAREWELL_S)
    except (PeerGone, PeerSlow):
        pass  # nobody heard it; the connection closes all the same
