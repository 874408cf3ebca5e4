"""Replies of the LMTP door: code, enhanced status, text (RFC 5321 4.2, RFC 2034, RFC 3463).

Every reply the door can give is named here, so that code and status agree in one place. Replies
that name an address are functions of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# RFC 5321 4.5.3.1.5: a reply line is at most 512 octets with its CRLF; addresses are cut to fit.
TEXT_CHARS_MAX: Final = 400


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply; `lines` are its texts, more than one in the answers to LHLO and EXPN."""

    code: int
    status: str
    lines: tuple[str, ...]

    def render(self) -> bytes:
        """The reply as it goes over the wire (RFC 5321 4.2.1, RFC 2034 4)."""
        prefix = f"{self.status} " if self.status else ""
        if len(self.lines) == 1:
            return f"{self.code} {prefix}{self.lines[0]}\r\n".encode("ascii", "replace")
        last = len(self.lines) - 1
        rendered = (
            f"{self.code}{' ' if number == last else '-'}{prefix}{text}\r\n"
            for number, text in enumerate(self.lines)
        )
        # A client that did not ask for SMTPUTF8 is owed ASCII (RFC 6531 3.7.4.1).
        return "".join(rendered).encode("ascii", "replace")

    @property
    def positive(self) -> bool:
        """2xx and 3xx: it was done, or goes on."""
        return self.code < 400


def _reply(code: int, status: str, text: str) -> Reply:
    return Reply(code, status, (text[:TEXT_CHARS_MAX],))


OK: Final = _reply(250, "2.0.0", "ok")
BYE: Final = _reply(221, "2.0.0", "bye")
HELP: Final = _reply(
    214, "2.0.0", "LHLO MAIL RCPT DATA BDAT RSET NOOP VRFY EXPN AUTH QUIT, RFC 2033"
)
CANNOT_VERIFY: Final = _reply(252, "2.5.0", "not telling; send mail and see")
START_TLS: Final = _reply(220, "2.0.0", "go ahead")
SEND_DATA: Final = _reply(354, "", "go on, end with a dot on a line by itself")
SENDER_OK: Final = _reply(250, "2.1.0", "sender ok")

CLOSING: Final = _reply(421, "4.3.2", "this node stops, come back")
TOO_MANY_CONNECTIONS: Final = _reply(421, "4.3.2", "too many connections, come back")
TOO_SLOW: Final = _reply(421, "4.4.2", "waited too long for you")
TOO_MANY_ERRORS: Final = _reply(421, "4.7.0", "too many errors")
TOO_MANY_COMMANDS: Final = _reply(421, "4.7.0", "too many commands and no message")
TOO_MUCH_DISCARDED: Final = _reply(421, "4.7.0", "too much input of no use")

AUTHENTICATED: Final = _reply(235, "2.7.0", "welcome")
NEEDS_AUTH: Final = _reply(530, "5.7.0", "authenticate first")
# Temporary: the mail waits at its MTA until the operator has named its network.
NOT_TRUSTED: Final = _reply(450, "4.7.1", "this network may not deliver here, see trusted-networks")
AUTH_FAILED: Final = _reply(535, "5.7.8", "wrong name or password")
AUTH_NOT_ADMITTED: Final = _reply(535, "5.7.8", "this account may not deliver, see [lmtp] accounts")
AUTH_BUSY: Final = _reply(454, "4.7.0", "cannot check it now, try again")
AUTH_CANCELLED: Final = _reply(501, "5.7.0", "as you like")
AUTH_MALFORMED: Final = _reply(501, "5.5.2", "that is no response of this mechanism")
AUTH_LONG: Final = _reply(500, "5.5.6", "response too long")
UNKNOWN_MECHANISM: Final = _reply(504, "5.5.4", "this mechanism is not offered")
NEEDS_TLS: Final = _reply(538, "5.7.11", "say STARTTLS first")

UNAVAILABLE: Final = _reply(451, "4.3.2", "the cluster cannot answer now, try again")
MAILBOX_FULL: Final = _reply(552, "5.2.2", "mailbox full")
NO_ROOM: Final = _reply(452, "4.3.1", "too much mail at once, try again")
TOO_MANY_RECIPIENTS: Final = _reply(452, "4.5.3", "too many recipients, send the rest again")

LINE_TOO_LONG: Final = _reply(500, "5.5.2", "line too long")
UNKNOWN_COMMAND: Final = _reply(500, "5.5.1", "unknown command")
USE_LHLO: Final = _reply(500, "5.5.1", "this is LMTP, say LHLO")
OUT_OF_ORDER: Final = _reply(503, "5.5.1", "not now")
NO_RECIPIENTS: Final = _reply(503, "5.5.1", "no valid recipients")
NEEDS_CHUNKS: Final = _reply(503, "5.5.1", "BINARYMIME is sent with BDAT")
NOT_OFFERED: Final = _reply(502, "5.5.1", "not offered")
EXPANSION_OFF: Final = _reply(502, "5.7.0", "not telling who is in a list")
LIST_EMPTY: Final = _reply(550, "5.2.4", "this list has nobody in it")
LIST_TOO_LARGE: Final = _reply(451, "4.2.4", "this list and the lists in it are too large")
LIST_LOOP: Final = _reply(554, "5.4.6", "the message came by this list before")
MAILBOX_DISABLED: Final = _reply(550, "5.2.1", "mailbox takes no mail")
MESSAGE_TOO_BIG: Final = _reply(552, "5.3.4", "message too big")
NEEDS_SMTPUTF8: Final = _reply(553, "5.6.7", "such an address needs SMTPUTF8")


def unknown_recipient(address: str) -> Reply:
    """Nobody here is called so."""
    return _reply(550, "5.1.1", f"<{address}> is not known here")


def challenge(data: bytes) -> Reply:
    """RFC 4954 4: what the client is to answer, in base64."""
    return Reply(334, "", (data.decode("ascii"),))


def verified(address: str) -> Reply:
    """RFC 5321 3.5.1: it is here."""
    return _reply(250, "2.1.5", f"<{address}>")


def expanded(members: Sequence[str]) -> Reply:
    """RFC 5321 3.5.2: who is in the list, one to a line."""
    return Reply(250, "2.1.5", tuple(f"<{member}>"[:TEXT_CHARS_MAX] for member in members))


def no_list(name: str) -> Reply:
    """RFC 5321 3.5.2: it may be somebody, but it is no list."""
    return _reply(550, "5.1.1", f"<{name}> is no list here")


def refused_elsewhere(reply: str) -> Reply:
    """What became of a list's member elsewhere, of those whom it did not come to."""
    code = int(reply[:3])
    return _reply(code, "5.0.0" if code >= 500 else "4.0.0", f"a member of the list: {reply[4:]}")


def recipient_ok(address: str) -> Reply:
    """RCPT accepted."""
    return _reply(250, "2.1.5", f"<{address}> ok")


def delivered(address: str) -> Reply:
    """Durable on a majority, for this recipient."""
    return _reply(250, "2.0.0", f"<{address}> delivered")


def chunk_ok(octets: int) -> Reply:
    """RFC 3030 2: a chunk, not the last, was taken."""
    return _reply(250, "2.0.0", f"{octets} octets")


def syntax_error(status: str, text: str) -> Reply:
    """RFC 5321 4.2.2: the arguments are wrong."""
    return _reply(501, status, text)


def unknown_parameter(keyword: str) -> Reply:
    """RFC 5321 4.1.1.11."""
    return _reply(555, "5.5.4", f"parameter {keyword} not recognized")
