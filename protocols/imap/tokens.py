"""The words of IMAP: atoms, strings, numbers, dates, read off one whole command (RFC 9051 4, 9).

A command is text with its literals beside it: where the text says `{5}` the five octets are in
`literals`, keyed by the offset after the closing brace. The reader never looks at an octet twice
in one rule, and raises RemoteProtocolError and nothing else.
"""

import re
from collections.abc import Mapping
from typing import Final

from protocols.errors import RemoteProtocolError
from protocols.imap import utf7
from protocols.imap.sets import NUMBER_MAX, NumberSet, parse_set

NUMBER64_MAX: Final = 2**63 - 1

# RFC 9051 9: atom-specials are ( ) { SP CTL % * " \ ]
_ATOM: Final = re.compile(rb"[^(){ %*\"\\\]\x00-\x1f\x7f-\xff]+")
_ASTRING: Final = re.compile(rb"[^(){ %*\"\\\x00-\x1f\x7f-\xff]+")
_LIST_MAILBOX: Final = re.compile(rb"[^(){ \"\\\x00-\x1f\x7f-\xff]+")
_TAG: Final = re.compile(rb"[^(){ %*\"\\+\x00-\x1f\x7f-\xff]+")
_QUOTED: Final = re.compile(rb'"((?:[^"\\\r\n\x00]|\\["\\])*)"')
_QUOTED_PAIR: Final = re.compile(rb'\\(["\\])')
_LITERAL: Final = re.compile(rb"~?\{[0-9]{1,20}\+?\}")
_DIGITS: Final = re.compile(rb"[0-9]{1,19}")
_SET: Final = re.compile(rb"[0-9*:,]+|\$")
_FLAG: Final = re.compile(rb"\\?[^(){ %*\"\\\]\x00-\x1f\x7f-\xff]+")
_LABEL: Final = re.compile(rb"[A-Za-z0-9._-]+")


class UidRequired(RemoteProtocolError):
    """BAD [UIDREQUIRED]: a command counts messages after ENABLE UIDONLY (RFC 9586 3)."""

    def __init__(self) -> None:
        super().__init__("after ENABLE UIDONLY messages are named by their UIDs alone")


