"""The small words of RFC 9051 section 9: atoms, strings, numbers, sets, flags, mailbox names."""

import re
from collections.abc import Callable
from typing import Final

_ATOM: Final = re.compile(rb"[^(){ \x00-\x1f\x7f-\xff%*\"\\\]]+")
_ASTRING: Final = re.compile(rb"[^(){ \x00-\x1f\x7f-\xff%*\"\\]+")
_QUOTED: Final = re.compile(rb'"((?:[^"\\\r\n\x00\x80-\xff]|\\["\\])*)"')
_QUOTED_UTF8: Final = re.compile(rb'"((?:[^"\\\r\n\x00]|\\["\\])*)"')
_LITERAL: Final = re.compile(rb"(~?)\{(0|[1-9]\d*)\}\r\n")
_TEXT: Final = re.compile(rb"[^\r\n\x00\x80-\xff]+")
_TEXT_UTF8: Final = re.compile(rb"[^\r\n\x00]+")
_NUMBER: Final = re.compile(rb"0|[1-9]\d*")
_UID_SET: Final = re.compile(rb"[1-9]\d*(?::[1-9]\d*)?(?:,[1-9]\d*(?::[1-9]\d*)?)*")
_FLAG: Final = re.compile(rb"\\?[^(){ \x00-\x1f\x7f-\xff%*\"\\\]]+")
_OBJECT_ID: Final = re.compile(rb"\(([A-Za-z0-9_-]{1,255})\)")
_SYSTEM_FLAGS: Final = frozenset((b"\\ANSWERED", b"\\FLAGGED", b"\\DELETED", b"\\SEEN", b"\\DRAFT"))
_NUMBER_MAX: Final = 2**32 - 1
_NUMBER64_MAX: Final = 2**63 - 1
# RFC 3501 5.1.3: modified UTF-7, "&" and base64 without "/" up to "-".
_UTF7: Final = re.compile(rb"(?:[\x20-\x25\x27-\x7e]|&(?:[A-Za-z0-9+,]+|)-)*")


