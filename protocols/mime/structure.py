"""Bytes of a message to the tree of its parts, as offsets into those bytes.

Invariants: parsing never fails; children lie inside their parents; nothing is copied but header
values; the bytes are searched for boundaries at most SCANS_MAX times over in all, whatever their
nesting. Multiparts that cannot be cut (no boundary found, too deep, too many parts) get one
text/plain child holding their whole body, so that IMAP has a part to show and no text is lost.
"""

import re
from itertools import accumulate
from typing import Final

from protocols.mime import charsets, grammar, headers, parameters, words
from protocols.mime.headers import Header
from protocols.mime.parts import Part, find_jmap, find_part, pack, unpack, walk

__all__ = [
    "Part",
    "find_jmap",
    "find_part",
    "headers_of",
    "pack",
    "parse",
    "read",
    "unpack",
    "walk",
]

# Containers inside containers; forwarded chains in real mail stay below twenty.
DEPTH_MAX: Final = 50
# Parts made of one message, embedded ones included; uncut multiparts add their only child.
PARTS_MAX: Final = 1_000
# A longer header of a part ends here; the message's own may have headers.HEADER_BYTES_MAX.
PART_HEADER_BYTES_MAX: Final = 128 * 1024
# Times the message's length that may be searched for boundaries in all.
SCANS_MAX: Final = 24
# Lines that begin as a delimiter does and are none; after so many we stop looking.
NEAR_MISSES_MAX: Final = 100_000
BOUNDARY_CHARS_MAX: Final = 250  # RFC 2046 5.1.1 says 70; not all senders know
# How far into a body we look for the boundary its header does not name, and how often.
GUESS_BYTES_MAX: Final = 64 * 1024
GUESS_LINES_MAX: Final = 32
LANGUAGES_MAX: Final = 32
FIELD_BYTES_MAX: Final = 64 * 1024

_GUESSED: Final = re.compile(rb"--([0-9A-Za-z'()+_,./:=?-]{1,70}+)[ \t]*+\r?(?=\n)")
_BARE_EMPTY_LINE: Final = re.compile(rb"\r\r(?!\n)")
_TYPE: Final = re.compile(r"([\w!#$%&'*+.^`|~-]+)/([\w!#$%&'*+.^`|~-]+)", re.ASCII)
_MESSAGES: Final = frozenset({"message/rfc822", "message/global"})
# RFC 2046 5.2.1 forbids these on messages; where they stand, there are no offsets to give.
_OPAQUE: Final = frozenset({"base64", "quoted-printable", "x-uuencode", "uuencode"})

_BLOCK_BYTES: Final = 64 * 1024

_Span = tuple[int, int]


class _Budget:
    """What is left of the parts to make, the bytes to search and the false hits to look at."""

    __slots__ = ("bytes_left", "misses_left", "parts_left")

    def __init__(self, data: bytes) -> None:
        self.parts_left = PARTS_MAX
        self.misses_left = NEAR_MISSES_MAX
        self.bytes_left = SCANS_MAX * max(len(data), 1024)

    def take_parts(self, wanted: int) -> int:
        """How many of the wanted parts may be made."""
        granted = min(wanted, self.parts_left)
        self.parts_left -= granted
        return granted

    def take_scan(self, length: int) -> bool:
        """Whether `length` more bytes may be searched."""
        self.bytes_left -= length
        return self.bytes_left >= 0


