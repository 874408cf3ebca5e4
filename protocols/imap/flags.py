"""IMAP flags and JMAP keywords are one thing (RFC 8621 4.1.1): `\\Seen` is `$seen`.

Keywords are stored in lower case; the five system flags have names of their own in IMAP.
"""

from collections.abc import Iterable
from typing import Final

from protocols.errors import LimitExceeded, RemoteProtocolError
from protocols.imap.tokens import Tokens

# RFC 8621 4.1.1, and \\Deleted, which JMAP never shows.
_SYSTEM: Final = {
    b"\\ANSWERED": "$answered",
    b"\\FLAGGED": "$flagged",
    b"\\DELETED": "$deleted",
    b"\\SEEN": "$seen",
    b"\\DRAFT": "$draft",
}
_SHOWN: Final = {
    "$answered": b"\\Answered",
    "$flagged": b"\\Flagged",
    "$deleted": b"\\Deleted",
    "$seen": b"\\Seen",
    "$draft": b"\\Draft",
    "$mdnsent": b"$MDNSent",
    "$forwarded": b"$Forwarded",
    "$junk": b"$Junk",
    "$notjunk": b"$NotJunk",
    "$phishing": b"$Phishing",
}
SYSTEM_KEYWORDS: Final = ("$answered", "$flagged", "$deleted", "$seen", "$draft")
# RFC 3501 2.3.2; no client may set it, and no keyword stands for it.
RECENT: Final = b"\\Recent"
SYSTEM_FLAGS: Final = (b"\\Answered", b"\\Flagged", b"\\Deleted", b"\\Seen", b"\\Draft")
# RFC 9051 2.3.2: keywords a client may want to know of before any message has them.
KEYWORDS_KNOWN: Final = ("$mdnsent", "$forwarded", "$junk", "$notjunk", "$phishing")
# RFC 8621 4.1.1: a keyword is at most 255 characters.
KEYWORD_CHARACTERS_MAX: Final = 255
# How many flags one command may name.
FLAGS_MAX: Final = 128

SEEN: Final = "$seen"
DELETED: Final = "$deleted"
_RIGHTS: Final = {SEEN: "s", DELETED: "t"}


def parse_flag(text: bytes) -> str:
    """A flag as the keyword it is stored as. `\\Recent` and unknown system flags are refused."""
    if text.startswith(b"\\"):
        keyword = _SYSTEM.get(text.upper())
        if keyword is None:
            raise RemoteProtocolError("no such system flag, or not one a client may set")
        return keyword
    if len(text) > KEYWORD_CHARACTERS_MAX:
        raise RemoteProtocolError("a keyword is too long")
    return text.decode("ascii").lower()


def right_of(keyword: str) -> str:
    """RFC 4314 2.1: the right that changing a flag of another's message needs."""
    return _RIGHTS.get(keyword, "w")


def allowed(keywords: Iterable[str], rights: str) -> tuple[str, ...]:
    """Those that someone with these rights may change."""
    return tuple(keyword for keyword in keywords if right_of(keyword) in rights)


def parse_flag_list(tokens: Tokens) -> tuple[str, ...]:
    """RFC 9051 9 flag-list, as keywords in order and each once."""
    tokens.expect(b"(")
    found: dict[str, None] = {}
    while not tokens.accept(b")"):
        if found:
            tokens.space()
        found[parse_flag(tokens.flag())] = None
        if len(found) > FLAGS_MAX:
            raise LimitExceeded("FLAGS", f"a command may name {FLAGS_MAX} flags")
    return tuple(found)


def render_flag(keyword: str) -> bytes:
    """A keyword as IMAP names it."""
    shown = _SHOWN.get(keyword)
    return keyword.encode("ascii", "replace") if shown is None else shown


def render_flags(keywords: tuple[str, ...]) -> bytes:
    """The flag list of a message, without its parentheses."""
    return b" ".join([render_flag(keyword) for keyword in keywords])
