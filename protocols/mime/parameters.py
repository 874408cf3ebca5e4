"""RFC 2045 parameters with the continuations and charsets of RFC 2231, read and written.

Reading is lenient where senders are careless: values with spaces but no quotes, missing
semicolons before an obvious next name, missing closing quotes, encoded words as values (left as
they stand; see `structure.Part.filename`). One pass, at most PARAMETERS_MAX kept.
"""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from protocols.mime import charsets, grammar

PARAMETERS_MAX: Final = 128
# Characters of one field looked at for parameters; the rest of a longer one is ignored.
FIELD_CHARS_MAX: Final = 64 * 1024
LINE_CHARS_MAX: Final = 76
# Fields as they were written lately: most mail says its types in the same few ways.
REMEMBERED_FIELDS_MAX: Final = 1_024
REMEMBERED_CHARS_MAX: Final = 128

_PARAMETER: Final = re.compile(
    r"""
    [\s;]*+                                     # any number of separators
    ([^\s=;"]++) \s*+ = \s*+                    # name, with CFWS around the sign
    (?: "((?:[^"\\]|\\.)*+)"?                   # quoted value; the closing quote may be missing
      | ((?:[^;"\s]++(?:[ \t\r\n]++(?![^\s=;"]++[ \t]*+=)(?=[^;"\s]))?+)*+) )
    """,
    re.VERBOSE | re.DOTALL,
)
_SECTION: Final = re.compile(r"([^*]+)(?:\*(\d{1,4}))?(\*)?", re.ASCII)  # RFC 2231 3, 4
_TOKEN: Final = re.compile(r"[!#$%&'*+.0-9A-Z^_`a-z{|}~-]+")  # RFC 2045 5.1
# Up to the first semicolon, or to what is a parameter although the semicolon is missing.
_MAIN: Final = re.compile(r"(?:[^;\s]++|\s++(?![^\s=;/]++\s*+=))*+")
_PERCENT_SAFE: Final = "!#$&+.^_`|~-"  # RFC 2231 7 attribute-char beyond letters and digits

_Sections = dict[str, list[tuple[int, bool, str]]]


def parse(raw: str) -> tuple[str, dict[str, str]]:
    """A field such as Content-Type: its value in lower case, and its decoded parameters."""
    if len(raw) > REMEMBERED_CHARS_MAX:
        return _parse(raw)
    value, params = _parse_remembered(raw)
    return value, params.copy()


@lru_cache(REMEMBERED_FIELDS_MAX)
def _parse_remembered(raw: str) -> tuple[str, dict[str, str]]:
    return _parse(raw)


def _parse(raw: str) -> tuple[str, dict[str, str]]:
    text = grammar.strip_comments(grammar.unfold(raw[:FIELD_CHARS_MAX]))
    main = _MAIN.match(text)
    assert main is not None  # the pattern matches the empty string too
    value = "".join(main[0].split()).lower() if "/" in main[0] else main[0].strip().lower()
    plain: dict[str, str] = {}
    sections: _Sections = {}
    position = main.end()
    for _ in range(PARAMETERS_MAX):
        found = _PARAMETER.match(text, position)
        if found is None:
            position = text.find(";", position + 1)
            if position < 0:
                break
            continue
        position = found.end()
        content = grammar.unquote(found[2]) if found[2] is not None else found[3].rstrip()
        if not content and found[2] is None:
            continue  # "name=" with nothing after it says nothing
        _keep(found[1].lower(), content, plain, sections)
    for name, parts in sections.items():
        plain[name] = _join_sections(parts)  # RFC 2231's form is the better one where both stand
    return value, plain


def _keep(name: str, content: str, plain: dict[str, str], sections: _Sections) -> None:
    starred = _SECTION.fullmatch(name) if "*" in name else None
    if starred is None:
        plain.setdefault(name, content)
        return
    number = int(starred[2]) if starred[2] else 0
    sections.setdefault(starred[1], []).append((number, starred[3] is not None, content))


def _join_sections(parts: list[tuple[int, bool, str]]) -> str:
    """RFC 2231 3 and 4: sections in the order of their numbers, the charset in the first."""
    parts.sort(key=lambda part: part[0])
    label = None
    pieces: list[str] = []
    pending: list[bytes] = []
    for position, (_, extended, content) in enumerate(parts):
        if not extended:
            pieces.append(_decode_bytes(pending, label))
            pending = []
            pieces.append(content)
            continue
        if position == 0 and content.count("'") >= 2:
            label, _, content = content.split("'", 2)
        pending.append(unquote_to_bytes(content))
    pieces.append(_decode_bytes(pending, label))
    return "".join(pieces).replace("\0", "")


def _decode_bytes(pending: list[bytes], label: str | None) -> str:
    return charsets.decode(b"".join(pending), label)[0] if pending else ""


def render(name: str, value: str, *, utf8: bool = False) -> list[str]:
    """`name=value` as one or more strings to be joined by "; ", each short enough for a line."""
    if value.isascii() or utf8:
        shown = value if _TOKEN.fullmatch(value) else _quote(value)
        if len(name) + len(shown) + 3 <= LINE_CHARS_MAX and value.isprintable():
            return [f"{name}={shown}"]
    encoded = extended(value)
    if len(name) + len(encoded) + 4 <= LINE_CHARS_MAX:
        return [f"{name}*={encoded}"]
    room = LINE_CHARS_MAX - len(name) - len(" *000*=;")
    rendered: list[str] = []
    while encoded:
        cut = _cut(encoded, max(room, 8))
        rendered.append(f"{name}*{len(rendered)}*={encoded[:cut]}")
        encoded = encoded[cut:]
    return rendered


def extended(value: str, chars_max: int | None = None) -> str:
    """RFC 2231 4 extended-value: the whole of it, or as many whole characters as there is room."""
    encoded = "utf-8''" + quote(value, safe=_PERCENT_SAFE, errors="replace")
    if chars_max is None or len(encoded) <= chars_max:
        return encoded
    cut = _cut(encoded, chars_max)
    while encoded[cut] == "%" and 0x80 <= int(encoded[cut + 1 : cut + 3], 16) < 0xC0:
        cut -= 3  # in the middle of a character
    return encoded[:cut]


def _cut(encoded: str, room: int) -> int:
    """Where to cut so that no %XX is torn."""
    cut = min(room, len(encoded))
    torn = encoded.rfind("%", max(0, cut - 2), cut)
    return torn if torn >= 0 and cut < len(encoded) else cut


def _quote(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
