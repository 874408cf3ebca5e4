"""BODYSTRUCTURE of a message, rendered once at ingest, and BODY and the structures of single parts
cut out of it (RFC 9051 7.5.2).

The tree is as deep as the MIME parser's DEPTH_MAX at most, so rendering may follow it by calls.
Optional fields share a budget of octets; when it is used up they are NIL, so that a message of a
thousand parts with long parameters still has a bounded record.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import takewhile
from typing import Final

from protocols.mime import parameters
from protocols.mime.structure import Part
from protocols.render.envelope import EMPTY_ENVELOPE, ascii_text, render_envelope
from protocols.render.strings import NIL, render_string

# What parameters, descriptions, embedded envelopes and the like may take up in one structure.
OPTIONAL_BYTES_MAX: Final = 128 * 1024
# The longest single value that is shown.
VALUE_BYTES_MAX: Final = 4 * 1024
# Words as they were rendered lately: types, names of parameters, charsets, encodings.
REMEMBERED_WORDS_MAX: Final = 512
REMEMBERED_CHARS_MAX: Final = 64

_MESSAGE_SUBTYPES: Final = frozenset({"rfc822", "global"})


class _Budget:
    """How many octets of optional fields may still be shown."""

    __slots__ = ("room",)

    def __init__(self) -> None:
        self.room = OPTIONAL_BYTES_MAX

    def take(self, octets: bytes, otherwise: bytes = NIL) -> bytes:
        """`octets` while there is room for them."""
        if len(octets) > self.room:
            return otherwise
        self.room -= len(octets)
        return octets


def render_bodystructure(root: Part, data: bytes) -> bytes:
    """The structure of a message with its extension data."""
    return _part(root, data, _Budget())


def _part(part: Part, data: bytes, budget: _Budget) -> bytes:
    if part.is_multipart and part.children:
        # RFC 9051 9 body-type-mpart: bodies, subtype, parameters, disposition, language, location
        return b"(%b %b %b %b)" % (
            b"".join([_part(child, data, budget) for child in part.children]),
            _word(part.subtype),
            _params(part.params, budget),
            _tail(part, budget),
        )
    md5 = NIL if part.md5 is None else budget.take(_value(part.md5))
    return b"(%b %b %b)" % (_fields(part, data, budget), md5, _tail(part, budget))


def _fields(part: Part, data: bytes, budget: _Budget) -> bytes:
    """RFC 9051 9 body-type-1part without its extension data."""
    shown_params = part.params
    if not part.has_type and part.type == "text" and not shown_params:
        shown_params = {"charset": "us-ascii"}  # RFC 2045 5.2, what no Content-Type means
    # A multipart that nobody could cut open has no body-type-1part of its own name.
    kind, subtype = ("application", "octet-stream") if part.is_multipart else _types(part)
    basic = b"%b %b %b %b %b %b %d" % (
        _word(kind),
        _word(subtype),
        _params(shown_params, budget),
        NIL if part.content_id is None else budget.take(_value(_bracketed(part.content_id))),
        NIL if part.description is None else budget.take(_value(part.description)),
        _word(part.encoding or "7bit"),
        part.size,
    )
    if part.message is not None and _is_message(part):
        envelope = budget.take(render_envelope(part.message, data), EMPTY_ENVELOPE)
        inner = _part(part.message, data, budget)
        return b"%b %b %b %d" % (basic, envelope, inner, part.lines)
    return b"%b %d" % (basic, part.lines) if kind == "text" else basic


def _is_message(part: Part) -> bool:
    return part.type == "message" and part.subtype in _MESSAGE_SUBTYPES


def _types(part: Part) -> tuple[str, str]:
    # A message/rfc822 that was not opened (too deep) cannot be shown as one: the grammar demands
    # an envelope and a body of it.
    if part.message is None and _is_message(part):
        return "application", "octet-stream"
    return part.type, part.subtype


def _tail(part: Part, budget: _Budget) -> bytes:
    """RFC 9051 9 body-fld-dsp, body-fld-lang, body-fld-loc."""
    disposition = NIL
    if part.disposition:
        disposition = b"(%b %b)" % (
            _word(part.disposition),
            _params(part.disposition_params, budget),
        )
    language = NIL
    if part.language:
        language = budget.take(b"(%b)" % b" ".join(map(_value, part.language)))
    location = NIL if part.location is None else budget.take(_value(part.location))
    return b"%b %b %b" % (budget.take(disposition), language, location)


def _params(params: Mapping[str, str], budget: _Budget) -> bytes:
    """RFC 9051 9 body-fld-param.

    RFC 9051 7.5.2: continuations are put together and charsets become UTF-8. What is not ASCII then
    is the parameter `name*`, in the extended form that the star stands for (RFC 2231 4) and that
    clients know from other servers; octets over 127 would mean nothing to those of RFC 3501.
    """
    if not params:
        return NIL
    pairs = [
        (name, value)
        if value.isascii()
        else (f"{name}*", parameters.extended(value, VALUE_BYTES_MAX))
        for name, value in params.items()
    ]
    return budget.take(b"(%b)" % b" ".join([_word(n) + b" " + _value(v) for n, v in pairs]))


def _bracketed(content_id: str) -> str:
    """The form Content-ID has in a header, whichever way the tree keeps it."""
    return content_id if content_id.startswith("<") else f"<{content_id}>"


def _word(text: str) -> bytes:
    return _remembered(text) if len(text) <= REMEMBERED_CHARS_MAX else _render_word(text)


@lru_cache(REMEMBERED_WORDS_MAX)
def _remembered(text: str) -> bytes:
    return _render_word(text)


def _render_word(text: str) -> bytes:
    return render_string(text.upper().encode("ascii", "replace")[:VALUE_BYTES_MAX])


def _value(text: str) -> bytes:
    return render_string(ascii_text(text)[:VALUE_BYTES_MAX])


# --- BODY: the same without extension data

_TOKEN: Final = re.compile(rb'\(|\)|"(?:[^"\\]|\\.)*+"|\{([0-9]+)\}\r\n|[^ ()"{]+', re.DOTALL)
# RFC 9051 9: how many fields a body has before its extension data.
_BASIC_FIELDS: Final = 7
_TEXT_FIELDS: Final = 8
_MESSAGE_FIELDS: Final = 10


class _List:
    """A parenthesised list being read, and whether its next field stays.

    What is no body (an envelope, parameters) stays whole. A multipart keeps its children and the
    subtype; of other bodies the first words tell how many fields come before the extension data.
    """

    __slots__ = ("body", "fields", "first", "left", "message")

    def __init__(self, *, body: bool) -> None:
        self.body = body
        self.fields = 0
        self.first = b""
        self.left = 1
        self.message = False

    def begin(self, octets: bytes) -> bool:
        """The next field begins with this token; True: it stays."""
        if not self.body:
            return True
        if self.left == 0:
            return False
        self.fields += 1
        if self.fields == 1:
            self.first = octets.upper()
            self.left = _TEXT_FIELDS if self.first == b'"TEXT"' else _BASIC_FIELDS
        elif self.fields == 2 and self.first == b'"MESSAGE"':
            self.message = octets.upper() in (b'"RFC822"', b'"GLOBAL"')
            self.left = _MESSAGE_FIELDS - 1 if self.message else self.left
        if self.first == b"(":
            self.left = int(octets == b"(")  # after the subtype nothing stays
        else:
            self.left -= 1
        return True

    @property
    def at_body(self) -> bool:
        """The list that has just begun is a body: a child, or that of an embedded message."""
        return self.body and (self.first == b"(" or (self.message and self.fields == 9))


def render_body(bodystructure: bytes) -> bytes:
    """BODY, the non-extensible form, cut out of a BODYSTRUCTURE of ours (RFC 9051 6.4.5)."""
    out: list[bytes] = []
    stack: list[_List] = []
    dropped = 0  # how many lists deep we are in a field that is left out
    position = 0
    while token := _TOKEN.search(bodystructure, position):
        start, position = token.span()
        if token[1] is not None:
            position += int(token[1])  # a literal's octets
        octets = bodystructure[start:position]
        if octets == b")":
            if dropped:
                dropped -= 1
                continue
            stack.pop()
            out.append(b")")
            continue
        if dropped or (stack and not stack[-1].begin(octets)):
            dropped += octets == b"("
            continue
        if bodystructure[start - 1 : start] == b" " and out[-1] != b"(":
            out.append(b" ")
        out.append(octets)
        if octets == b"(":
            stack.append(_List(body=not stack or stack[-1].at_body))
    return b"".join(out)


# --- BODYPARTSTRUCTURE: one part of it


def render_part(
    bodystructure: bytes, path: Sequence[int], *, message: bool = False
) -> bytes | None:
    """The structure of one part, cut out of a BODYSTRUCTURE of ours (RFC 5259 8.2), with `message`
    that of the message in it; None: there is none. Without a path it is the whole."""
    body = bodystructure
    for at, number in enumerate(path):
        fields = _split(body)
        if at and not fields[0].startswith(b"("):
            held = _message_in(fields)  # what has parts and is no multipart is a message
            if held is None:
                return None
            body, fields = held, _split(held)
        children = [*takewhile(lambda field: field.startswith(b"("), fields)]
        if number > max(1, len(children)):
            return None
        body = children[number - 1] if children else body
    return _message_in(_split(body)) if message and path else body


def render_decoded(structure: bytes, octets: int, lines: int) -> bytes:
    """The structure of a part that is no multipart, its encoding undone (RFC 5524 3.2)."""
    fields = _split(structure)
    fields[5:7] = b'"BINARY"', b"%d" % octets
    if fields[0] == b'"TEXT"':
        fields[7] = b"%d" % lines
    elif _message_in(fields) is not None:
        fields[9] = b"%d" % lines
    return b"(%b)" % b" ".join(fields)


def render_header_structure(octets: int, lines: int, *, ascii_only: bool) -> bytes:
    """The structure of header fields by themselves, as RFC 6522 4 would carry them."""
    encoding = b"7BIT" if ascii_only else b"8BIT"
    return b'("TEXT" "RFC822-HEADERS" NIL NIL NIL "%b" %d %d NIL NIL NIL NIL)' % (
        encoding,
        octets,
        lines,
    )


def _message_in(fields: Sequence[bytes]) -> bytes | None:
    """The body of the message that a part holds."""
    is_message = fields[0] == b'"MESSAGE"' and fields[1] in (b'"RFC822"', b'"GLOBAL"')
    return fields[8] if is_message and len(fields) > _MESSAGE_FIELDS else None


def _split(listed: bytes) -> list[bytes]:
    """The fields of a parenthesised list."""
    fields: list[bytes] = []
    depth, begins, position = 0, 0, 0
    while token := _TOKEN.search(listed, position):
        start, position = token.span()
        if token[1] is not None:
            position += int(token[1])  # a literal's octets
        if depth == 1 and token[0] != b")":
            begins = start
        depth += (token[0] == b"(") - (token[0] == b")")
        if depth == 1 and position > 1:
            fields.append(listed[begins:position])
    return fields
