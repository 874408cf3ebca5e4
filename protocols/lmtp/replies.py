"""Replies of the LMTP door: code, enhanced status, text (RFC 5321 4.2, RFC 2034, RFC 3463).

Every reply the door can give is named here, so that code and status agree in one place. Replies
that name an address are functions of it.
"""

from dataclasses import dataclass
from typing import Final

# RFC 5321 4.5.3.1.5: a reply line is at most 512 octets with its CRLF; addresses are cut to fit.
TEXT_CHARS_MAX: Final = 400


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply; `lines` are its texts, more than one only in the answer to LHLO."""

    code: int
    status: str
    lines: tuple[str, ...]

    def render(self) -> bytes:
        """The reply as it goes over the wire (RFC 5321 4.2.1, RFC 2034 4)."""
        prefix = f"{self.status} " if self.status else ""
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
HELP: Final = _reply(214, "2.0.0", "LHLO MAIL RCPT DATA BDAT RSET NOOP VRFY QUIT, RFC 2033")
CANNOT_VERIFY: Final = _reply(252, "2.5.0", "not telling; send mail and see")
START_TLS: Final = _reply(220, "2.0.0", "go ahead")
SEND_DATA: Final = _reply(354, "", "go on, end with a dot on a line by itself")
SENDER_OK: Final = _reply(250, "2.1.0", "sender ok")

CLOSING: Final = _reply(421, "4.3.2", "this node stops, come back")
TOO_SLOW: Final = _reply(421, "4.4.2", "waited too long for you")
TOO_MANY_ERRORS: Final = _reply(421, "4.7.0", "too many errors")
TOO_MANY_COMMANDS: Final = _reply(421, "4.7.0", "too many commands and no message")
TOO_MUCH_DISCARDED: Final = _reply(421, "4.7.0", "too much input of no use")

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
MAILBOX_DISABLED: Final = _reply(550, "5.2.1", "mailbox takes no mail")
MESSAGE_TOO_BIG: Final = _reply(552, "5.3.4", "message too big")
NEEDS_SMTPUTF8: Final = _reply(553, "5.6.7", "such an address needs SMTPUTF8")


def unknown_recipient(address: str) -> Reply:
    """Nobody here is called so."""
    return _reply(550, "5.1.1", f"<{address}> is not known here")


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
