"""IMAP strings as a server writes them (RFC 9051 4.3): quoted where that is allowed, else literal.

Octets over 127 go out in literals: a literal is right before and after ENABLE IMAP4rev2, a quoted
string with UTF-8 only after it. NUL is in no string of IMAP and is left out.
"""

import re
from typing import Final

NIL: Final = b"NIL"

_QUOTABLE: Final = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]*\Z")
_SPECIAL: Final = re.compile(rb'(["\\])')


def render_string(octets: bytes) -> bytes:
    """A string that is there, perhaps empty."""
    if _QUOTABLE.match(octets):
        if b'"' in octets or b"\\" in octets:
            octets = _SPECIAL.sub(rb"\\\1", octets)
        return b'"%b"' % octets
    octets = octets.replace(b"\0", b"")
    if _QUOTABLE.match(octets):
        return render_string(octets)
    return b"{%d}\r\n%b" % (len(octets), octets)


def render_nstring(octets: bytes | None) -> bytes:
    """A string, or NIL for None."""
    return NIL if octets is None else render_string(octets)


def render_text(text: str | None) -> bytes:
    """Text as a string in UTF-8, or NIL for None."""
    return NIL if text is None else render_string(text.encode("utf-8", "replace"))
