"""RFC 8621 4.6: the Email object of a create, checked, to the fields and parts of a message.

Pure: blobs come through `load`, ids and time are the caller's. Whatever the RFC forbids raises
SetError and nothing is guessed.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from protocols.jmap.draft_headers import CONVENIENCE, field_of, fields_of
from protocols.jmap.errors import SetError, invalid_properties
from protocols.jmap.values import is_id, is_reference
from protocols.mime import parameters
from protocols.mime.build import PartSpec
from protocols.mime.structure import DEPTH_MAX

Load = Callable[[str], bytes | None]
"""The octets of a blob by its id, None when the account has none such."""

_TYPE: Final = re.compile(r"[\w!#$&^.+-]{1,64}/[\w!#$&^.+-]{1,64}\Z", re.ASCII)
_DISPOSITION: Final = re.compile(r"[\w-]{1,32}\Z", re.ASCII)
_BODIES: Final = frozenset(("bodyStructure", "bodyValues", "textBody", "htmlBody", "attachments"))
_PLACES: Final = frozenset(("mailboxIds", "keywords", "receivedAt"))
_PART: Final = frozenset(
    (
        *("partId", "blobId", "size", "name", "type", "charset"),
        *("disposition", "cid", "language", "location", "subParts"),
    )
)
_VALUE: Final = frozenset(("value", "isEncodingProblem", "isTruncated"))
_DISPOSED: Final = "content-disposition"
# Properties of a part -> the field each is written into (RFC 8621 4.1.4).
_PART_FIELDS: Final[Mapping[str, str]] = {
    "type": "content-type",
    "charset": "content-type",
    "disposition": _DISPOSED,
    "name": _DISPOSED,
    "cid": "content-id",
    "language": "content-language",
    "location": "content-location",
}


@dataclass(frozen=True, slots=True)
class Draft:
    """What a message is to be built of; the caller adds what is missing of Date and Message-ID."""

    fields: tuple[tuple[str, str], ...]
    root: PartSpec

    def has(self, name: str) -> bool:
        """Whether the message's own header has this field."""
        return any(held.lower() == name for held, _ in (*self.fields, *self.root.headers))


def read_draft(values: Mapping[str, Any], load: Load, *, octets_max: int) -> Draft:
    """The draft in an Email object; raises SetError."""
    known = _BODIES | _PLACES | CONVENIENCE.keys()
    unknown = [name for name in values if name not in known and not name.startswith("header:")]
    if unknown:
        raise invalid_properties("unknown properties, or the server's to set", *unknown)
    fields = fields_of(values)
    content = [name for name in values if field_of(name).startswith("content-")]
    if content:
        raise invalid_properties("Content- fields belong to body parts", *content)
    bodies = _Bodies(values, load, octets_max)
    if values.get("bodyStructure") is not None:
        lists = ("textBody", "htmlBody", "attachments")
        clash = [name for name in lists if values.get(name) is not None]
        if clash:
            raise invalid_properties("bodyStructure excludes the body lists", *clash)
        root = bodies.part(values["bodyStructure"], "bodyStructure", "text/plain", 1)
        twice = {name.lower() for name, _ in fields} & {n.lower() for n, _ in root.headers}
        if twice:
            raise invalid_properties(f"{min(twice)} is given twice", "bodyStructure")
    else:
        root = bodies.from_lists()
    bodies.check_blobs()
    return Draft(tuple(fields), root)


