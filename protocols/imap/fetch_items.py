"""The fetch grammar (RFC 9051 6.4.5, RFC 3501 6.4.5, RFC 3516): items and sections.

Each section carries the label its answer will have, made here once and not per message.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from protocols.errors import LimitExceeded, RemoteProtocolError
from protocols.imap.fetch_commands import BinarySize, Fetch, FetchItem, Section, SectionText
from protocols.imap.sets import NUMBER_MAX, NumberSet
from protocols.imap.tokens import NUMBER64_MAX, Tokens

# How many items one FETCH may name, and how many header fields one of them.
ITEMS_MAX: Final = 100
FIELDS_MAX: Final = 200
# A section path as deep as the part tree can be, and then some.
PATH_MAX: Final = 100

_MACROS: Final[Mapping[bytes, frozenset[FetchItem]]] = {
    b"FAST": frozenset({FetchItem.FLAGS, FetchItem.INTERNALDATE, FetchItem.SIZE}),
    b"ALL": frozenset(
        {FetchItem.FLAGS, FetchItem.INTERNALDATE, FetchItem.SIZE, FetchItem.ENVELOPE}
    ),
    b"FULL": frozenset(
        {
            FetchItem.FLAGS,
            FetchItem.INTERNALDATE,
            FetchItem.SIZE,
            FetchItem.ENVELOPE,
            FetchItem.BODY,
        }
    ),
}
# RFC 3501 6.4.5: RFC822 is BODY[], RFC822.TEXT is BODY[TEXT] (both set \Seen), RFC822.HEADER is
# BODY.PEEK[HEADER].
_RFC822: Final[Mapping[bytes, Section]] = {
    b"RFC822": Section(b"RFC822", peek=False),
    b"RFC822.HEADER": Section(b"RFC822.HEADER", text=SectionText.HEADER),
    b"RFC822.TEXT": Section(b"RFC822.TEXT", text=SectionText.TEXT, peek=False),
}
_ITEMS: Final[Mapping[bytes, FetchItem]] = {item.value: item for item in FetchItem}

# Field names that can go into a label as they are: RFC 5322 ftext that is also an atom.
_PLAIN_FIELD: Final = re.compile(rb"[A-Za-z0-9!#$&'+,./:;<=>?@^_`|~-]+\Z")
# Any ftext needs at most quoting; what is not ftext names no field and is not shown at all.
_FIELD: Final = re.compile(rb"[!-9;-~]+\Z")


def parse_fetch(tokens: Tokens, numbers: NumberSet, *, uid: bool) -> Fetch:
    """What follows the set and a space. A UIDFETCH begins with the UID (RFC 9586 3)."""
    items: set[FetchItem] = {FetchItem.UID} if uid and not tokens.uid_only else set()
    sections: list[Section | BinarySize] = []
    if tokens.accept(b"("):
        items_to_parenthesis(tokens, items, sections)
    else:
        start = tokens.position
        macro = _MACROS.get(tokens.label())
        if macro is not None:
            items |= macro
        else:
            tokens.position = start
            _item(tokens, items, sections)
    return Fetch(numbers, frozenset(items), tuple(dict.fromkeys(sections)), uid)


def items_to_parenthesis(
    tokens: Tokens, items: set[FetchItem], sections: list[Section | BinarySize]
) -> None:
    """RFC 9051 9 fetch-att *(SP fetch-att) ")"."""
    while True:
        _item(tokens, items, sections)
        if tokens.accept(b")"):
            return
        tokens.space()
        if len(items) + len(sections) > ITEMS_MAX:
            raise LimitExceeded("FETCH_ITEMS", f"a FETCH may name {ITEMS_MAX} items")


def _item(tokens: Tokens, items: set[FetchItem], sections: list[Section | BinarySize]) -> None:
    name = tokens.label()
    if tokens.peek() == b"[":
        sections.append(_section_item(tokens, name))
    elif name in _ITEMS:
        items.add(_ITEMS[name])
        if name == b"PREVIEW":
            tokens.accept_word(b" (LAZY)")  # RFC 8970 3.1: ours are made at delivery, always there
    elif name in _RFC822:
        sections.append(_RFC822[name])
    else:
        raise RemoteProtocolError("unknown FETCH item")


def _section_item(tokens: Tokens, name: bytes) -> Section | BinarySize:
    tokens.expect(b"[")
    if name in (b"BODY", b"BODY.PEEK"):
        section = parse_section(tokens)
        tokens.expect(b"]")
        return _partial(tokens, section if name != b"BODY" else replace(section, peek=False))
    if name in (b"BINARY", b"BINARY.PEEK", b"BINARY.SIZE"):
        # RFC 9051 6.4.5: section-binary is a part number or nothing
        path = () if tokens.peek() == b"]" else _path(tokens)
        tokens.expect(b"]")
        where = b".".join(b"%d" % number for number in path)
        if name == b"BINARY.SIZE":
            return BinarySize(b"BINARY.SIZE[%b]" % where, path)
        label = b"BINARY[%b]" % where
        peek = name == b"BINARY.PEEK"
        return _partial(tokens, Section(label, path, peek=peek, decoded=True))
    raise RemoteProtocolError("unknown FETCH item")


def parse_section(tokens: Tokens) -> Section:
    """RFC 9051 9 section-spec; MIME only after a part number."""
    path: tuple[int, ...] = ()
    if tokens.peek().isdigit():
        path = _path(tokens)
    where = b".".join(b"%d" % number for number in path)
    if tokens.peek() == b"]":
        return Section(b"BODY[%b]" % where, path)
    if path:
        tokens.expect(b".")
        where += b"."
    name = tokens.label()
    if name in (b"HEADER.FIELDS", b"HEADER.FIELDS.NOT"):
        fields, shown = _fields(tokens)
        label = b"BODY[%b%b (%b)]" % (where, name, shown)
        return Section(label, path, SectionText(name), fields)
    if name in (b"HEADER", b"TEXT") or (name == b"MIME" and path):
        return Section(b"BODY[%b%b]" % (where, name), path, SectionText(name))
    raise RemoteProtocolError("unknown section")


def _path(tokens: Tokens) -> tuple[int, ...]:
    """RFC 9051 9 section-part, as far as numbers go."""
    numbers = [tokens.nz_number()]
    while tokens.peek() == b".":
        start = tokens.position
        tokens.expect(b".")
        if not tokens.peek().isdigit():
            tokens.position = start
            break
        numbers.append(tokens.nz_number())
        if len(numbers) > PATH_MAX:
            raise LimitExceeded("SECTION_PATH", "a section path is too long")
    return tuple(numbers)


def _fields(tokens: Tokens) -> tuple[frozenset[bytes], bytes]:
    """RFC 9051 9 header-list: the names folded, and as the label shows them."""
    tokens.space()
    tokens.expect(b"(")
    names = [tokens.astring()]
    while not tokens.accept(b")"):
        tokens.space()
        names.append(tokens.astring())
        if len(names) > FIELDS_MAX:
            raise LimitExceeded("FETCH_FIELDS", f"a section may name {FIELDS_MAX} fields")
    return frozenset(name.lower() for name in names), b" ".join(map(_shown, names))


def _shown(name: bytes) -> bytes:
    if _PLAIN_FIELD.match(name):
        return name
    if not _FIELD.match(name):
        raise RemoteProtocolError("not a header field name")
    return b'"%b"' % name.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def _partial(tokens: Tokens, section: Section) -> Section:
    """RFC 9051 9 partial: `<origin.count>`; the answer repeats the origin. Of BINARY some clients
    ask for all that follows as `<origin>`."""
    if not tokens.accept(b"<"):
        return section
    origin, count = tokens.number(NUMBER64_MAX), NUMBER_MAX
    if not (section.decoded and tokens.accept(b">")):
        tokens.expect(b".")
        count = min(count, tokens.nz_number(NUMBER64_MAX))
        tokens.expect(b">")
    return replace(section, label=b"%b<%d>" % (section.label, origin), partial=(origin, count))
