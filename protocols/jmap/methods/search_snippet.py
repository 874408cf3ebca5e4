"""RFC 8621 5 SearchSnippet/get: where in an email the words of a filter are, marked for people."""

import re
from collections.abc import Mapping
from typing import Any, Final

from protocols.jmap.context import Context
from protocols.jmap.email_filter import marked, read_filter
from protocols.jmap.email_text import EmailText
from protocols.jmap.errors import MethodError, invalid_arguments
from protocols.jmap.standard import Answer
from protocols.jmap.text_match import marker
from protocols.jmap.values import Arguments
from storage.ids import AccountId, EmailId, parse_email
from storage.mail.messages import email_view, visible_meta

# RFC 8621 5: "It MUST NOT be bigger than 255 octets in size."
PREVIEW_OCTETS_MAX: Final = 255
# Characters shown before the first match.
BEFORE_CHARS: Final = 40

_ENTITIES: Final = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"}
_OPEN, _CLOSE = "<mark>", "</mark>"
_MORE: Final = "..."

Pattern = re.Pattern[str]


async def search_snippet_get(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 5.1."""
    arguments = Arguments(raw)
    account = context.account(arguments)
    wanted = read_filter(arguments.object("filter"), context.resolve)
    ids = arguments.ids("emailIds")
    arguments.done()
    if ids is None:
        raise invalid_arguments("emailIds is missing")
    if len(ids) > context.limits.get_objects_max:
        raise MethodError("requestTooLarge", f"{len(ids)} emails are too many")
    subject, body = (marker(needles) for needles in marked(wanted))
    found: list[dict[str, str | None]] = []
    missing: list[str] = []
    for text in dict.fromkeys(ids):
        number = parse_email(context.resolve(text))
        email = None if number is None else _open(context, account, number)
        if email is None:
            missing.append(text)
            continue
        found.append(
            {
                "emailId": context.resolve(text),
                "subject": None if subject is None else mark(email.subject, subject),
                "preview": None if body is None else _preview(email, body),
            }
        )
        await context.caller.pause()
    return {"accountId": f"a{account}", "list": found, "notFound": missing or None}


def _open(context: Context, account: AccountId, number: EmailId) -> EmailText | None:
    meta = visible_meta(context.rows, account, number)
    view = None if meta is None else email_view(context.rows, account, number)
    if meta is None or view is None:
        return None
    return EmailText(context.rows, account, context.ports.blobs, meta, view)


def mark(text: str, pattern: Pattern) -> str | None:
    """All of a text with what is looked for marked; None when it is not there."""
    pieces: list[str] = []
    at = 0
    for found in pattern.finditer(text):
        pieces += [_escaped(text[at : found.start()]), _OPEN, _escaped(found[0]), _CLOSE]
        at = found.end()
    return "".join([*pieces, _escaped(text[at:])]) if pieces else None


def _escaped(text: str) -> str:
    return text.translate(_ENTITIES)


def _preview(email: EmailText, pattern: Pattern) -> str | None:
    for body in email.plain_bodies():
        text = " ".join(body.split())
        if first := pattern.search(text):
            return excerpt(text, first.start(), pattern)
    return None


def excerpt(text: str, at: int, pattern: Pattern) -> str:
    """What is around the match at `at`, marked, in at most PREVIEW_OCTETS_MAX octets."""
    start = max(0, at - BEFORE_CHARS)
    if start and (space := text.find(" ", start, at)) >= 0:
        start = space + 1  # not amid a word
    found = pattern.search(text, at)
    assert found is not None
    pieces = [_MORE] if start else []
    room = PREVIEW_OCTETS_MAX - len(_MORE) * 2
    while start < len(text):
        inside = found is not None and start == found.start()
        end = found.end() if found and inside else found.start() if found else len(text)
        around = len(_OPEN) + len(_CLOSE) if inside else 0
        piece, whole = _fitting(text[start:end], room - around)
        if piece:
            pieces.append(f"{_OPEN}{piece}{_CLOSE}" if inside else piece)
            room -= len(piece.encode()) + around
        if not whole:
            pieces.append(_MORE)
            break
        start = end
        if found and inside:
            found = pattern.search(text, end)
    return "".join(pieces)


def _fitting(text: str, room: int) -> tuple[str, bool]:
    """As much of a text, escaped, as has room; and whether that is all of it."""
    pieces: list[str] = []
    for sign in text:
        escaped = _escaped(sign)
        room -= len(escaped.encode("utf-8", "replace"))
        if room < 0:
            return "".join(pieces), False
        pieces.append(escaped)
    return "".join(pieces), True
