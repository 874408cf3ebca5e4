"""RFC 8621 4.1.4: which parts are shown as the body, as text or as HTML, and which are attached.

The RFC's suggested algorithm, with a stack of frames in place of its recursion.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from protocols.mime.parts import Part

_MEDIA: Final = frozenset({"image", "audio", "video"})
# Signatures are processed by the client, not offered for download (RFC 8621 4.1.4 hasAttachment).
_SIGNATURES: Final = frozenset(
    {
        "application/pgp-signature",
        "application/pkcs7-signature",
        "application/x-pkcs7-signature",
    }
)


class BodyLists(msgspec.Struct, frozen=True):
    """textBody, htmlBody and attachments of RFC 8621 4.1.4."""

    text: tuple[Part, ...]
    html: tuple[Part, ...]
    attachments: tuple[Part, ...]


class _Frame:
    """One call of the RFC's parseStructure; a list that is None takes no more parts."""

    __slots__ = ("html", "html_length", "in_alternative", "parts", "subtype", "text", "text_length")

    def __init__(
        self,
        parts: tuple[Part, ...],
        subtype: str,
        in_alternative: bool,
        text: list[Part] | None,
        html: list[Part] | None,
    ) -> None:
        self.parts: Iterator[tuple[int, Part]] = enumerate(parts)
        self.subtype = subtype
        self.in_alternative = in_alternative
        self.text = text
        self.html = html
        self.text_length = -1 if text is None else len(text)
        self.html_length = -1 if html is None else len(html)

    def is_shown(self, index: int, part: Part) -> bool:
        """Whether a part belongs to the body rather than to the attachments."""
        media = part.type in _MEDIA
        if part.disposition == "attachment":
            return False
        if not media and part.content_type not in ("text/plain", "text/html"):
            return False
        return index == 0 or (self.subtype != "related" and (media or not part.filename))

    def show(self, part: Part, attachments: list[Part]) -> None:
        """Put a part of the body into the lists it belongs to.

        What neither list takes is attached, as the definition of attachments has it; the RFC's
        algorithm would lose it.
        """
        if self.subtype == "alternative":
            kind = {"text/plain": self.text, "text/html": self.html}
            target = kind.get(part.content_type)
            (attachments if target is None else target).append(part)
            return
        if self.in_alternative:
            if part.content_type == "text/plain":
                self.html = None
            if part.content_type == "text/html":
                self.text = None
        if self.text is not None:
            self.text.append(part)
        if self.html is not None:
            self.html.append(part)
        nowhere = self.text is None and self.html is None
        if nowhere or (part.type in _MEDIA and (self.text is None or self.html is None)):
            attachments.append(part)

    def close(self) -> None:
        """An alternative offered in one form only serves for both."""
        text, html = self.text, self.html
        if self.subtype != "alternative" or text is None or html is None:
            return
        if self.text_length == len(text) and self.html_length != len(html):
            text += html[self.html_length :]
        elif self.html_length == len(html) and self.text_length != len(text):
            html += text[self.text_length :]


def body_lists(root: Part) -> BodyLists:
    """Decompose the tree of one message."""
    text: list[Part] = []
    html: list[Part] = []
    attachments: list[Part] = []
    stack = [_Frame((root,), "mixed", False, text, html)]
    while stack:
        frame = stack[-1]
        index, part = next(frame.parts, (-1, root))
        if index < 0:
            frame.close()
            stack.pop()
        elif part.is_multipart:
            inside = frame.in_alternative or part.subtype == "alternative"
            stack.append(_Frame(part.children, part.subtype, inside, frame.text, frame.html))
        elif frame.is_shown(index, part):
            frame.show(part, attachments)
        else:
            attachments.append(part)
    return BodyLists(tuple(text), tuple(html), tuple(attachments))


def has_attachment(root: Part, lists: BodyLists) -> bool:
    """RFC 8621 4.1.4 hasAttachment: something a client should offer for download.

    Not counted: inline parts, pictures that HTML beside them refers to by Content-Id, signatures.
    """
    referred = _related_media(root) if lists.attachments else set()
    return any(
        part.disposition != "inline"
        and part.part_id not in referred
        and part.content_type not in _SIGNATURES
        for part in lists.attachments
    )


def _related_media(root: Part) -> set[str]:
    """Numbers of the media with a Content-Id that lie beside HTML in multipart/related."""
    found: set[str] = set()
    stack = [root]
    while stack:
        part = stack.pop()
        stack.extend(part.children)
        if part.content_type == "multipart/related":
            found |= {
                child.part_id
                for child in part.children
                if child.content_id and child.type in _MEDIA and child.disposition != "attachment"
            }
    return found
