"""IMAP URLs of messages and their parts, relative to a session (RFC 5092 6, 7, 11; RFC 4469 3).

`/Drafts;UIDVALIDITY=385759045/;UID=20/;section=1.MIME` or, of the selected mailbox, `;UID=20`.
What names a server, or no message, is refused: it is not of this session.
"""

import re
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote_to_bytes

from protocols.errors import RemoteProtocolError
from protocols.imap.fetch_commands import Section
from protocols.imap.fetch_items import parse_section
from protocols.imap.sets import NUMBER_MAX
from protocols.imap.tokens import NUMBER64_MAX, Tokens, decode_text, is_inbox

# RFC 5092 11 bchar: what else there is of ASCII stands in a URL percent-encoded. No `;` is one.
_BCHAR: Final = rb"(?:[A-Za-z0-9._~!$'()*+,&=:@/-]|%[0-9A-Fa-f]{2})"
_MESSAGE: Final = re.compile(
    rb"(?:/(?!/)(?P<mailbox>" + _BCHAR + rb"+)(?:;UIDVALIDITY=(?P<uidvalidity>[0-9]{1,10}))?/)?"
    rb";UID=(?P<uid>[0-9]{1,10})"
    rb"(?:/;SECTION=(?P<section>" + _BCHAR + rb"+?))?"
    rb"(?:/;PARTIAL=(?P<origin>[0-9]{1,19})(?:\.(?P<count>[0-9]{1,19}))?)?",
    re.IGNORECASE,
)
# Neither `]`, which ends a response code, nor `\`, which the grammar of RFC 4469 has in its place.
_UNSHOWN: Final = re.compile(rb"[^!-\[^-~]")


@dataclass(frozen=True, slots=True)
class MessageUrl:
    """What a URL points to; `mailbox` None is the selected one."""

    mailbox: str | None
    uidvalidity: int | None
    uid: int
    section: Section


def parse_url(text: bytes) -> MessageUrl:
    """RFC 5092 11 imessagepart after a `/`, or what of imsg-or-part begins with a UID."""
    found = _MESSAGE.fullmatch(_without_dots(text))
    if found is None:
        raise RemoteProtocolError("not the URL of a message of this session")
    mailbox, uidvalidity = found["mailbox"], found["uidvalidity"]
    return MessageUrl(
        mailbox=None if mailbox is None else _mailbox(mailbox),
        uidvalidity=None if uidvalidity is None else _nz(uidvalidity),
        uid=_nz(found["uid"]),
        section=_section(found["section"], found["origin"], found["count"]),
    )


def _without_dots(text: bytes) -> bytes:
    """RFC 3986 5.2.4: `.` and `..` between slashes; percent-encoded they are names."""
    if not text.startswith(b"/"):
        return text
    kept: list[bytes] = []
    for segment in text.split(b"/"):
        if segment == b"..":
            kept[1:] = kept[1:-1]  # never what is before the first slash
        elif segment != b".":
            kept.append(segment)
    return b"/".join(kept)


def _mailbox(encoded: bytes) -> str:
    """RFC 5092 8: UTF-8 under the percent signs, never modified UTF-7."""
    name = unquote_to_bytes(encoded)
    return "INBOX" if is_inbox(name) else decode_text(name)


def _nz(digits: bytes) -> int:
    """RFC 9051 9 nz-number."""
    return Tokens(digits).nz_number(NUMBER_MAX)


def _section(encoded: bytes | None, origin: bytes | None, count: bytes | None) -> Section:
    """RFC 5092 6: what FETCH BODY.PEEK[section]<partial> names."""
    tokens = Tokens(unquote_to_bytes(encoded or b"") + b"]")
    section = parse_section(tokens)
    tokens.expect(b"]")
    tokens.end()
    if origin is None:
        return section
    length = NUMBER64_MAX if count is None else Tokens(count).nz_number(NUMBER64_MAX)
    return replace(section, partial=(Tokens(origin).number(), length))


def show_url(text: bytes) -> bytes:
    """RFC 4469 5 url-resp-text: what a response code could not hold is percent-encoded."""
    return _UNSHOWN.sub(lambda found: b"%%%02X" % found[0][0], text)
