"""One IMAP connection of a stress client: lines and literals, and the last of what was said."""

import re
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

import trio

from fuzz.imap_view import Violation
from tests.protocols.imap.grammar import Heard

# With one node of three dead and two cores for everybody; what takes longer never comes.
ANSWER_S: Final = 120.0
DIALOGUE_LINES: Final = 60
SHOWN_BYTES: Final = 400
_LITERAL: Final = re.compile(rb"~?\{([0-9]+)\}\Z")


class Cut(Exception):
    """The connection is gone, or the node takes no more commands."""


class World(Protocol):
    """Where the nodes are, and who may come in."""

    user: str
    password: str

    @property
    def names(self) -> Sequence[str]:
        """All nodes."""

    async def dial(self, name: str) -> trio.abc.Stream:
        """A connection to a node's IMAP door; raises OSError."""

    def deaths(self, name: str) -> int:
        """How often the node was ended so far."""

    def is_dying(self, name: str) -> bool:
        """It is being ended just now."""


class Line:
    """One connection."""

    def __init__(self, world: World, name: str, stream: trio.abc.Stream) -> None:
        self.world, self.name = world, name
        self._stream = stream
        self._deaths = world.deaths(name)
        self._held = bytearray()
        self._heard = Heard()
        self._said_bye = False
        self.dialogue: deque[str] = deque(maxlen=DIALOGUE_LINES)

    @classmethod
    async def dial(cls, world: World, name: str) -> "Line":
        """A new connection; its greeting comes first."""
        deaths = world.deaths(name)
        try:
            with trio.fail_after(ANSWER_S):
                line = cls(world, name, await world.dial(name))
        except OSError as error:
            raise Cut(str(error)) from error
        line._deaths = deaths
        return line

    async def send(self, octets: bytes) -> None:
        """Commands."""
        for said in octets.rstrip(b"\r\n").split(b"\r\n"):
            self._note("C", said)
        try:
            await self._stream.send_all(octets)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise self._ended() from error

    async def response(self) -> tuple[bytes, list[bytes]]:
        """The next response: its text without CRLF, literals left out, and the literals."""
        text, literals = bytearray(), []
        with trio.move_on_after(ANSWER_S) as scope:
            while True:
                text += await self._line()
                literal = _LITERAL.search(text)
                if literal is None or text.startswith(b"+"):
                    break
                literals.append(await self._exactly(int(literal[1])))
        if scope.cancelled_caught:
            raise Violation(f"no answer within {ANSWER_S:g} s")
        said = bytes(text)
        self._note("S", said)
        self._said_bye = self._said_bye or said.startswith(b"* BYE")
        return said, literals

    async def close(self) -> None:
        """Hang up."""
        await trio.aclose_forcefully(self._stream)

    async def _line(self) -> bytes:
        while (end := self._held.find(b"\n")) < 0:
            await self._more()
        found = bytes(self._held[: end + 1])
        del self._held[: end + 1]
        if not found.endswith(b"\r\n"):
            raise Violation("a line that does not end in CRLF")
        return found[:-2]

    async def _exactly(self, count: int) -> bytes:
        while len(self._held) < count:
            await self._more()
        found = bytes(self._held[:count])
        del self._held[:count]
        return found

    async def _more(self) -> None:
        try:
            data = await self._stream.receive_some(65536)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise self._ended() from error
        if not data:
            raise self._ended()
        try:
            self._heard.feed(data)
        except AssertionError as error:
            raise Violation(str(error)) from error
        self._held += data

    def _ended(self) -> Exception:
        """A server hangs up after BYE, or because it is dead; else it has a fault."""
        world, name = self.world, self.name
        if self._said_bye or world.is_dying(name) or world.deaths(name) != self._deaths:
            return Cut("closed")
        return Violation("hung up without a word")

    def _note(self, who: str, said: bytes) -> None:
        shown = said[:SHOWN_BYTES].decode("utf-8", "replace")
        self.dialogue.append(f"{trio.current_time():.3f} {self.name} {who}: {shown}")
