"""Body sections as octet ranges of the message (RFC 9051 6.4.5.1), from the stored part tree.

Nothing is parsed again: a section is a span of the blob. Only HEADER.FIELDS must look at octets,
those of one header.
"""

import re
from dataclasses import dataclass
from typing import Final

from protocols.imap.fetch_commands import Section, SectionText
from protocols.mime.parts import Part, find_part

# One field with its continuations and line end, as protocols/mime cuts headers.
_FIELD: Final = re.compile(
    rb"^([!-9;-~]++)[ \t]*+:[^\n]*+(?:\n[ \t][^\n]*+)*+(?:\n|\Z)", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Span:
    """Octets [start, end) of a message."""

    start: int
    end: int


def needs_parts(section: Section) -> bool:
    """The part tree must be read to locate it."""
    return bool(section.path) or section.text is not SectionText.WHOLE


def find(root: Part, path: tuple[int, ...]) -> Part | None:
    """The part with this number; () is the message itself."""
    return find_part(root, ".".join(map(str, path))) if path else root


def locate(section: Section, root: Part, size: int) -> Span | None:
    """Where the section is, for HEADER.FIELDS the whole header; None: there is no such section."""
    if not section.path:
        match section.text:
            case SectionText.WHOLE:
                return Span(0, size)
            case SectionText.TEXT:
                return Span(root.body_start, size)
            case _:
                return Span(0, root.body_start)
    part = find(root, section.path)
    if part is None:
        return None
    if section.text is SectionText.WHOLE:
        return Span(part.body_start, part.body_end)
    if section.text is SectionText.MIME:
        return Span(part.header_start, part.body_start)
    # RFC 9051 6.4.5.1: HEADER and TEXT of a part are those of the message that it holds
    if part.message is None:
        return None
    if section.text is SectionText.TEXT:
        return Span(part.message.body_start, part.message.body_end)
    return Span(part.message.header_start, part.message.body_start)


def clip(span: Span, partial: tuple[int, int] | None) -> Span:
    """RFC 9051 6.4.5 partial: the octets asked for, as far as there are any."""
    if partial is None:
        return span
    start = min(span.start + partial[0], span.end)
    return Span(start, min(start + partial[1], span.end))


def chosen_fields(header: bytes, section: Section) -> bytes:
    """The fields named (or not named), and the blank line after them (RFC 9051 6.4.5.1)."""
    wanted = section.text is SectionText.FIELDS
    kept = [
        found[0]
        for found in _FIELD.finditer(header)
        if (found[1].lower() in section.fields) is wanted
    ]
    if kept and not kept[-1].endswith(b"\n"):
        kept.append(b"\r\n")
    return b"".join(kept) + b"\r\n"
