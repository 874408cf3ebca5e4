"""RFC 8621 4.1.3-4.1.4: what of an Email is read from its message, not from its rows.

The part tree was made at ingest; of the message only the headers and bodies asked for are read.
Works on a stored email and on a message that is only parsed (Email/parse) alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from protocols.jmap.header_forms import HeaderProperty, all_fields, parse_header_property
from protocols.jmap.sections import read_span, section_of
from protocols.mime import headers
from protocols.mime.bodies import decode_text, decode_transfer, is_known_encoding
from protocols.mime.body_lists import BodyLists, body_lists
from protocols.mime.headers import Header
from protocols.mime.parts import Part, walk
from protocols.ports import READ_BYTES_MAX, Blobs
from storage.ids import BlobId, BlobRef, render_blob

# RFC 8621 4.2: bodyProperties when none are named.
BODY_PROPERTIES: Final = (
    "partId",
    "blobId",
    "size",
    "name",
    "type",
    "charset",
    "disposition",
    "cid",
    "language",
    "location",
)
_PART_PROPERTIES: Final = frozenset((*BODY_PROPERTIES, "headers", "subParts"))

# Properties of an Email that come from here.
BODY_VALUED: Final = frozenset(
    ("headers", "bodyStructure", "bodyValues", "textBody", "htmlBody", "attachments")
)


@dataclass(frozen=True, slots=True)
class BodyOptions:
    """RFC 8621 4.2: what an Email/get or Email/parse wants of bodies; 0 octets is no limit."""

    properties: tuple[str, ...] = BODY_PROPERTIES
    text_values: bool = False
    html_values: bool = False
    all_values: bool = False
    value_octets_max: int = 0


def is_part_property(name: str) -> bool:
    """Whether an EmailBodyPart has this property."""
    return name in _PART_PROPERTIES or parse_header_property(name) is not None


class Message:
    """One message: its part tree, and its octets as they are needed."""

    def __init__(self, blobs: Blobs, blob: BlobId, size: int, root: Part) -> None:
        self._blobs = blobs
        self._blob = blob
        self._whole = blobs.read(blob, 0, size) if size <= READ_BYTES_MAX else None
        self._lists: BodyLists | None = None
        self.root = root

    @property
    def lists(self) -> BodyLists:
        """textBody, htmlBody and attachments."""
        if self._lists is None:
            self._lists = body_lists(self.root)
        return self._lists

    def span(self, start: int, end: int) -> bytes:
        """Octets of the message."""
        if self._whole is not None:
            return self._whole[start:end]
        return read_span(self._blobs, self._blob, start, end - start)

    def fields(self, part: Part) -> list[Header]:
        """The header fields of a part."""
        block = self.span(part.header_start, part.header_end)
        if b"\n" not in block and b"\r" in block:
            block = block.replace(b"\r", b"\n")  # as the part tree was cut (mime/structure)
        return headers.split(block, 0, len(block))

    def body(self, part: Part) -> bytes:
        """The decoded body of a part."""
        return decode_transfer(self.span(part.body_start, part.body_end), part.encoding)

    def decoded_size(self, part: Part) -> int:
        """Octets of the decoded body; for what no decoding changes, without reading it."""
        if section_of(self._blob, part).encoding == 0:
            return part.size
        if part.decoded is not None:
            return part.decoded
        return len(self.body(part))

    def part_blob(self, part: Part) -> str | None:
        """The id of a part's decoded body; a multipart has none."""
        return None if part.is_multipart else render_blob(section_of(self._blob, part))


class ParsedMessage(Message):
    """A message at hand, which is a blob or lies in one (Email/parse)."""

    def __init__(self, data: bytes, ref: BlobRef, root: Part) -> None:
        self._whole = data
        self._ref = ref
        self._blob = ref.blob
        self._lists = None
        self.root = root

    def part_blob(self, part: Part) -> str | None:
        """The id of a part's decoded body; None also for one that lies in more messages, each
        encoded as a whole (which RFC 2046 5.2.1 forbids), than an id can name."""
        if part.is_multipart:
            return None
        section = section_of(self._blob, part)
        found = self._ref.within(section.start, part.size, section.encoding)
        return None if found is None else render_blob(found)


