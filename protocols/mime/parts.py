"""The tree of parts of a message: what a part is, how to walk it, keep it and find parts in it.

Numbers. `part_id` is IMAP's (RFC 9051 6.4.5): "" for a multipart root, "1" for a single part, then
"1.2"; inside message/rfc822 part P the embedded message's parts are P.1, P.2, and an embedded
multipart root has the number of the part it is in. `jmap_id` counts the parts that are not
multiparts of one message in depth-first order from "1"; an embedded message counts anew.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from protocols.mime import words

_FORMAT: Final = b"\x01"


class Part(msgspec.Struct, frozen=True, array_like=True):
    """One MIME entity. Offsets point into the message; strings are unfolded text.

    The header is data[header_start:header_end], the blank line after it included; the body is
    data[body_start:body_end]. `params` are the parameters of Content-Type by lower-case name, RFC
    2231 resolved; `lines` counts the line ends of text and message bodies; `message` is the root
    of the message embedded in a message/rfc822 part. `decoded` is how many octets a body in base64
    comes to, where that could be counted; None in trees from before it was.
    """

    part_id: str
    jmap_id: str | None
    header_start: int
    body_start: int
    body_end: int
    type: str
    subtype: str
    params: dict[str, str]
    encoding: str = "7bit"
    disposition: str | None = None
    disposition_params: dict[str, str] = {}
    content_id: str | None = None
    description: str | None = None
    language: tuple[str, ...] | None = None
    location: str | None = None
    md5: str | None = None
    lines: int = 0
    children: "tuple[Part, ...]" = ()
    message: "Part | None" = None
    has_type: bool = False
    decoded: int | None = None

    @property
    def header_end(self) -> int:
        """End of the header, its blank line included; where the body starts."""
        return self.body_start

    @property
    def size(self) -> int:
        """Octets of the body in its transfer encoding (RFC 9051 7.5.2)."""
        return self.body_end - self.body_start

    @property
    def content_type(self) -> str:
        """`type/subtype` in lower case."""
        return f"{self.type}/{self.subtype}"

    @property
    def is_multipart(self) -> bool:
        """Whether this part only holds others."""
        return self.type == "multipart"

    @property
    def filename(self) -> str | None:
        """RFC 8621 4.1.4 name: the disposition's filename, else the type's name, decoded."""
        name = self.disposition_params.get("filename") or self.params.get("name")
        return (words.decode(name, lenient=True) or None) if name else None

    @property
    def charset(self) -> str | None:
        """RFC 8621 4.1.4 charset: null for what is no text; us-ascii where text names none."""
        if self.has_type and self.type != "text":
            return None
        return self.params.get("charset") or "us-ascii"


_DECODER: Final = msgspec.msgpack.Decoder(Part)


def walk(root: Part) -> Iterator[Part]:
    """The parts of one message depth first, embedded messages not entered."""
    stack = [root]
    while stack:
        part = stack.pop()
        yield part
        stack.extend(reversed(part.children))


def inner(root: Part) -> Iterator[Part]:
    """The parts inside a part depth first, embedded messages entered; not the part itself."""
    stack = [root]
    while stack:
        part = stack.pop()
        if part is not root:
            yield part
        stack.extend(reversed(part.children))
        if part.message is not None:
            stack.append(part.message)


def find_part(root: Part, part_id: str) -> Part | None:
    """The part with an IMAP number, embedded messages entered; the container before its message."""
    stack = [root]
    while stack:
        part = stack.pop()
        if part.part_id == part_id:
            return part
        stack.extend(reversed(part.children))
        if part.message is not None:
            stack.append(part.message)
    return None


def find_jmap(root: Part, jmap_id: str) -> Part | None:
    """The part with a JMAP partId."""
    return next((part for part in walk(root) if part.jmap_id == jmap_id), None)


def pack(root: Part) -> bytes:
    """The tree as compact bytes, to be kept beside the message."""
    return _FORMAT + msgspec.msgpack.encode(root)


def unpack(packed: bytes) -> Part:
    """The tree that `pack` wrote."""
    if packed[:1] != _FORMAT:
        raise ValueError(f"unknown format of a part tree: {packed[:1]!r}")
    return _DECODER.decode(memoryview(packed)[1:])
