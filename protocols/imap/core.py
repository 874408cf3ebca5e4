"""The server's side of an IMAP connection as bytes in, requests out (RFC 9051 2.2, 3, 4.3).

Sans-IO. Gathers a command from lines and literals, refuses what is too long before it is read,
parses it, and checks it against the one table of phases. What must be said on the way (a
continuation, a BAD) is put in an outbox that the session sends before it waits again.

Requests come one at a time: the next is not looked at until the session asks, so that pipelined
commands see the phase their predecessors left (RFC 9051 5.5).

    NOT_AUTHENTICATED --authenticated--> AUTHENTICATED <--selected/unselected--> SELECTED
      AUTHENTICATED, SELECTED --unauthenticated--> NOT_AUTHENTICATED
            any of them --logged_out--> LOGOUT
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from protocols.buffer import ReceiveBuffer
from protocols.errors import LimitExceeded, LocalProtocolError, RemoteProtocolError
from protocols.imap import commands as c
from protocols.imap import responses
from protocols.imap.acl_commands import DeleteAcl, GetAcl, ListRights, MyRights, SetAcl
from protocols.imap.append_commands import Append, Replace
from protocols.imap.batches import UidBatches
from protocols.imap.connection_commands import Compress, GetJmapAccess, Unauthenticate
from protocols.imap.fetch_commands import Fetch
from protocols.imap.limits import APPEND_BYTES_MAX
from protocols.imap.metadata import GetMetadata, SetMetadata
from protocols.imap.parse import parse_command, parse_verb
from protocols.imap.quota_commands import GetQuota, GetQuotaRoot, SetQuota
from protocols.imap.responses import CHARSETS_CODE, Ending, bad, no, refused, render_ending
from protocols.imap.search_commands import (
    CancelUpdate,
    MultiSearch,
    NotSearched,
    Search,
    Sort,
    Thread,
)
from protocols.imap.search_keys import BadCharset
from protocols.imap.tokens import Tokens
from protocols.imap.url_commands import GenUrlAuth, ResetKey, UrlFetch

KIB: Final = 1024
MIB: Final = 1024 * KIB

# One line. Clients that name UIDs one by one need long lines; RFC 7162 4 asks for 8 KiB at least.
LINE_BYTES_MAX: Final = 64 * KIB
# A whole command, its lines and literals together, a message being appended apart.
COMMAND_BYTES_MAX: Final = 256 * KIB
# Before anyone has logged in a command is a name and a password.
STRANGER_BYTES_MAX: Final = 8 * KIB
# How many literals one command may have: each is a line of its own to put together.
LITERALS_MAX: Final = 256
# What all connections of the door together may hold of literals.
LITERALS_BYTES_MAX: Final = 256 * MIB
# Commands refused in a row before we hang up. A client that tries out what there is goes on for
# longer than one would think; a flood ends soon all the same.
ERRORS_MAX: Final = 100
# What is received and not yet looked at: one line, its ending, and the start of the next.
RECEIVE_BYTES_MAX: Final = LINE_BYTES_MAX + 8 * KIB

# What to ask the network for at once: few octets while waiting for a line (a thousand idle
# connections wait so), many while a message comes in.
LINE_READ_BYTES: Final = 4 * KIB
LITERAL_READ_BYTES: Final = 64 * KIB

# RFC 9051 4.3, RFC 7888, RFC 3516: what a line ends with when a literal follows.
_ANNOUNCED: Final = re.compile(rb"(~?)\{([0-9]+)(\+?)\}\Z")
# A count with more digits is over every limit; what follows it is a literal all the same, and must
# not be read as commands.
COUNT_DIGITS_MAX: Final = 20


class Phase(Enum):
    """RFC 9051 3: the states of a connection."""

    NOT_AUTHENTICATED = auto()
    AUTHENTICATED = auto()
    SELECTED = auto()
    LOGOUT = auto()


_ANYWHERE: Final[frozenset[type]] = frozenset({c.Capability, c.Noop, c.Logout, c.Id})
_MAILBOXES: Final[frozenset[type]] = frozenset(
    {
        c.Enable, c.Select, c.Create, c.Delete, c.Rename, c.Subscribe, c.List, c.Lsub,
        c.Namespace, c.Status, Append, c.Idle, c.Notify, Compress, Unauthenticate,
        GetMetadata, SetMetadata, GetQuota, GetQuotaRoot, SetQuota, GetJmapAccess,
        MultiSearch,
        SetAcl, DeleteAcl, GetAcl, ListRights, MyRights,
        ResetKey, GenUrlAuth, UrlFetch,
    }
)  # fmt: skip
_MESSAGES: Final[frozenset[type]] = frozenset(
    {
        c.Check, c.Close, c.Expunge, Fetch, c.Store, c.Copy, Replace,
        Search, Sort, Thread, NotSearched, CancelUpdate, UidBatches,
    }
)  # fmt: skip
# What reads or changes the selected mailbox: all but leaving it.
NEEDS_MAILBOX: Final = _MESSAGES - {c.Close}
WELCOME: Final[Mapping[Phase, frozenset[type]]] = {
    Phase.NOT_AUTHENTICATED: _ANYWHERE | {c.StartTls, c.Authenticate, c.Login},  # RFC 9051 6.2
    Phase.AUTHENTICATED: _ANYWHERE | _MAILBOXES,  # RFC 9051 6.3
    Phase.SELECTED: _ANYWHERE | _MAILBOXES | _MESSAGES,  # RFC 9051 6.4
    Phase.LOGOUT: frozenset(),  # RFC 9051 3.4
}


# Whose literals are messages, which may be large, and where they are welcome.
_UPLOADS: Final[Mapping[bytes, frozenset[Phase]]] = {
    b"APPEND": frozenset({Phase.AUTHENTICATED, Phase.SELECTED}),
    b"REPLACE": frozenset({Phase.SELECTED}),  # RFC 8508 3.5
}


@dataclass(frozen=True, slots=True)
class Request:
    """A command to be carried out, and the tag its ending carries."""

    tag: bytes
    command: c.Command
    held: int = 0
    """Octets of its literals, taken from the room: whoever carries it out gives them back."""


class LiteralRoom:
    """What all connections of a door may hold of literals together."""

    __slots__ = ("free",)

    def __init__(self, bytes_max: int = LITERALS_BYTES_MAX) -> None:
        self.free = bytes_max

    def take(self, count: int) -> bool:
        """Reserve `count` octets, if there is room."""
        if count > self.free:
            return False
        self.free -= count
        return True

    def give(self, count: int) -> None:
        """They are free again."""
        self.free += count


class _Gathering:
    """One command as far as it has come: its text, its literals, the literal being filled."""

    __slots__ = ("filling", "left", "literals", "octets", "text")

    def __init__(self) -> None:
        self.text = b""
        self.literals: dict[int, bytes] = {}
        self.filling: bytearray | None = None
        self.left = 0
        self.octets = 0  # of literals, announced


class Core:
    """One connection."""

    __slots__ = (
        "_append_bytes_max",
        "_buffer",
        "_errors",
        "_gathering",
        "_held",
        "_outbox",
        "_phase",
        "_room",
        "takes_charset",
        "uid_only",
        "utf8",
    )

    def __init__(self, room: LiteralRoom, append_bytes_max: int = APPEND_BYTES_MAX) -> None:
        self._append_bytes_max = append_bytes_max
        self._buffer = ReceiveBuffer(RECEIVE_BYTES_MAX)
        self._room = room
        self._held = 0  # octets taken from the room for what is being gathered
        self._gathering = _Gathering()
        self._outbox: list[bytes] = []
        self._errors = 0
        self._phase = Phase.NOT_AUTHENTICATED
        self.utf8 = False
        """IMAP4rev2 or UTF8=ACCEPT is enabled: mailbox names are UTF-8 (RFC 9051 5.1)."""
        self.takes_charset = True
        """SEARCH may name a charset: UTF8=ACCEPT is not enabled (RFC 6855 3)."""
        self.uid_only = False
        """UIDONLY is enabled: messages have no sequence numbers (RFC 9586 3)."""

    # --- phases

    @property
    def phase(self) -> Phase:
        """Where the connection is."""
        return self._phase

    def _move(self, to: Phase, *, only_from: frozenset[Phase]) -> None:
        if self._phase not in only_from:
            raise LocalProtocolError(f"no way from {self._phase} to {to}")
        self._phase = to

    def authenticated(self) -> None:
        """LOGIN or AUTHENTICATE succeeded."""
        self._move(Phase.AUTHENTICATED, only_from=frozenset({Phase.NOT_AUTHENTICATED}))

    def selected(self) -> None:
        """SELECT or EXAMINE succeeded."""
        self._move(Phase.SELECTED, only_from=frozenset({Phase.AUTHENTICATED, Phase.SELECTED}))

    def unselected(self) -> None:
        """CLOSE or UNSELECT, or a SELECT that failed (RFC 9051 6.3.2)."""
        self._move(Phase.AUTHENTICATED, only_from=frozenset({Phase.AUTHENTICATED, Phase.SELECTED}))

    def unauthenticated(self) -> None:
        """UNAUTHENTICATE (RFC 8437 3)."""
        self._move(
            Phase.NOT_AUTHENTICATED, only_from=frozenset({Phase.AUTHENTICATED, Phase.SELECTED})
        )

    def logged_out(self) -> None:
        """LOGOUT: nothing is welcome any more."""
        self._phase = Phase.LOGOUT

    def tls_started(self) -> None:
        """RFC 9051 6.2.1: what came in clear text after STARTTLS is forgotten."""
        self._buffer.clear()

    # --- bytes

    @property
    def wanted(self) -> int:
        """How many octets to ask the network for."""
        most = LINE_READ_BYTES if self._gathering.filling is None else LITERAL_READ_BYTES
        return min(most, self._buffer.room)

    @property
    def mid_literal(self) -> bool:
        """Octets of a literal are due."""
        return self._gathering.filling is not None

    @property
    def mid_command(self) -> bool:
        """Part of a command is here and the rest is not."""
        return bool(self._gathering.text) or len(self._buffer) > 0

    def receive(self, data: bytes) -> None:
        """What the peer sent, at most `wanted` octets."""
        self._buffer.feed(data)

    def take_output(self) -> bytes:
        """What must be sent before waiting for the peer; b"" for nothing."""
        if not self._outbox:
            return b""
        said = b"".join(self._outbox)
        self._outbox.clear()
        return said

    # --- requests

    def next_line(self, bytes_max: int) -> bytes | None:
        """One bare line: a SASL response, IDLE's DONE. None: more must be received."""
        return self._buffer.line(bytes_max)

    def next_request(self) -> Request | None:
        """The next command that may be carried out; None: more must be received.

        Raises RemoteProtocolError when the connection cannot go on.
        """
        while True:
            gathering = self._gathering
            if gathering.filling is not None and not self._fill(gathering.filling):
                return None
            line = self._buffer.line(self._line_room())
            if line is None:
                return None
            gathering.text += line
            announced = _ANNOUNCED.search(line)
            if announced is not None:
                self._announce(announced)
                continue
            self._gathering = _Gathering()
            request = self._understand(gathering)
            if request is not None:
                return request

    def _line_room(self) -> int:
        most = self._command_bytes_max()
        return min(LINE_BYTES_MAX, max(most - len(self._gathering.text), 0))

    def _command_bytes_max(self) -> int:
        stranger = self._phase is Phase.NOT_AUTHENTICATED
        return STRANGER_BYTES_MAX if stranger else COMMAND_BYTES_MAX

    def _fill(self, filling: bytearray) -> bool:
        """Take octets of the literal; True when it is whole."""
        gathering = self._gathering
        if gathering.left:
            piece = self._buffer.take_up_to(gathering.left)
            filling += piece
            gathering.left -= len(piece)
            if gathering.left:
                return False
        gathering.literals[len(gathering.text)] = bytes(filling)
        gathering.filling = None
        return True

    def _announce(self, announced: re.Match[bytes]) -> None:
        """RFC 9051 4.3: accept or refuse a literal before its first octet is read."""
        gathering = self._gathering
        digits = announced[2]
        count = int(digits if len(digits) <= COUNT_DIGITS_MAX else b"9" * COUNT_DIGITS_MAX)
        refusal = self._refusal(count)
        if refusal is None:
            gathering.octets += count
            gathering.left = count
            gathering.filling = bytearray()
            if not announced[3]:
                self._outbox.append(responses.continuation())
            return
        verb = parse_verb(gathering.text)
        self._outbox.append(render_ending(b"*" if verb is None else verb[0], refusal))
        self.release()
        self._gathering = _Gathering()
        if announced[3]:
            # RFC 7888 4: its octets are on their way; reading them to forget them would be
            # work without an end, so the connection ends here.
            raise LimitExceeded("LITERAL", "literal refused")
        self._count_error()

    def _refusal(self, count: int) -> Ending | None:
        """Why a literal of so many octets is not taken; None: it is, and room is reserved."""
        gathering = self._gathering
        verb = parse_verb(gathering.text)
        octets = gathering.octets + count
        if verb is not None and self._phase in _UPLOADS.get(verb[1], ()):
            if octets > self._append_bytes_max:
                return no("The message is too large", b"TOOBIG")
        elif len(gathering.text) + octets > self._command_bytes_max():
            return bad("The command is too large", b"TOOBIG")
        if len(gathering.literals) >= LITERALS_MAX:
            return bad("The command has too many literals", b"TOOBIG")
        if not self._room.take(count):
            return no("Too many large messages at once; try again", b"UNAVAILABLE")
        self._held += count
        return None

    def _understand(self, gathering: _Gathering) -> Request | None:
        """Parse and check; what is refused is answered here."""
        tokens = Tokens(
            gathering.text,
            gathering.literals,
            utf8=self.utf8,
            takes_charset=self.takes_charset,
            uid_only=self.uid_only,
        )
        tag = b"*"
        try:
            tag = tokens.tag()
            tokens.space()
            command = parse_command(tokens)
        except BadCharset as error:
            if error.saves and not error.filters and self._phase is Phase.SELECTED:
                return self._hand_over(tag, NotSearched())
            self._refuse(tag, (bad if error.filters else no)(str(error), CHARSETS_CODE))
        except RemoteProtocolError as error:
            self._refuse(tag, refused(error))
        else:
            if type(command) in WELCOME[self._phase]:
                self._errors = 0
                return self._hand_over(tag, command)
            self._refuse(tag, bad("Not in this state"))
        return None

    def _hand_over(self, tag: bytes, command: c.Command) -> Request:
        held, self._held = self._held, 0
        return Request(tag, command, held)

    def _refuse(self, tag: bytes, ending: Ending) -> None:
        self._outbox.append(render_ending(tag, ending))
        self.release()
        self._count_error()

    def _count_error(self) -> None:
        self._errors += 1
        if self._errors > ERRORS_MAX:
            raise RemoteProtocolError("too many errors")

    def release(self) -> None:
        """What was being gathered is refused, or the connection is over: it holds nothing."""
        self._room.give(self._held)
        self._held = 0
