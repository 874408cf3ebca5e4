"""HTML to plain text in one pass, good enough for previews and search.

No tree is built, so nesting costs nothing. Each search for what closes a construct either consumes
what it skips, or finds nothing and then is never made again: the work is linear in the input, which
is cut at HTML_CHARS_MAX.
"""

import html
import re
from typing import Final

HTML_CHARS_MAX: Final = 2 * 1024 * 1024

# Elements whose content is not text, each with what ends it.
_SKIPPED: Final = {
    name: re.compile(rf"</{name}\b", re.IGNORECASE)
    for name in ("script", "style", "title", "template", "iframe", "noembed", "noframes")
}
_NAME: Final = re.compile(r"/?([a-zA-Z][a-zA-Z0-9:-]{0,31})")
# In a tag: what may hide its end. A quote counts only where a value begins (HTML 13.2.5.37).
_TAG_STOP: Final = re.compile(r"""=[ \t\r\n\f]*+(["'])|>""")
# Signs that start no tag; the last of several may start one.
_SIGNS: Final = re.compile(r"<+(?=<)|<")
_ENTITY: Final = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});?")
_SPACES: Final = re.compile(r"[ \t\r\n\f]+")
_SPACES_RUN: Final = re.compile(r"  +")
_LINE_EDGES: Final = re.compile(r" ?\n[ \n]*")
_BREAKING: Final = frozenset(
    {"address", "article", "aside", "blockquote", "br", "caption", "center", "dd", "div", "dl"}
    | {"dt", "fieldset", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header"}
    | {"hr", "li", "main", "nav", "ol", "p", "pre", "section", "table", "tbody", "tfoot"}
    | {"thead", "tr", "ul", "body", "option", "legend"}
)
_SPACING: Final = frozenset({"td", "th", "img", "button", "input"})


def html_to_text(source: str, *, chars_max: int | None = None) -> str:
    """The text of an HTML document, one line a block; stops once it has `chars_max` characters."""
    source = source[:HTML_CHARS_MAX]
    pieces: list[str] = []
    length = position = 0
    while position < len(source):
        at = source.find("<", position)
        text = source[position : at if at >= 0 else len(source)]
        if text:
            text = _SPACES.sub(" ", text)
            pieces.append(_ENTITY.sub(_unescape, text) if "&" in text else text)
            length += len(text)
        if at < 0 or (chars_max is not None and length >= chars_max):
            break
        position, shown = _after_markup(source, at)
        if shown:
            pieces.append(shown)
    text = _LINE_EDGES.sub("\n", _SPACES_RUN.sub(" ", "".join(pieces))).strip()
    return text if chars_max is None else text[:chars_max]


def _unescape(entity: re.Match[str]) -> str:
    """One reference, already bounded: `html.unescape` would read numbers of any length."""
    return html.unescape(entity.group())


def _after_markup(source: str, at: int) -> tuple[int, str]:
    """Where reading goes on after the `<` at `at`, and what stands for it in the text."""
    if source.startswith("<!--", at):
        end = source.find("-->", at + 2)
        return (len(source) if end < 0 else end + 3), ""
    named = _NAME.match(source, at + 1)
    if named is None:
        if source[at + 1 : at + 2] in ("!", "?", "/"):
            end = source.find(">", at)
            return (len(source) if end < 0 else end + 1), ""
        signs = _SIGNS.match(source, at)
        assert signs is not None
        return signs.end(), signs[0]  # not markup, but what it looks like
    name = named[1].lower()
    end = _tag_end(source, named.end())
    if name in _SKIPPED and source[at + 1] != "/" and end < len(source):
        closing = _SKIPPED[name].search(source, end)
        return (closing.start() if closing else len(source)), ""
    if name in _BREAKING:
        return end, "\n"
    return end, " " if name in _SPACING else ""


def _tag_end(source: str, position: int) -> int:
    """Index after the `>` of a tag; `>` inside quoted attribute values does not count."""
    while stop := _TAG_STOP.search(source, position):
        quote = stop[1]
        if quote is None:
            return stop.end()
        position = stop.end()
        # Where none closes, none follows: each kind of quote is looked for in vain but once.
        closing = source.find(quote, position)
        if closing >= 0:
            position = closing + 1
    return len(source)