class Words:
    """A reader of one response, from left to right; each word is taken or AssertionError raised."""

    def __init__(self, response: bytes, *, utf8: bool) -> None:
        self._octets = response
        self._at = 0
        self._utf8 = utf8

    def fault(self, what: str) -> str:
        """The response with a mark where it is out of order."""
        start = max(0, self._at - 200)
        before, after = self._octets[start : self._at], self._octets[self._at : self._at + 80]
        return f"RFC 9051 9: {what}: {before!r} >>> {after!r}"

    # ------------------------------------------------------------------------------ the least

    def at(self, octets: bytes) -> bool:
        """Whether this stands here."""
        return self._octets.startswith(octets, self._at)

    def skip(self, octets: bytes) -> bool:
        """Go past it, if it stands here."""
        found = self.at(octets)
        self._at += len(octets) * found
        return found

    def expect(self, octets: bytes) -> None:
        """This must stand here."""
        assert self.skip(octets), self.fault(f"{octets!r} was to stand here")

    def match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """Go past what the pattern finds here, if it does."""
        found = pattern.match(self._octets, self._at)
        if found is not None:
            self._at = found.end()
        return found

    def need(self, pattern: re.Pattern[bytes], what: str) -> re.Match[bytes]:
        """The pattern must stand here."""
        found = self.match(pattern)
        assert found is not None, self.fault(f"{what} was to stand here")
        return found

    def space(self) -> bytes:
        """SP: exactly one."""
        self.expect(b" ")
        return b" "

    def end(self) -> None:
        """Nothing else stands in the response."""
        self.expect(b"\r\n")
        assert self._at == len(self._octets), self.fault("something after the end")

    def peek_digit(self) -> bool:
        """Whether a number stands here."""
        return self._octets[self._at : self._at + 1].isdigit()

    def until(self, octets: bytes) -> bytes:
        """TEXT-CHARs up to this."""
        end = self._octets.index(octets, self._at)
        found, self._at = self._octets[self._at : end], end
        assert found.isascii() and b"\r" not in found, self.fault("no TEXT-CHAR")
        return found

    # ---------------------------------------------------------------------------------- words

    def word(self) -> bytes:
        """A keyword of the grammar, in capitals."""
        return self.atom().upper()

    def atom(self) -> bytes:
        """1*ATOM-CHAR."""
        return self.need(_ATOM, "an atom")[0]

    def nil(self) -> bool:
        """NIL, if it stands here as a whole word."""
        return self.match(re.compile(rb"NIL(?=[ )\r\]])")) is not None

    def text(self) -> None:
        """1*TEXT-CHAR, UTF-8 where it was enabled."""
        found = self.need(_TEXT_UTF8 if self._utf8 else _TEXT, "text")
        self._decode(found[0])

    def quoted(self) -> bytes:
        """A quoted string's content."""
        found = self.need(_QUOTED_UTF8 if self._utf8 else _QUOTED, "a quoted string")
        self._decode(found[1])
        return re.sub(rb"\\(.)", rb"\1", found[1])

    def _decode(self, octets: bytes) -> None:
        try:
            octets.decode()
        except UnicodeDecodeError:
            raise AssertionError(self.fault("no UTF-8")) from None

    def _literal(self) -> tuple[bool, bytes] | None:
        found = self.match(_LITERAL)
        if found is None:
            return None
        content = self._octets[self._at : self._at + int(found[2])]
        self._at += len(content)
        assert len(content) == int(found[2]), self.fault("a short literal")
        return bool(found[1]), content

    def string(self) -> bytes:
        """quoted / literal."""
        held = self._literal()
        if held is None:
            return self.quoted()
        assert not held[0], self.fault("a literal8 where a string must stand")
        assert 0 not in held[1], self.fault("NUL in a literal")
        return held[1]

    def string8(self) -> bytes:
        """quoted / literal / literal8."""
        return self.string() if not self.at(b"~") else (self._literal() or (True, b""))[1]

    def nstring(self) -> bytes | None:
        """string / nil."""
        return None if self.nil() else self.string()

    def astring(self) -> bytes:
        """1*ASTRING-CHAR / string."""
        found = self.match(_ASTRING)
        return self.string() if found is None else found[0]

    def mailbox(self) -> bytes:
        """A mailbox's name: modified UTF-7 before UTF-8 was enabled."""
        name = self.astring()
        if not self._utf8:
            assert _UTF7.fullmatch(name), self.fault("no modified UTF-7 in a mailbox's name")
        self._decode(name)
        assert name.upper() != b"INBOX" or name == b"INBOX", self.fault("INBOX is said so")
        return name

    def entry(self) -> bytes:
        """RFC 5464 3.2: an entry's name."""
        name = self.astring()
        assert re.fullmatch(rb"/(?:private|shared)/[^*%\x00-\x1f\x7f-\xff]+", name, re.I), (
            self.fault("no entry name")
        )
        assert b"//" not in name and not name.endswith(b"/"), self.fault("no entry name")
        return name

    # -------------------------------------------------------------------------------- numbers

    def number(self, *, least: int = 0) -> int:
        """number, nz-number: 32 bits."""
        found = int(self.need(_NUMBER, "a number")[0])
        assert least <= found <= _NUMBER_MAX, self.fault("a number out of its range")
        return found

    def number64(self, *, least: int = 0) -> int:
        """number64, mod-sequence-value: 63 bits."""
        found = int(self.need(_NUMBER, "a number")[0])
        assert least <= found <= _NUMBER64_MAX, self.fault("a number out of its range")
        return found

    def uid_set(self) -> bytes:
        """uid-set: what a server says, so neither * nor $."""
        found = self.need(_UID_SET, "a set of numbers")[0]
        for number in re.findall(rb"\d+", found):
            assert int(number) <= _NUMBER_MAX, self.fault("a number out of its range")
        return found

    # ---------------------------------------------------------------------------- other words

    def object_id(self) -> bytes:
        """RFC 8474 7: (objectid)."""
        return self.need(_OBJECT_ID, "an object id")[1]

    def flag(self) -> bytes:
        """flag: a system flag or a keyword; the server makes no flags of its own."""
        found = self.need(_FLAG, "a flag")[0]
        if found.startswith(b"\\"):
            assert found.upper() in _SYSTEM_FLAGS, self.fault("an unknown system flag")
        return found

    def list_flag(self) -> bytes:
        """An attribute of LIST, in capitals."""
        found = self.need(_FLAG, "an attribute")[0].upper()
        assert found.startswith(b"\\"), self.fault("attributes begin with a backslash")
        return found

    def listed(self, one: Callable[[], object], *, least: int = 1) -> int:
        """In parentheses, a space between: how many there are."""
        self.expect(b"(")
        if least == 0 and self.skip(b")"):
            return 0
        one()
        count = 1
        while self.skip(b" "):
            one()
            count += 1
        self.expect(b")")
        return count