class Tokens:
    """A cursor over one command."""

    __slots__ = ("_literals", "_text", "position", "takes_charset", "uid_only", "utf8")

    def __init__(
        self,
        text: bytes,
        literals: Mapping[int, bytes] | None = None,
        *,
        utf8: bool = False,
        takes_charset: bool = True,
        uid_only: bool = False,
    ) -> None:
        self._text = text
        self._literals = literals or {}
        self.position = 0
        self.utf8 = utf8
        """Mailbox names are UTF-8: IMAP4rev2 or UTF8=ACCEPT is enabled."""
        self.takes_charset = takes_charset
        """SEARCH may name a charset: UTF8=ACCEPT is not enabled."""
        self.uid_only = uid_only
        """Messages have no sequence numbers: UIDONLY is enabled (RFC 9586 3)."""

    # --- the shape of the command

    @property
    def at_end(self) -> bool:
        """Nothing is left."""
        return self.position == len(self._text)

    def end(self) -> None:
        """The command must end here."""
        if not self.at_end:
            raise RemoteProtocolError("too many arguments")

    def space(self) -> None:
        """Exactly one SP (RFC 9051 9 note 2)."""
        self.expect(b" ")

    def peek(self) -> bytes:
        """The next octet, b"" at the end."""
        return self._text[self.position : self.position + 1]

    def accept(self, octets: bytes) -> bool:
        """Step over `octets` if they are next."""
        if not self._text.startswith(octets, self.position):
            return False
        self.position += len(octets)
        return True

    def accept_word(self, word: bytes) -> bool:
        """Step over `word` in any case if it is next; `word` is upper case."""
        if not self.at_word(word):
            return False
        self.position += len(word)
        return True

    def at_word(self, word: bytes) -> bool:
        """`word`, upper case, is next in any case; it stays."""
        return self._text[self.position : self.position + len(word)].upper() == word

    def expect(self, octets: bytes) -> None:
        """`octets` must be next."""
        if not self.accept(octets):
            shown = "a space" if octets == b" " else f"{octets.decode('ascii')!r}"
            raise RemoteProtocolError(f"expected {shown}")

    def _match(self, pattern: re.Pattern[bytes], what: str) -> bytes:
        found = pattern.match(self._text, self.position)
        if found is None:
            raise RemoteProtocolError(f"expected {what}")
        self.position = found.end()
        return found[0]

    def rest(self) -> bytes:
        """All that is left of the text, unread."""
        left = self._text[self.position :]
        self.position = len(self._text)
        return left

    # --- words

    def tag(self) -> bytes:
        """RFC 9051 9 tag."""
        return self._match(_TAG, "a tag")

    def atom(self) -> bytes:
        """RFC 9051 9 atom."""
        return self._match(_ATOM, "an atom")

    def keyword(self) -> bytes:
        """An atom that is compared in upper case: a verb, an option, a capability."""
        return self._match(_ATOM, "a word").upper()

    def label(self) -> bytes:
        """Letters, digits and . - _ in upper case: what a FETCH item is named by."""
        return self._match(_LABEL, "a name").upper()

    def astring(self) -> bytes:
        """RFC 9051 9 astring: 1*ASTRING-CHAR or a string."""
        if self.peek() in (b'"', b"{") or _LITERAL.match(self._text, self.position):
            return self.string()  # a tilde is an atom's letter; only `~{n}` is a literal8
        return self._match(_ASTRING, "a string")

    def string(self) -> bytes:
        """RFC 9051 4.3: quoted string or literal; what is quoted is UTF-8 (RFC 6855 3)."""
        if self.peek() == b'"':
            quoted = _QUOTED.match(self._text, self.position)
            if quoted is None:
                raise RemoteProtocolError("a quoted string is not well formed")
            self.position = quoted.end()
            inner = quoted[1]
            if not inner.isascii():
                decode_text(inner)
            return _QUOTED_PAIR.sub(rb"\1", inner) if b"\\" in inner else inner
        return self.literal()

    def literal(self) -> bytes:
        """RFC 9051 4.3: `{n}`, `{n+}` or `~{n}` and its octets."""
        self._match(_LITERAL, "a string")
        octets = self._literals.get(self.position)
        if octets is None:
            raise RemoteProtocolError("a literal must end its line")
        return octets

    def nstring(self) -> bytes | None:
        """RFC 9051 9 nstring: a string or NIL."""
        if self.peek() in (b"N", b"n"):
            if self.keyword() != b"NIL":
                raise RemoteProtocolError("expected a string or NIL")
            return None
        return self.string()

    def text(self) -> str:
        """An astring that is UTF-8 text."""
        return decode_text(self.astring())

    def number(self, maximum: int = NUMBER64_MAX) -> int:
        """RFC 9051 9 number, number64."""
        value = int(self._match(_DIGITS, "a number"))
        if value > maximum:
            raise RemoteProtocolError(f"a number is over {maximum}")
        return value

    def nz_number(self, maximum: int = NUMBER_MAX) -> int:
        """RFC 9051 9 nz-number."""
        value = self.number(maximum)
        if value == 0:
            raise RemoteProtocolError("a number must not be 0")
        return value

    def number_set(self) -> NumberSet:
        """RFC 9051 9 sequence-set."""
        return parse_set(self._match(_SET, "a set of numbers"))

    def need_uids(self, *, uid: bool) -> None:
        """What follows counts in UIDs if `uid`; once UIDONLY is enabled it must (RFC 9586 3)."""
        if self.uid_only and not uid:
            raise UidRequired

    @property
    def at_number_set(self) -> bool:
        """A sequence-set begins here."""
        return _SET.match(self._text, self.position) is not None

    def flag(self) -> bytes:
        """RFC 9051 9 flag."""
        return self._match(_FLAG, "a flag")

    # --- mailbox names

    def mailbox(self) -> str:
        """RFC 9051 9 mailbox, decoded; INBOX in any case is `INBOX`."""
        octets = self.astring()
        return "INBOX" if is_inbox(octets) else self.mailbox_text(octets)

    def list_mailbox(self) -> str:
        """RFC 9051 9 list-mailbox: a name that may hold wildcards."""
        if self.peek() in (b'"', b"{"):
            return self.mailbox_text(self.string())
        return self.mailbox_text(self._match(_LIST_MAILBOX, "a mailbox pattern"))

    def mailbox_text(self, octets: bytes) -> str:
        """UTF-8 once IMAP4rev2 or UTF8=ACCEPT is enabled, modified UTF-7 before (RFC 9051 5.1, RFC
        3501 5.1.3), but for names that show by their octets that they are UTF-8 (RFC 6855 3).
        """
        return decode_text(octets) if self.utf8 or not octets.isascii() else utf7.decode(octets)


def is_inbox(name: bytes) -> bool:
    """RFC 9051 5.1: INBOX in any case."""
    # bytes.upper knows ASCII only: other letters just look like those of INBOX
    return name.upper() == b"INBOX"


def decode_text(octets: bytes) -> str:
    """UTF-8 without NUL, or RemoteProtocolError."""
    try:
        text = octets.decode()
    except UnicodeDecodeError as error:
        raise RemoteProtocolError("text is not UTF-8") from error
    if "\0" in text:
        raise RemoteProtocolError("text contains NUL")
    return text