class _Bodies:
    """Reads body parts, gathering blobs that are missing and counting octets."""

    def __init__(self, values: Mapping[str, Any], load: Load, octets_max: int) -> None:
        self._values = values
        self._load = load
        self._room = octets_max
        self._missing: list[str] = []
        given = values.get("bodyValues")
        if given is not None and not isinstance(given, dict):
            raise invalid_properties("bodyValues is not an object", "bodyValues")
        self._texts: Mapping[str, Any] = given or {}

    def check_blobs(self) -> None:
        """All blobs were there; else SetError blobNotFound names those that were not."""
        if self._missing:
            raise SetError("blobNotFound", notFound=list(dict.fromkeys(self._missing)))

    def from_lists(self) -> PartSpec:
        """textBody, htmlBody and attachments as a tree of parts."""
        text = self._only("textBody", "text/plain")
        html = self._only("htmlBody", "text/html")
        attached = [
            _attached(self.part(part, "attachments", "application/octet-stream", 1))
            for part in self._list("attachments")
        ]
        shown = [part for part in (text, html) if part is not None]
        # RFC 2387: pictures that HTML shows by their Content-ID go beside it.
        inline = [
            part for part in attached if html and part.content_id and part.disposition == "inline"
        ]
        body = _wrap("multipart/alternative", shown) or PartSpec(content_type="text/plain")
        related = _wrap("multipart/related", [body, *inline]) or body
        others = [part for part in attached if part not in inline]
        if others and not shown and not inline:
            return _wrap("multipart/mixed", others) or others[0]
        return _wrap("multipart/mixed", [related, *others]) or related

    def _list(self, name: str) -> Sequence[Any]:
        given = self._values.get(name)
        if given is not None and not isinstance(given, list):
            raise invalid_properties(f"{name} is not an array", name)
        return given or ()

    def _only(self, name: str, content_type: str) -> PartSpec | None:
        if self._values.get(name) is None:
            return None
        given = self._list(name)
        part = self.part(given[0], name, content_type, 1) if len(given) == 1 else None
        if part is None or part.content_type != content_type:
            raise invalid_properties(f"{name} is one part of type {content_type}", name)
        return part

    def part(self, given: Any, about: str, default_type: str, depth: int) -> PartSpec:
        """One EmailBodyPart; `about` is the property that errors name."""
        if not isinstance(given, dict) or depth > DEPTH_MAX:
            raise invalid_properties("a body part is no object, or too deep", about)
        unknown = [n for n in given if n not in _PART and not n.startswith("header:")]
        if unknown:
            raise invalid_properties(f"a body part has no property {unknown[0][:100]!r}", about)
        _check_part_fields(given, about)
        fields = fields_of(given, about=about)
        written, params = _written_type(fields, about)
        content_type = _checked(given, "type", _is_type, about) or written or default_type
        disposition = _checked(given, "disposition", _is_disposition, about)
        language = _checked(given, "language", _is_strings, about)
        shared = {
            "content_type": content_type.lower(),
            "disposition": disposition,
            "filename": _checked(given, "name", _is_text, about),
            "content_id": _checked(given, "cid", _is_text, about),
            "language": tuple(language or ()),
            "location": _checked(given, "location", _is_text, about),
            "headers": tuple(field for field in fields if field[0].lower() != "content-type"),
        }
        if shared["content_type"].startswith("multipart/"):
            parts = given.get("subParts")
            if not isinstance(parts, list) or not parts:
                raise invalid_properties("a multipart has subParts", about)
            children = tuple(self.part(child, about, "text/plain", depth + 1) for child in parts)
            return PartSpec(**shared, children=children, params=params)
        if given.get("subParts"):
            raise invalid_properties("only a multipart has subParts", about)
        body, charset = self._body(given, about)
        exact = given.get("blobId") is not None
        return PartSpec(**shared, body=body, params=params | charset, exact=exact)

    def _body(self, given: Mapping[str, Any], about: str) -> tuple[bytes, dict[str, str]]:
        part_id, blob_id = given.get("partId"), given.get("blobId")
        if (part_id is None) == (blob_id is None):
            raise invalid_properties("a body part has a partId or a blobId", about)
        if part_id is not None:
            if given.get("charset") is not None or given.get("size") is not None:
                raise invalid_properties("a part with a partId has no charset and no size", about)
            body = self._text(part_id, about)
            params = {"charset": "utf-8"}
        else:
            body = self._blob(blob_id, about)
            charset = _checked(given, "charset", _is_text, about)
            params = {"charset": charset} if charset else {}
        self._room -= len(body)
        if self._room < 0:
            raise SetError("tooLarge", "the parts are too large together")
        return body, params

    def _text(self, part_id: Any, about: str) -> bytes:
        value = self._texts.get(part_id) if isinstance(part_id, str) else None
        if not isinstance(value, dict) or not isinstance(value.get("value"), str):
            raise invalid_properties("a partId is not in bodyValues", about, "bodyValues")
        if value.keys() - _VALUE:
            raise invalid_properties("a body value has no such property", "bodyValues")
        if value.get("isEncodingProblem") or value.get("isTruncated"):
            raise invalid_properties("a body value is damaged or cut", "bodyValues")
        text: str = value["value"]
        return text.encode()

    def _blob(self, blob_id: Any, about: str) -> bytes:
        if not is_id(blob_id) and not is_reference(blob_id):
            raise invalid_properties("a blobId is not an Id", about)
        body = self._load(blob_id)
        if body is None:
            self._missing.append(blob_id)
            return b""
        return body


def _written_type(
    fields: Sequence[tuple[str, str]], about: str
) -> tuple[str | None, dict[str, str]]:
    """The type and parameters of a part that gives Content-Type as a field."""
    written = [value for name, value in fields if name.lower() == "content-type"]
    if not written:
        return None, {}
    content_type, params = parameters.parse(written[0])
    if len(written) > 1 or not _is_type(content_type):
        raise invalid_properties("the part's Content-Type is none", about)
    return content_type, {name: held for name, held in params.items() if name != "boundary"}


def _check_part_fields(given: Mapping[str, Any], about: str) -> None:
    """RFC 8621 4.6: no field of a part is given twice, and the server chooses how it is encoded."""
    fields = {field_of(name) for name in given}
    if "content-transfer-encoding" in fields:
        raise invalid_properties("the server chooses the transfer encoding", about)
    for name, field in _PART_FIELDS.items():
        if field in fields and given.get(name) is not None:
            raise invalid_properties(f"{name} and {field} are the same field", about)


def _attached(part: PartSpec) -> PartSpec:
    """A part of attachments that does not say so itself: else pictures would be shown as body."""
    says = part.disposition or any(name.lower() == _DISPOSED for name, _ in part.headers)
    return part if says else replace(part, disposition="attachment")


def _wrap(content_type: str, parts: Sequence[PartSpec]) -> PartSpec | None:
    """A multipart of several parts, or the one there is."""
    if len(parts) < 2:
        return parts[0] if parts else None
    return PartSpec(content_type=content_type, children=tuple(parts))


def _checked(given: Mapping[str, Any], name: str, fits: Callable[[Any], bool], about: str) -> Any:
    value = given.get(name)
    if value is not None and not fits(value):
        raise invalid_properties(f"the part's {name} has a wrong type or value", about)
    return value


def _is_type(value: Any) -> bool:
    return isinstance(value, str) and _TYPE.match(value) is not None


def _is_disposition(value: Any) -> bool:
    return isinstance(value, str) and _DISPOSITION.match(value) is not None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
