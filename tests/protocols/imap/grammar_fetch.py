"""RFC 9051 section 9, msg-att: what FETCH tells, from flags to the structure of bodies."""

import re
from typing import Final

from tests.protocols.imap.grammar_words import Words

_DATE_TIME: Final = re.compile(
    rb'"(?: \d|\d\d)-(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)-\d{4}'
    rb' \d\d:\d\d:\d\d [+-]\d{4}"'
)
_PART: Final = rb"[1-9]\d*(?:\.[1-9]\d*)*"
_SECTION_TEXT: Final = rb"HEADER\.FIELDS(?:\.NOT)? (?=\()|HEADER|TEXT"
_SECTION: Final = re.compile(
    rb"(?:%b|%b(?:\.(?:%b|MIME))?)?" % (_SECTION_TEXT, _PART, _SECTION_TEXT), re.IGNORECASE
)
_BINARY_SECTION: Final = re.compile(rb"\[(?:%b)?\]" % _PART)
_ORIGIN: Final = re.compile(rb"<(?:0|[1-9]\d*)>")
_NAME: Final = re.compile(rb"[A-Z0-9.]+")


def msg_att(words: Words) -> None:
    """Items in parentheses, a space between; no item stands there twice."""
    told: list[bytes] = []
    words.listed(lambda: told.append(_item(words)))
    assert len(told) == len(set(told)), words.fault(f"an item twice: {told}")


def _item(words: Words) -> bytes:
    name = words.need(_NAME, "a data item")[0]
    section = b""
    if name == b"BODY" and words.skip(b"["):
        section = _section(words)
    elif name in (b"BINARY", b"BINARY.SIZE"):
        section = words.need(_BINARY_SECTION, "section-binary")[0]
        if name == b"BINARY" and (origin := words.match(_ORIGIN)):
            section += origin[0]
    words.space()
    _value(words, name, section)
    return name + section


def _section(words: Words) -> bytes:
    section = words.need(_SECTION, "a section")[0]
    if section.upper().endswith((b"FIELDS ", b"FIELDS.NOT ")):
        fields: list[bytes] = []
        words.listed(lambda: fields.append(words.astring()))
        section += b" ".join(fields)
    words.expect(b"]")
    origin = words.match(_ORIGIN)
    return b"[%b]%b" % (section, b"" if origin is None else origin[0])


def _value(words: Words, name: bytes, section: bytes) -> None:
    match name:
        case b"FLAGS":
            words.listed(lambda: words.skip(b"\\Recent") or words.flag(), least=0)
        case b"ENVELOPE":
            envelope(words)
        case b"INTERNALDATE":
            words.need(_DATE_TIME, "date-time")
        case b"SAVEDATE":  # RFC 8514 4.2
            words.nil() or words.need(_DATE_TIME, "date-time")
        case b"RFC822.SIZE":
            words.number64()
        case b"BINARY.SIZE":
            words.number()
        case b"UID":
            words.number(least=1)
        case b"MODSEQ":  # RFC 7162 3.1.4.2
            words.listed(lambda: words.number64(least=1))
        case b"EMAILID":  # RFC 8474 5.3
            words.object_id()
        case b"THREADID":
            words.nil() or words.object_id()
        case b"PREVIEW":
            words.nstring()
        case b"RFC822" | b"RFC822.HEADER" | b"RFC822.TEXT":
            words.nil() or words.string()
        case b"BODY" if section:
            words.nil() or words.string()
        case b"BINARY":
            words.nil() or words.string8()
        case _:
            assert name in (b"BODY", b"BODYSTRUCTURE"), words.fault("an unknown data item")
            body(words, extensible=name == b"BODYSTRUCTURE")


# -------------------------------------------------------------------------------------- envelope


def envelope(words: Words) -> None:
    """RFC 9051 envelope: ten fields."""
    words.expect(b"(")
    words.nstring()  # date
    words.space()
    words.nstring()  # subject
    for _ in range(6):  # from, sender, reply-to, to, cc, bcc
        words.space()
        _addresses(words)
    words.space()
    words.nstring()  # in-reply-to
    words.space()
    words.nstring()  # message-id
    words.expect(b")")


def _addresses(words: Words) -> None:
    """Addresses with nothing between, or nil; a group ends before another begins."""
    if words.nil():
        return
    words.expect(b"(")
    assert words.at(b"("), words.fault("a list of addresses is not empty")
    is_in_group = False
    while words.skip(b"("):
        words.nstring()
        words.space()
        words.nstring()
        words.space()
        mailbox = words.nstring()
        words.space()
        host = words.nstring()
        words.expect(b")")
        if host is None:
            assert is_in_group == (mailbox is None), words.fault("a group in a group, or none")
            is_in_group = mailbox is not None
    assert not is_in_group, words.fault("a group without an end")
    words.expect(b")")


# ------------------------------------------------------------------------------------- structure


def body(words: Words, *, extensible: bool) -> None:
    """RFC 9051 body; the extension data of BODYSTRUCTURE stand in order, and never in BODY."""
    words.expect(b"(")
    if words.at(b"("):
        _multipart(words, extensible=extensible)
    else:
        _one_part(words, extensible=extensible)
    words.expect(b")")


def _multipart(words: Words, *, extensible: bool) -> None:
    while words.at(b"("):
        body(words, extensible=extensible)
    words.space()
    words.string()  # media-subtype
    if extensible and words.skip(b" "):
        _params(words)
        _after_md5(words)


def _one_part(words: Words, *, extensible: bool) -> None:
    media = words.string().upper()
    words.space()
    subtype = words.string().upper()
    words.space()
    _params(words)
    words.space()
    words.nstring()  # body-fld-id
    words.space()
    words.nstring()  # body-fld-desc
    words.space()
    words.string()  # body-fld-enc
    words.space()
    words.number()  # body-fld-octets
    if media == b"TEXT":
        words.space()
        words.number64()
    elif media == b"MESSAGE" and subtype in (b"RFC822", b"GLOBAL"):
        words.space()
        envelope(words)
        words.space()
        body(words, extensible=extensible)
        words.space()
        words.number64()
    if extensible and words.skip(b" "):
        words.nstring()  # body-fld-md5
        _after_md5(words)


def _after_md5(words: Words) -> None:
    """[SP body-fld-dsp [SP body-fld-lang [SP body-fld-loc]]]; we send no body-extension."""
    if not words.skip(b" "):
        return
    if not words.nil():
        words.expect(b"(")
        words.string()
        words.space()
        _params(words)
        words.expect(b")")
    if not words.skip(b" "):
        return
    if words.at(b"("):
        words.listed(words.string)
    else:
        words.nstring()
    if words.skip(b" "):
        words.nstring()


def _params(words: Words) -> None:
    """body-fld-param: names and values, or nil."""
    if not words.nil():
        words.listed(lambda: (words.string(), words.space(), words.string()))
