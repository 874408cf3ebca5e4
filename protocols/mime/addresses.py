"""RFC 5322 3.4 address lists, groups and obsolete forms, read in one pass over tokens.

Broken lists are read as RFC 7103 7.1 advises: stray commas end an address, unclosed quotes and
parentheses are plain characters, doubled angle brackets count once, text without an @ is kept as
an address that does not conform (RFC 8621 4.1.2.3). The email of an address is its addr-spec with
comments, folding and obsolete routes removed, the quotes of a quoted local part kept. `as_written`
keeps encoded words as they stand, for IMAP (RFC 9051 7.5.2).
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final

import msgspec

from protocols.mime import charsets, grammar, words

# Addresses kept of one field; a mailing to more people than this is a mailing list's work.
ADDRESSES_MAX: Final = 5_000
# Characters of one field that are looked at; longer fields are cut here.
FIELD_CHARS_MAX: Final = 256 * 1024
# Fields as they were written lately, and what was read in them: an account's mail comes from the
# same people and goes to the same, and each field is read for JMAP and for IMAP.
REMEMBERED_FIELDS_MAX: Final = 1_024
REMEMBERED_BYTES_MAX: Final = 256


class EmailAddress(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """RFC 8621 4.1.2.3: one mailbox."""

    name: str | None
    email: str
    route: str = ""
    """RFC 5322 4.4 obs-route without its colon, which IMAP alone shows (RFC 9051 7.5.2)."""


class Group(msgspec.Struct, frozen=True, array_like=True):
    """RFC 5322 3.4: a named group of mailboxes."""

    name: str
    members: tuple[EmailAddress, ...]


_TOKEN: Final = re.compile(
    r"""
      (\s++)                                            # 1 white space
    | (=\?[^?\s]++\?[bBqQ]\?[^?\s]*+\?=)                # 2 encoded word, whatever it holds
    | ([^\s()<>@,;:\[\]"\\.=]++(?:=(?!\?)[^\s()<>@,;:\[\]"\\.=]*+)*+
      |[)\]\\]++|=)                                     # 3 atom, or strays read as one
    | ([<>@,;:.])                                       # 4 what structures the list
    | (\(++|"|\[++)                                     # 5 what opens a longer token
    """,
    re.VERBOSE,
)
_DOMAIN_LITERAL: Final = re.compile(r"\[[^\[\]\\]*+\]")
_SPACES: Final = re.compile(r"\s+")
# One mailbox with nothing unusual about it, which is nearly all of them.
_PLAIN_LOCAL: Final = r'[^\s"(),:;<>@\[\]\\=]++'
_PLAIN: Final = re.compile(
    r'[ \t]*+(?:(?:"([^"\\=\r\n]++)"|([^"(),:;<>@\[\]\\=\r\n]++))?[ \t]*+'
    rf"<({_PLAIN_LOCAL}@{_PLAIN_LOCAL})>|({_PLAIN_LOCAL}@{_PLAIN_LOCAL}))[ \t]*+(?:,|$)"
)

# A token: its kind, its text as written, whether white space stood before it.
_Token = tuple[str, str, bool]


def parse_addresses(
    value: str | bytes, fallback: str | None = None, *, as_written: bool = False
) -> list[EmailAddress | Group]:
    """The mailboxes and groups of an address-list, in order; best effort, never fails."""
    if isinstance(value, bytes) and len(value) <= REMEMBERED_BYTES_MAX:
        return list(_parse_remembered(value, fallback, as_written))
    return _parse(value, fallback, as_written)


@lru_cache(REMEMBERED_FIELDS_MAX)
def _parse_remembered(
    value: bytes, fallback: str | None, as_written: bool
) -> tuple[EmailAddress | Group, ...]:
    return tuple(_parse(value, fallback, as_written))


def _parse(
    value: str | bytes, fallback: str | None, as_written: bool
) -> list[EmailAddress | Group]:
    text = charsets.decode_header(value, fallback) if isinstance(value, bytes) else value
    text = grammar.unfold(text[:FIELD_CHARS_MAX]).strip()
    quick = _parse_plain(text)
    return quick if quick is not None else _Reader(as_written).read(_tokens(text))


def flatten(found: list[EmailAddress | Group]) -> list[EmailAddress]:
    """All mailboxes in order, groups dissolved (RFC 8621 4.1.2.3)."""
    flat: list[EmailAddress] = []
    for item in found:
        if isinstance(item, Group):
            flat += item.members
        else:
            flat.append(item)
    return flat


def _parse_plain(text: str) -> list[EmailAddress | Group] | None:
    """The list, if every mailbox in it is of the plainest kind."""
    found: list[EmailAddress | Group] = []
    position = 0
    while position < len(text):
        plain = _PLAIN.match(text, position)
        if plain is None or len(found) >= ADDRESSES_MAX:
            return found if plain is not None else None
        quoted, phrase, angled, bare = plain.groups()
        name = quoted or phrase
        found.append(EmailAddress(_tidy(name) if name else None, angled or bare))
        position = plain.end()
    return found


def _tokens(text: str) -> Iterator[_Token]:
    """Tokens of the text: encoded, atom, comment, quoted, literal, and each special as its own."""
    position, spaced = 0, True
    quotes_close = comments_close = True
    end = len(text)
    while position < end:
        found = _TOKEN.match(text, position)
        assert found is not None, text[position]  # the five groups cover every character
        index = found.lastindex
        position, token = found.end(), found.group()
        if index == 1:
            spaced = True
            continue
        if index == 5:
            closes = comments_close if token[0] == "(" else quotes_close
            position, kind, token = _long_token(text, found, closes)
            quotes_close = quotes_close and kind != '"'
            comments_close = comments_close and kind != "("
            if kind in '"(':
                spaced = True  # an opening that never closes is as good as a space
                continue
        else:
            kind = token if index == 4 else "encoded" if index == 2 else "atom"
        yield kind, token, spaced
        spaced = False


def _long_token(text: str, opening: re.Match[str], closes: bool) -> tuple[int, str, str]:
    """End, kind and text of what a run of opening characters starts.

    The kind is the character itself if nothing it starts is ever closed.
    """
    start, run = opening.start(), opening.group()
    if run[0] == "[":
        literal = _DOMAIN_LITERAL.match(text, opening.end() - 1)
        end = literal.end() if literal else opening.end()
        return end, "literal" if literal else "atom", text[start:end]
    if run[0] == '"' and closes and (quoted := grammar.QUOTED.match(text, start)):
        return quoted.end(), "quoted", quoted[1]
    if run[0] == "(" and closes and (end := grammar.comment_end(text, start)) > 0:
        return end, "comment", text[start + 1 : end - 1]
    return opening.end(), run[0], run


class _Reader:
    """Collects tokens into mailboxes and groups; `,` `;` and the end of text close a mailbox."""

    __slots__ = (
        "after",
        "angle",
        "as_written",
        "comment",
        "count",
        "found",
        "group",
        "in_angle",
        "members",
        "phrase",
        "route",
    )

    def __init__(self, as_written: bool) -> None:
        self.as_written = as_written
        self.found: list[EmailAddress | Group] = []
        self.members: list[EmailAddress] = []
        self.group: str | None = None
        self.count = 0
        self.reset()

    def reset(self) -> None:
        self.phrase: list[_Token] = []
        self.after: list[_Token] = []
        self.angle: list[_Token] | None = None
        self.in_angle = False
        self.comment: str | None = None
        self.route = ""

    def read(self, tokens: Iterator[_Token]) -> list[EmailAddress | Group]:
        for token in tokens:
            self.take(token)
            if self.count >= ADDRESSES_MAX:
                break
        self.close_mailbox()
        self.close_group()
        return self.found

    def take(self, token: _Token) -> None:
        kind = token[0]
        if kind == "comment":
            if self.phrase or self.angle:
                self.comment = token[1]
        elif self.in_angle:
            self.take_in_angle(token)
        elif kind == "<":
            if self.angle is not None:  # two angle addresses and no comma between them
                between = self.after
                self.close_mailbox()
                self.phrase = between
            self.angle, self.in_angle = [], True
        elif kind == ",":
            self.close_mailbox()
        elif kind == ";":
            self.close_mailbox()
            self.close_group()
        elif kind == ":" and self.angle is None and self.group is None:
            self.group = self.phrase_text(self.phrase)
            self.reset()
        elif kind != ">":
            (self.phrase if self.angle is None else self.after).append(token)
            self.comment = None  # it stood inside an addr-spec or phrase, not after one

    def take_in_angle(self, token: _Token) -> None:
        assert self.angle is not None
        match token[0]:
            case ">":
                self.in_angle = False
            case "<":
                pass  # <<user@example.org>>, RFC 7103 7.1.1
            case ":" if self.angle and self.angle[0][0] == "@":
                self.route, self.angle = _join_spec(self.angle), []  # RFC 5322 4.4
            case "," if not self.angle or self.angle[0][0] != "@":
                self.close_mailbox()  # RFC 7103 7.1.5
            case _:
                self.angle.append(token)
                self.comment = None

    def close_mailbox(self) -> None:
        if self.angle is not None:
            name = self.phrase_text(self.phrase or self.after) or self.comment_text()
            self.add(name, _join_spec(self.angle))
        elif self.phrase:
            self.close_bare()
        self.reset()

    def close_bare(self) -> None:
        """A mailbox without angle brackets: an addr-spec, perhaps with words around it."""
        at = next((i for i, token in enumerate(self.phrase) if token[0] == "@"), -1)
        if at < 0:
            self.add(self.comment_text(), _join_spec(self.phrase))
            return
        first, last = _spec_bounds(self.phrase, at)
        name = self.phrase_text(self.phrase[:first]) or self.phrase_text(self.phrase[last:])
        self.add(name or self.comment_text(), _join_spec(self.phrase[first:last]))

    def comment_text(self) -> str | None:
        """RFC 8621 4.1.2.3: the comment after the addr-spec names a mailbox without a phrase."""
        if self.comment is None:
            return None
        text = grammar.unquote(self.comment)
        return _tidy(text if self.as_written else words.decode(text)) or None

    def phrase_text(self, tokens: list[_Token]) -> str | None:
        return _phrase_text(tokens, str if self.as_written else words.decode)

    def add(self, name: str | None, email: str) -> None:
        if not name and not email:
            return
        self.count += 1
        mailbox = EmailAddress(name or None, email, self.route)
        if self.group is None:
            self.found.append(mailbox)
        else:
            self.members.append(mailbox)

    def close_group(self) -> None:
        if self.group is not None:
            self.found.append(Group(self.group, tuple(self.members)))
        self.group, self.members = None, []


def _spec_bounds(tokens: list[_Token], at: int) -> tuple[int, int]:
    """The span of the addr-spec around the @ at index `at`: words joined by dots on either side."""
    first = at
    while first > 0 and (tokens[first][0] in "@." or tokens[first - 1][0] == "."):
        first -= 1
    last = at + 1
    while last < len(tokens) and (
        tokens[last][0] in "@." or tokens[last - 1][0] in "@." or not tokens[last][2]
    ):
        last += 1
    return first, last


def _join_spec(tokens: list[_Token]) -> str:
    """An addr-spec as one string: space only between two words that nothing joins."""
    pieces: list[str] = []
    joined = True
    for kind, text, spaced in tokens:
        joins = kind in "@."
        if spaced and not joined and not joins:
            pieces.append(" ")
        pieces.append(f'"{text}"' if kind == "quoted" else text)
        joined = joins
    return unicodedata.normalize("NFC", "".join(pieces))


def _phrase_text(tokens: list[_Token], decode: Callable[[str], str]) -> str | None:
    """A display name (RFC 5322 3.2.5, obs-phrase): words with single spaces, encoded ones decoded.

    RFC 2047 5 (3): an encoded word stands apart from other words, and never in a quoted string.
    """
    if not tokens:
        return None
    pieces: list[str] = []
    run: list[str] = []
    last = len(tokens) - 1
    for index, (kind, text, spaced) in enumerate(tokens):
        apart = (spaced or index == 0) and (index == last or tokens[index + 1][2])
        if kind == "encoded" and apart:
            run.append(text)
            continue
        _flush_run(run, pieces, decode)
        if spaced and pieces:
            pieces.append(" ")
        pieces.append(grammar.unquote(text) if kind == "quoted" else text)
    _flush_run(run, pieces, decode)
    return _tidy("".join(pieces)) or None


def _flush_run(run: list[str], pieces: list[str], decode: Callable[[str], str]) -> None:
    """Neighbouring encoded words are decoded together, so that characters split over them join."""
    if run:
        if pieces:
            pieces.append(" ")
        pieces.append(decode(" ".join(run)))
        run.clear()


def _tidy(name: str) -> str:
    """Unfolded, single spaces, trimmed, NFC (RFC 8621 4.1.2.2, 4.1.2.3)."""
    text = _SPACES.sub(" ", name).strip()
    return text if text.isascii() else unicodedata.normalize("NFC", text)