class _Lines:
    """Counts line ends of any span; long spans by blocks counted once, however often they nest."""

    __slots__ = ("blocks", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.blocks: list[int] = []  # line ends before each block

    def count(self, start: int, end: int) -> int:
        """How many line feeds data[start:end] holds."""
        if end - start <= 2 * _BLOCK_BYTES:
            return self.data.count(b"\n", start, end)
        return self._before(end) - self._before(start)

    def _before(self, offset: int) -> int:
        if not self.blocks:
            counts = (
                self.data.count(b"\n", at, at + _BLOCK_BYTES)
                for at in range(0, len(self.data), _BLOCK_BYTES)
            )
            self.blocks = [0, *accumulate(counts)]
        block = offset // _BLOCK_BYTES
        return self.blocks[block] + self.data.count(b"\n", block * _BLOCK_BYTES, offset)


class _Frame:
    """A part being read: what its header said, and the spans of its children still to read."""

    __slots__ = (
        "body",
        "children",
        "counter",
        "depth",
        "embeds",
        "fields",
        "header_start",
        "jmap_id",
        "kind",
        "named",
        "params",
        "part_id",
        "spans",
        "taken",
    )

    depth: int
    embeds: bool
    kind: tuple[str, str]
    part_id: str
    counter: list[int]
    jmap_id: str | None

    def __init__(self, data: bytes, span: _Span, parent: "_Frame | None") -> None:
        bytes_max = PART_HEADER_BYTES_MAX if parent else headers.HEADER_BYTES_MAX
        self.header_start, body_start = headers.block_end(data, *span, bytes_max)
        self.body = (body_start, max(body_start, span[1]))
        self.fields = headers.split(data, self.header_start, body_start)
        self.named = {field.name.lower(): field.raw for field in reversed(self.fields)}
        self.depth = parent.depth + 1 if parent else 0
        in_message = parent is None or parent.embeds
        digest = parent is not None and parent.kind == ("multipart", "digest")
        self.kind, self.params = _kind(self.first("content-type"), digest)
        self.embeds = "/".join(self.kind) in _MESSAGES and self.encoding() not in _OPAQUE
        self.counter = [0] if in_message or parent is None else parent.counter
        self.spans: list[_Span] = []
        self.children: list[Part] = []
        self.taken = 0
        self.number(parent)

    def number(self, parent: "_Frame | None") -> None:
        """Give the part its IMAP and JMAP numbers, see `parts`."""
        multipart = self.kind[0] == "multipart"
        prefix = parent.part_id if parent else ""
        if multipart and (parent is None or parent.embeds):
            self.part_id = prefix
        else:
            number = 1 if parent is None or parent.embeds else parent.taken
            self.part_id = f"{prefix}.{number}" if prefix else str(number)
        self.jmap_id = None
        if not multipart:
            self.counter[0] += 1
            self.jmap_id = str(self.counter[0])

    def first(self, name: str) -> bytes | None:
        """The raw value of the first field of that name: what most readers of MIME go by."""
        raw = self.named.get(name)
        return None if raw is None else raw[:FIELD_BYTES_MAX]

    def encoding(self) -> str:
        """RFC 2045 6.1: the transfer encoding, 7bit if none is named."""
        raw = self.first("content-transfer-encoding")
        named = _plain(raw).strip(" \t\"';").lower() if raw else ""
        return named or "7bit"

    def find_spans(self, data: bytes, budget: _Budget) -> None:
        """Cut the body into the spans of the parts in it, if this part holds others."""
        if self.embeds:
            if self.depth < DEPTH_MAX and budget.take_parts(1):
                self.spans = [self.body]
        elif self.kind[0] == "multipart":
            spans = _cut(data, self.body, self.params.get("boundary"), budget)
            if self.depth < DEPTH_MAX and (granted := budget.take_parts(len(spans))):
                dropped = granted < len(spans)
                self.spans = spans[:granted]
                if dropped:
                    self.spans[-1] = (self.spans[-1][0], self.body[1])
            self.spans.reverse()  # taken from the end

    def close(self, lines: _Lines) -> Part:
        """The finished part."""
        start, end = self.body
        counts_lines = self.kind[0] == "text" or self.embeds
        disposition, disposition_params = _disposition(self.first("content-disposition"))
        children = self.children
        if self.kind[0] == "multipart" and not children:
            children = [self.whole_body(lines)]
        encoding, decoded = self.encoding(), None
        if encoding == "base64" and self.kind[0] != "multipart":
            decoded = words.count_base64(lines.data[start:end])
        return Part(
            part_id=self.part_id,
            jmap_id=self.jmap_id,
            header_start=self.header_start,
            body_start=start,
            body_end=end,
            type=self.kind[0],
            subtype=self.kind[1],
            params=self.params,
            encoding=encoding,
            disposition=disposition,
            disposition_params=disposition_params,
            content_id=_content_id(self.first("content-id")),
            description=_text(self.first("content-description")),
            language=_languages(self.first("content-language")),
            location=_location(self.first("content-location")),
            md5=_text(self.first("content-md5")),
            lines=lines.count(start, end) if counts_lines else 0,
            children=() if self.embeds else tuple(children),
            message=children[0] if self.embeds and children else None,
            has_type=self.first("content-type") is not None,
            decoded=decoded,
        )

    def whole_body(self, lines: _Lines) -> Part:
        """The only child of a multipart that could not be cut."""
        start, end = self.body
        self.counter[0] += 1
        return Part(
            part_id=f"{self.part_id}.1" if self.part_id else "1",
            jmap_id=str(self.counter[0]),
            header_start=start,
            body_start=start,
            body_end=end,
            type="text",
            subtype="plain",
            params={},
            lines=lines.count(start, end),
        )


def parse(data: bytes) -> Part:
    """The tree of parts of a message; any bytes at all have one."""
    return read(data)[0]


def read(data: bytes) -> tuple[Part, list[Header]]:
    """The tree of parts of a message and the header fields of its root."""
    data = _with_line_feeds(data)
    budget, lines = _Budget(data), _Lines(data)
    root = _Frame(data, (0, len(data)), None)
    root.find_spans(data, budget)
    stack = [root]
    while True:
        frame = stack[-1]
        if frame.spans:
            frame.taken += 1
            child = _Frame(data, frame.spans.pop(), frame)
            child.find_spans(data, budget)
            stack.append(child)
            continue
        part = stack.pop().close(lines)
        if not stack:
            return part, root.fields
        stack[-1].children.append(part)


def headers_of(data: bytes, part: Part) -> list[Header]:
    """The header fields of a part, in order."""
    return headers.split(data, part.header_start, part.header_end)


def _with_line_feeds(data: bytes) -> bytes:
    """A message whose lines end in bare CR with LF instead: the same offsets, readable lines.

    Such is one with an empty line between bare CRs and none between line feeds (of which the
    doors it came through may have added some).
    """
    if b"\n\r\n" in data or b"\n\n" in data or data[:1] == b"\n" or b"\r" not in data:
        return data
    if b"\n" in data and not _BARE_EMPTY_LINE.search(data):
        return data
    return headers.with_line_feeds(data)


def _cut(data: bytes, body: _Span, boundary: str | None, budget: _Budget) -> list[_Span]:
    """RFC 2046 5.1.1: the spans between the delimiter lines of a multipart body."""
    start, end = body
    if not budget.take_scan(end - start):
        return []
    named = (boundary or "").rstrip()[:BOUNDARY_CHARS_MAX].encode("utf-8", "replace")
    spans = _between(data, start, end, named, budget) if named else []
    if not spans and (guessed := _guess_boundary(data, start, end)):
        spans = _between(data, start, end, guessed, budget)
    return spans


def _between(data: bytes, start: int, end: int, boundary: bytes, budget: _Budget) -> list[_Span]:
    needle = b"\n--" + boundary
    spans: list[_Span] = []
    opened = -1  # where the part being looked at starts
    # The line end before the first delimiter is that of the header, or there is none at all.
    at_start = data.startswith(needle[1:], start, end)
    hit = start - 1 if at_start else data.find(needle, start, end)
    while (at_start or hit >= 0) and len(spans) < PARTS_MAX:
        at_start = False
        line_end = data.find(b"\n", hit + len(needle), end)
        after = end if line_end < 0 else line_end
        rest = data[hit + len(needle) : after].strip(b" \t\r")
        closes = rest[:2] == b"--" and not rest[2:].strip(b" \t\r")
        if closes or not rest:
            if opened >= 0:
                spans.append((opened, _before_delimiter(data, opened, hit)))
            opened = -1
            if closes:
                break
            opened = min(after + 1, end)
        elif budget.misses_left:
            budget.misses_left -= 1
        else:
            break
        hit = data.find(needle, after, end)
    if opened >= 0:
        spans.append((opened, end))
    return spans


def _before_delimiter(data: bytes, start: int, hit: int) -> int:
    """The line end before a delimiter belongs to the delimiter (RFC 2046 5.1.1)."""
    if hit > start and data[hit - 1] == 0x0D:
        hit -= 1
    return max(start, hit)


def _guess_boundary(data: bytes, start: int, end: int) -> bytes | None:
    """The boundary of a multipart that names none or a wrong one: the first line like one."""
    limit = min(end, start + GUESS_BYTES_MAX)
    if guessed := _GUESSED.match(data, start, limit):
        return guessed[1]
    hit = data.find(b"\n--", start, limit)
    for _ in range(GUESS_LINES_MAX):
        if hit < 0:
            break
        if guessed := _GUESSED.match(data, hit + 1, limit):
            return guessed[1]
        hit = data.find(b"\n--", hit + 1, limit)
    return None


def _kind(raw: bytes | None, digest: bool) -> tuple[tuple[str, str], dict[str, str]]:
    """RFC 2045 5.2, RFC 2046 5.1.5: type, subtype and parameters, or what their absence means."""
    if raw is None:
        return (("message", "rfc822") if digest else ("text", "plain")), {}
    value, params = parameters.parse(charsets.decode_header(raw, None))
    named = _TYPE.fullmatch(value)
    return ((named[1], named[2]) if named else ("text", "plain")), params


def _disposition(raw: bytes | None) -> tuple[str | None, dict[str, str]]:
    if raw is None:
        return None, {}
    value, params = parameters.parse(charsets.decode_header(raw, None))
    return value or None, params


def _plain(raw: bytes) -> str:
    return grammar.strip_comments(grammar.unfold(charsets.decode_header(raw, None))).strip()


def _text(raw: bytes | None) -> str | None:
    return grammar.unfold(charsets.decode_header(raw, None)).strip() if raw is not None else None


def _content_id(raw: bytes | None) -> str | None:
    """RFC 8621 4.1.4 cid: without CFWS and angle brackets."""
    return ("".join(_plain(raw).split()).strip("<>") or None) if raw is not None else None


def _location(raw: bytes | None) -> str | None:
    """RFC 2557 4.1: white space inside is folding."""
    return ("".join(_plain(raw).split()) or None) if raw is not None else None


def _languages(raw: bytes | None) -> tuple[str, ...] | None:
    """RFC 3282 2: a list of tags."""
    if raw is None:
        return None
    tags = [tag.strip() for tag in _plain(raw).split(",", LANGUAGES_MAX)[:LANGUAGES_MAX]]
    return tuple(tag for tag in tags if tag) or None
