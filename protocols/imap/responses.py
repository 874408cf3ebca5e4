"""Responses to bytes (RFC 9051 7): status lines, mailbox names, numbers, lists.

Everything here is pure and knows nothing of phases or mailboxes' contents. Text shown to people
is ASCII, so that it may be sent before IMAP4rev2 is enabled too.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from protocols.errors import LimitExceeded, RemoteProtocolError
from protocols.imap import utf7
from protocols.imap.sets import Range, render_ranges
from protocols.imap.tokens import UidRequired
from protocols.render.strings import render_string

CRLF: Final = b"\r\n"
# Free text of one response line; what a peer made us say is cut there.
TEXT_CHARACTERS_MAX: Final = 200

_ATOM: Final = re.compile(r"[A-Za-z0-9!#$&'+,./:;<=>?@^_`|~-]+\Z")
_CONTROLS: Final = dict.fromkeys((*range(32), 127), " ")


class Status(Enum):
    """RFC 9051 7.1 resp-cond-state, and the farewell."""

    OK = b"OK"
    NO = b"NO"
    BAD = b"BAD"
    BYE = b"BYE"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command ends: what goes into its tagged line."""

    status: Status
    text: str
    code: bytes | None = None


def ok(text: str, code: bytes | None = None) -> Ending:
    """It was done."""
    return Ending(Status.OK, text, code)


def no(text: str, code: bytes | None = None) -> Ending:
    """It could not be done."""
    return Ending(Status.NO, text, code)


def bad(text: str, code: bytes | None = None) -> Ending:
    """It was not understood or not allowed here."""
    return Ending(Status.BAD, text, code)


def refused(error: RemoteProtocolError) -> Ending:
    """How a command ends that breaks the protocol."""
    match error:
        case UidRequired():
            return bad(str(error), b"UIDREQUIRED")
        case LimitExceeded():  # RFC 5530 3; what may be said is over, and nothing of it was done
            return bad(str(error), b"LIMIT")
    return bad(str(error))


# RFC 5530 3: the node has octets damaged, until it has them from another.
CORRUPTION: Final = no("Part of this mail is damaged here and being mended", b"CORRUPTION")
# RFC 5530 3: the node lacks a leader or a majority just now.
UNAVAILABLE: Final = no("The service cannot answer now; try again", b"UNAVAILABLE")

# RFC 9051 7.1 BADCHARSET.
CHARSETS_CODE: Final = b"BADCHARSET (US-ASCII UTF-8)"


def render_ending(tag: bytes, ending: Ending) -> bytes:
    """The line that ends a command; tag b"*" for an untagged one."""
    text = ending.text.translate(_CONTROLS)[:TEXT_CHARACTERS_MAX].encode("ascii", "replace")
    if ending.code is None:
        return b"%b %b %b\r\n" % (tag, ending.status.value, text)
    return b"%b %b [%b] %b\r\n" % (tag, ending.status.value, ending.code, text)


def untagged_ok(text: str, code: bytes | None = None) -> bytes:
    """An untagged OK, mostly for its code."""
    return render_ending(b"*", ok(text, code))


def bye(text: str, code: bytes | None = None) -> bytes:
    """RFC 9051 7.1.5: the last words."""
    return render_ending(b"*", Ending(Status.BYE, text, code))


def continuation(text: bytes = b"Ready") -> bytes:
    """RFC 9051 7.6."""
    return b"+ %b\r\n" % text


def render_mailbox(name: str, *, utf8: bool) -> bytes:
    """A mailbox name as an astring: UTF-8 in quotes once that is enabled, else UTF-7."""
    if name == "INBOX" or _ATOM.match(name):
        plain = name.encode("ascii")
        # An atom NIL would be read as nothing, and an & starts a shift.
        if plain.upper() != b"NIL" and b"&" not in plain:
            return plain
    if not utf8:
        return render_string(utf7.encode(name))
    octets = name.encode("utf-8", "replace")
    if any(octet in octets for octet in b"\r\n\0"):
        return render_string(octets)
    return b'"%b"' % octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def render_list(
    attributes: list[bytes], name: str, *, utf8: bool, extended: bytes = b"", verb: bytes = b"LIST"
) -> bytes:
    """RFC 9051 7.3.1 LIST (and LSUB); `extended` is the parenthesised extended data."""
    shown = render_mailbox(name, utf8=utf8)
    tail = b" " + extended if extended else b""
    return b'* %b (%b) "/" %b%b\r\n' % (verb, b" ".join(attributes), shown, tail)


def exists(count: int) -> bytes:
    """RFC 9051 7.4.1."""
    return b"* %d EXISTS\r\n" % count


def expunge(sequence: int) -> bytes:
    """RFC 9051 7.5.1."""
    return b"* %d EXPUNGE\r\n" % sequence


def vanished(uids: Sequence[Range], *, earlier: bool = False) -> bytes:
    """RFC 7162 3.2.10; `earlier` ones were gone before the client selected the mailbox."""
    return b"* VANISHED %b%b\r\n" % (b"(EARLIER) " if earlier else b"", render_ranges(uids))


def object_id(name: str) -> bytes:
    """RFC 8474 7: an object id as codes and items show it."""
    return b"(%b)" % name.encode("ascii")
