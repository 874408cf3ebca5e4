"""IMAP URLs of messages and their parts (RFC 5092 6, 7, 11): relative to a session (RFC 4469 3),
and absolute with an authorization (RFC 4467, 5593).

`/Drafts;UIDVALIDITY=385759045/;UID=20/;section=1.MIME` or, of the selected mailbox, `;UID=20`; and
`imap://joe%40example.com@mail.example.com/INBOX/;uid=20;expire=2026-12-01T00:00:00Z;urlauth=` with
`user+fred%40example.com`, and then `:internal:` and a token. Of a server that is named nothing but
the user counts: a service has as many names as nodes and doors. What names no message is refused.
"""

import re
from dataclasses import dataclass, replace
from datetime import date
from typing import Final
from urllib.parse import unquote_to_bytes

from protocols.errors import RemoteProtocolError
from protocols.imap.dates import DAY_MS
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
# RFC 5092 11 achar: what a user's name is made of.
_ACHAR: Final = rb"(?:[A-Za-z0-9._~!$'()*+,&=-]|%[0-9A-Fa-f]{2})"
# RFC 5092 11 iserver, RFC 3986 3.2.2 host.
_SERVER: Final = re.compile(
    rb"imap://(?:(?P<user>" + _ACHAR + rb"+)?(?:;AUTH=" + _ACHAR + rb"+)?@)?"
    rb"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)"
    rb"(?::[0-9]{0,5})?(?=/)",
    re.IGNORECASE,
)
# RFC 5092 11 iurlauth, with the access of RFC 5593 4. No `;` is in what it may follow. An @ should
# be percent-encoded in a user's name; clients are about that do not.
_AUTHORIZATION: Final = re.compile(
    rb"(?:;EXPIRE=(?P<expire>[0-9TZ:.+-]{20,45}))?"
    rb";URLAUTH=(?P<application>[A-Za-z0-9]+)(?:\+(?P<holder>(?:" + _ACHAR + rb"|@)+))?"
    rb"(?P<verifier>:(?P<mechanism>[A-Za-z0-9.-]+):(?P<token>[0-9A-F]{32,}))?\Z",
    re.IGNORECASE,
)
# RFC 3339 5.6 date-time.
_DATE_TIME: Final = re.compile(
    rb"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,20}))?"
    rb"(?:Z|([+-])([0-9]{2}):([0-9]{2}))\Z",
    re.IGNORECASE,
)
_EPOCH: Final = date(1970, 1, 1).toordinal()
# RFC 5593 6: what access identifiers mean; those of other applications stand either way.
_WITH_USER: Final = frozenset({"submit", "user"})
_WITHOUT_USER: Final = frozenset({"anonymous", "authuser"})
# Neither `]`, which ends a response code, nor `\`, which the grammar of RFC 4469 has in its place.
_UNSHOWN: Final = re.compile(rb"[^!-\[^-~]")


@dataclass(frozen=True, slots=True)
class MessageUrl:
    """What a URL points to; `mailbox` None is the selected one."""

    mailbox: str | None
    uidvalidity: int | None
    uid: int
    section: Section


@dataclass(frozen=True, slots=True)
class Access:
    """RFC 5092 6.1.2 access: who may use a URL; `application` is in lower case."""

    application: str
    user: str | None


@dataclass(frozen=True, slots=True)
class Verifier:
    """RFC 5092 11 iua-verifier; `mechanism` in upper case."""

    mechanism: bytes
    token: bytes


@dataclass(frozen=True, slots=True)
class AuthorizedUrl:
    """RFC 5092 11 authimapurlfull, or authimapurlrump where `verifier` is None.

    `rump` are the octets that a token is calculated on, as they came (RFC 4467 6).
    """

    user: str
    message: MessageUrl
    expires_ms: int | None
    access: Access
    rump: bytes
    verifier: Verifier | None


def is_absolute(text: bytes) -> bool:
    """A URL with a scheme."""
    return text[:7].lower() == b"imap://"


def parse_authorized(text: bytes) -> AuthorizedUrl:
    """RFC 5092 11: the URL of a message with its access identifier, and a token or none yet."""
    server = _SERVER.match(text)
    if server is None:
        raise RemoteProtocolError("not a URL of a server")
    if server["user"] is None:
        raise RemoteProtocolError("missing owner username in supplied URL")
    found = _AUTHORIZATION.search(text, server.end())
    if found is None:
        raise RemoteProtocolError("missing access identifier in supplied URL")
    message = parse_url(text[server.end() : found.start()])
    assert message.mailbox is not None, "a path begins with a slash"
    verifier = None
    if found["verifier"] is not None:
        verifier = Verifier(found["mechanism"].upper(), found["token"])
    return AuthorizedUrl(
        user=_owner(server["user"], server["host"]),
        message=message,
        expires_ms=None if found["expire"] is None else parse_rfc3339(found["expire"]),
        access=_access(found["application"], found["holder"]),
        rump=text if verifier is None else text[: found.start("verifier")],
        verifier=verifier,
    )


def _owner(user: bytes, host: bytes) -> str:
    """Whose URL it is: users here have whole addresses, so one without a domain is of the server's
    that is named, as the URL reads: `imap://joe@example.com/`."""
    name = _text(user)
    return name if "@" in name else f"{name}@{_text(host)}"


def _access(application: bytes, holder: bytes | None) -> Access:
    name = application.decode("ascii").lower()
    if name in (_WITH_USER if holder is None else _WITHOUT_USER):
        raise RemoteProtocolError("not a valid access identifier in supplied URL")
    return Access(name, None if holder is None else _text(holder))


def parse_rfc3339(text: bytes) -> int:
    """RFC 3339 5.6 date-time as milliseconds since 1970; what is less than one is dropped."""
    found = _DATE_TIME.match(text)
    if found is None:
        raise RemoteProtocolError("expected a time like 2026-02-01T10:00:00Z")
    hour, minute, second = int(found[4]), int(found[5]), int(found[6])
    east_hours, east_minutes = int(found[9] or 0), int(found[10] or 0)
    # 60 is a leap second; the instant is that of the next second.
    if hour > 23 or minute > 59 or second > 60 or east_hours > 23 or east_minutes > 59:
        raise RemoteProtocolError("no such time")
    try:
        day = date(int(found[1]), int(found[2]), int(found[3])).toordinal() - _EPOCH
    except ValueError as error:
        raise RemoteProtocolError("no such day") from error
    east = (east_hours * 60 + east_minutes) * 60_000
    since_midnight = ((hour * 60 + minute) * 60 + second) * 1000
    ms = int((found[7] or b"0").ljust(3, b"0")[:3])
    return day * DAY_MS + since_midnight + ms + (east if found[8] == b"-" else -east)


def _text(encoded: bytes) -> str:
    """RFC 5092 8: a name is UTF-8 under its percent signs."""
    return decode_text(unquote_to_bytes(encoded))


def parse_url(text: bytes) -> MessageUrl:
    """RFC 5092 11 imessagepart after a `/`, or what of imsg-or-part begins with a UID."""
    found = _MESSAGE.fullmatch(_without_dots(text))
    if found is None:
        raise RemoteProtocolError("not the URL of a message")
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
