"""RFC 5322 lexical matter: folding, comments, quoted strings.

All work on text already decoded by `charsets.decode_header`. Every function is linear in its
input: comments are matched by counting, never by recursion, and an opening that is never closed
is searched for once, after which such openings are plain characters (RFC 7103 7.1.4, 7.1.6).
"""

import re
from typing import Final

# Comments nested deeper than this are not comments any more; nobody writes three.
COMMENT_DEPTH_MAX: Final = 64

QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)  # RFC 5322 3.2.4
_FOLD: Final = re.compile(r"\r?\n(?=[ \t])")
_BREAK: Final = re.compile(r"[\r\n]+")
_PAREN: Final = re.compile(r"[()]|\\.", re.DOTALL)
_OPENING: Final = re.compile(r'["(]')
_QUOTED_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)


def unfold(text: str) -> str:
    """Remove line breaks before white space (RFC 5322 2.2.3).

    A break elsewhere (a stray line in the header, a bare CR) becomes one space, so that the words
    at its sides stay two (RFC 7103 7.2).
    """
    if "\n" not in text and "\r" not in text:
        return text
    return _BREAK.sub(" ", _FOLD.sub("", text).rstrip("\r\n"))


def unquote(content: str) -> str:
    """The inside of a quoted string or comment with its quoted-pairs resolved (RFC 5322 3.2.4)."""
    return _QUOTED_PAIR.sub(r"\1", content) if "\\" in content else content


def comment_end(text: str, start: int) -> int:
    """Index after the comment that opens at `start`, or -1 if it never closes (RFC 5322 3.2.2)."""
    depth = 0
    for found in _PAREN.finditer(text, start):
        match found.group():
            case "(":
                depth += 1
                if depth > COMMENT_DEPTH_MAX:
                    return -1
            case ")":
                depth -= 1
                if depth == 0:
                    return found.end()
    return -1


def strip_comments(text: str) -> str:
    """Replace each comment outside quoted strings by one space; an unclosed one loses its '('."""
    if "(" not in text:
        return text
    kept: list[str] = []
    position = copied = 0
    quotes_close = comments_close = True
    while found := _OPENING.search(text, position):
        at = found.start()
        if text[at] == '"':
            quoted = QUOTED.match(text, at) if quotes_close else None
            quotes_close = quoted is not None
            position = quoted.end() if quoted else at + 1
            continue
        end = comment_end(text, at) if comments_close else -1
        comments_close = end > 0
        kept += (text[copied:at], " ")
        position = copied = end if end > 0 else at + 1
    kept.append(text[copied:])
    return "".join(kept)