class BodyReader:
    """Renders the body properties of emails, with one call's options."""

    def __init__(self, options: BodyOptions) -> None:
        self._options = options
        self._part_headers = tuple(
            found for name in options.properties if (found := parse_header_property(name))
        )

    def property_reader(self, name: str) -> Callable[[Message], Any] | None:
        """How a property of the Email is read; None when it is none of these."""
        match name:
            case "bodyStructure":
                return lambda message: self._structure(message, message.root)
            case "textBody":
                return lambda message: self._parts(message, message.lists.text)
            case "htmlBody":
                return lambda message: self._parts(message, message.lists.html)
            case "attachments":
                return lambda message: self._parts(message, message.lists.attachments)
            case "bodyValues":
                return self._values
            case "headers":
                return lambda message: all_fields(message.fields(message.root))
            case _:
                wanted = parse_header_property(name)
                return None if wanted is None else _header_reader(wanted)

    def _parts(self, message: Message, parts: Sequence[Part]) -> list[dict[str, Any]]:
        return [self._part(message, part) for part in parts]

    def _structure(self, message: Message, part: Part) -> dict[str, Any]:
        told = self._part(message, part)
        if part.is_multipart:
            # As deep as the parser allows parts to be (mime.structure.DEPTH_MAX).
            told["subParts"] = [self._structure(message, child) for child in part.children]
        return told

    def _part(self, message: Message, part: Part) -> dict[str, Any]:
        told: dict[str, Any] = {}
        for name in self._options.properties:
            reader = _PART_READERS.get(name)
            if reader is not None:
                told[name] = reader(message, part)
        if self._part_headers:
            fields = message.fields(part)
            for wanted in self._part_headers:
                told[wanted.property] = wanted.value(fields, part.params.get("charset"))
        return told

    def _values(self, message: Message) -> dict[str, Any]:
        options = self._options
        wanted: list[Part] = []
        if options.all_values:
            wanted += walk(message.root)
        if options.text_values:
            wanted += message.lists.text
        if options.html_values:
            wanted += message.lists.html
        found: dict[str, Any] = {}
        for part in wanted:
            if part.type == "text" and part.jmap_id is not None and part.jmap_id not in found:
                found[part.jmap_id] = body_value(message, part, options.value_octets_max)
        return found


def _header_reader(wanted: HeaderProperty) -> Callable[[Message], Any]:
    def read(message: Message) -> Any:
        root = message.root
        return wanted.value(message.fields(root), root.params.get("charset"))

    return read


_PART_READERS: Final[dict[str, Callable[[Message, Part], Any]]] = {
    "partId": lambda _, part: part.jmap_id,
    "blobId": lambda message, part: message.part_blob(part),
    "size": lambda message, part: message.decoded_size(part),
    "headers": lambda message, part: all_fields(message.fields(part)),
    "name": lambda _, part: part.filename,
    "type": lambda _, part: part.content_type,
    "charset": lambda _, part: part.charset,
    "disposition": lambda _, part: part.disposition,
    "cid": lambda _, part: part.content_id,
    "language": lambda _, part: None if part.language is None else list(part.language),
    "location": lambda _, part: part.location,
    "subParts": lambda _, part: None,  # bodyStructure fills it in; lists have none (4.1.4)
}


def body_value(message: Message, part: Part, octets_max: int) -> dict[str, Any]:
    """RFC 8621 4.1.4 EmailBodyValue."""
    text, problem = decode_text(message.body(part), part.params.get("charset"))
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    shown = truncate(text, octets_max, html=part.subtype == "html") if octets_max else text
    return {
        "value": shown,
        "isEncodingProblem": problem or not is_known_encoding(part.encoding),
        "isTruncated": len(shown) < len(text),
    }


def truncate(text: str, octets_max: int, *, html: bool) -> str:
    """RFC 8621 4.2 maxBodyValueBytes: at most so many octets of UTF-8, no character cut.

    HTML is not cut inside a tag either.
    """
    if len(text) * 4 <= octets_max:
        return text
    encoded = text[: octets_max + 1].encode("utf-8", "replace")
    if len(encoded) <= octets_max:
        return text
    cut = encoded[:octets_max].decode("utf-8", "ignore")
    if html and (opened := cut.rfind("<")) > cut.rfind(">"):
        cut = cut[:opened]
    return cut


__all__ = [
    "BODY_PROPERTIES",
    "BODY_VALUED",
    "BodyOptions",
    "BodyReader",
    "Message",
    "ParsedMessage",
    "body_value",
    "is_part_property",
    "truncate",
]
