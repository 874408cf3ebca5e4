"""The first 256 characters worth reading (RFC 8621 4.1.4 preview).

Only the beginning of the first text part is decoded. Quoted lines, the line that introduces them,
signatures and invisible characters that senders pad previews with are skipped; if nothing else is
there, the quoted text is better than nothing.
"""

import re
from typing import Final

from protocols.mime import bodies
from protocols.mime.body_lists import BodyLists, body_lists
from protocols.mime.html_text import html_to_text
from protocols.mime.parts import Part

PREVIEW_CHARS_MAX: Final = 256
# Of the encoded body; HTML mail has long heads full of style.
TEXT_BYTES_MAX: Final = 8 * 1024
HTML_BYTES_MAX: Final = 64 * 1024
# Characters of text looked at: quotes and signatures have to be skipped over.
TEXT_CHARS_MAX: Final = 2 * 1024

_SIGNATURE: Final = re.compile(r"^--[ \t]?$|^-{5,} ?(?:Original|Forwarded|Urspr)|^_{20,}$", re.M)
_INTRODUCES: Final = re.compile(r"^.{0,200}:[ \t]*$")
# Zero-width and filler characters, soft hyphens, byte order marks, direction marks.
_INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f"
    "\u202a-\u202e\u2060-\u2064\u206a-\u206f\ufeff\u0000-\u0008]+"
)


def preview(data: bytes, root: Part, lists: BodyLists | None = None) -> str:
    """The preview of the message whose tree is `root`."""
    lists = lists or body_lists(root)
    for part in (*lists.text[:3], *lists.html[:3]):
        if part.type != "text":
            continue
        text = _beginning(data, part)
        if shown := _worth_reading(text):
            return shown
    return ""


def _beginning(data: bytes, part: Part) -> str:
    """The first few thousand characters of a text part."""
    is_html = part.subtype == "html"
    bytes_max = HTML_BYTES_MAX if is_html else TEXT_BYTES_MAX
    end = part.body_end
    if end - part.body_start > bytes_max:
        end = part.body_start + bytes_max
        # Cut at a line end, lest a character or an escape be torn.
        line_end = data.rfind(b"\n", part.body_start + bytes_max // 2, end)
        end = line_end + 1 if line_end >= 0 else end
    decoded = bodies.decode_transfer(data[part.body_start : end], part.encoding)
    if end < part.body_end:
        decoded = _without_torn_end(decoded)
    text, _ = bodies.decode_text(decoded, bodies.charset_of(part, decoded))
    if is_html:
        return html_to_text(text, chars_max=TEXT_CHARS_MAX)
    return text[:TEXT_CHARS_MAX].replace("\r\n", "\n").replace("\r", "\n")


def _without_torn_end(decoded: bytes) -> bytes:
    """Less what a cut may have left of a multibyte character."""
    stripped = 0
    while stripped < 4 and decoded[-1 - stripped : len(decoded) - stripped] >= b"\x80":
        stripped += 1
    return decoded[: len(decoded) - stripped] if stripped else decoded


def _worth_reading(text: str) -> str:
    body = text
    if signature := _SIGNATURE.search(text):
        body = text[: signature.start()]
    kept = _tidy(" ".join(_unquoted_lines(body)))
    return kept or _tidy(re.sub(r"(?m)^[> \t]+", "", text))


def _unquoted_lines(text: str) -> list[str]:
    """Lines that are not quoted, without the line that introduces a quotation."""
    kept: list[str] = []
    for line in text.split("\n"):
        if line.startswith(">"):
            while kept and not kept[-1].strip():
                kept.pop()
            if kept and _INTRODUCES.match(kept[-1].rstrip()):
                kept.pop()
        else:
            kept.append(line)
    return kept


def _tidy(text: str) -> str:
    """Single spaces, nothing invisible, at most 256 characters."""
    return " ".join(_INVISIBLE.sub("", text).split())[:PREVIEW_CHARS_MAX].rstrip()
