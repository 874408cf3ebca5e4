"""Flag lists as one session has been shown them: each rendered once, new keywords told first."""

from collections.abc import Sequence
from typing import Final

from protocols.imap.flags import (
    KEYWORDS_KNOWN,
    SYSTEM_FLAGS,
    SYSTEM_KEYWORDS,
    render_flag,
    render_flags,
)

# Rendered flag lists that are remembered: real mailboxes have few combinations.
FLAG_LISTS_MAX: Final = 256
# Keywords of a mailbox that FLAGS responses list; more are shown in FETCH only.
KEYWORDS_LISTED_MAX: Final = 256


class FlagLists:
    """Of one selected mailbox."""

    __slots__ = ("_keywords", "_rendered")

    def __init__(self) -> None:
        self._keywords: list[str] = list(KEYWORDS_KNOWN)
        self._rendered: dict[tuple[str, ...], bytes] = {}

    def render(self, keywords: tuple[str, ...], out: list[bytes]) -> bytes:
        """Keywords as flags; a keyword not listed before is listed first (RFC 9051 7.3.5)."""
        shown = self._rendered.get(keywords)
        if shown is None:
            self.list_new(keywords, out)
            if len(self._rendered) >= FLAG_LISTS_MAX:
                self._rendered.clear()
            shown = self._rendered[keywords] = render_flags(keywords)
        return shown

    def list_new(self, keywords: Sequence[str], out: list[bytes]) -> None:
        """List those of these keywords that were not listed before."""
        new = [k for k in keywords if k not in SYSTEM_KEYWORDS and k not in self._keywords]
        if new and len(self._keywords) + len(new) <= KEYWORDS_LISTED_MAX:
            self._keywords += new
            out.append(self.response())

    @property
    def keywords(self) -> tuple[str, ...]:
        """All that have been listed, or will be with the next response."""
        return tuple(self._keywords)

    def response(self) -> bytes:
        """RFC 9051 7.3.5 FLAGS."""
        return b"* FLAGS (%b)\r\n" % b" ".join([*SYSTEM_FLAGS, *map(render_flag, self._keywords)])
