"""Whole commands to their dataclasses; and that nothing a peer sends raises anything else."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from protocols.errors import LimitExceeded, RemoteProtocolError
from protocols.imap import commands as c
from protocols.imap import search_commands as s
from protocols.imap.append_commands import PARTS_MAX, URL_BYTES_MAX, Append, NewMessage
from protocols.imap.commands import StoreMode
from protocols.imap.fetch_commands import BinarySize, Fetch, FetchItem, Section, SectionText
from protocols.imap.fetch_items import FIELDS_MAX, ITEMS_MAX, PATH_MAX
from protocols.imap.flags import FLAGS_MAX
from protocols.imap.list_options import PATTERN_CHARACTERS_MAX, PATTERNS_MAX
from protocols.imap.parse import CAPABILITIES_MAX, ID_FIELDS_MAX, parse_command
from protocols.imap.search_commands import SearchReturn
from protocols.imap.search_keys import DEPTH_MAX, KEYS_MAX
from protocols.imap.sets import NUMBER_MAX, NumberSet
from protocols.imap.tokens import Tokens


def parse(text: bytes, **literals: bytes) -> c.Command:
    return parse_command(Tokens(text, {int(at[1:]): held for at, held in literals.items()}))


def refused(text: bytes) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        parse(text)
    return str(caught.value)


ONE = NumberSet(((1, 1),))


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (b"noop", c.Noop()),
        (b"CHECK", c.Check()),
        (b"LOGIN a b", c.Login("a", "b")),
        (b"AUTHENTICATE plain =", c.Authenticate("PLAIN", b"=")),
        (b"ENABLE a B", c.Enable((b"A", b"B"))),
        (b"EXAMINE inbox", c.Select("INBOX", read_only=True)),
        (b"RENAME a b/c", c.Rename("a", "b/c")),
        (b"UNSUBSCRIBE a", c.Subscribe("a", wanted=False)),
        (b"LSUB x/ %", c.Lsub("x/", "%")),
        (b"UNSELECT", c.Close(expunge=False)),
        (b"UID EXPUNGE 1", c.Expunge(ONE)),
        (b"UID COPY $ a", c.Copy(NumberSet(saved=True), "a", uid=True)),
        (b"MOVE 1 a", c.Copy(ONE, "a", move=True)),
        (b"STORE 1 -FLAGS.SILENT ()", c.Store(ONE, StoreMode.REMOVE, (), silent=True)),
        (b"UID STORE 1 FLAGS \\Seen x", c.Store(ONE, StoreMode.REPLACE, ("$seen", "x"), uid=True)),
        (b"FETCH 1 (UID FLAGS UID)", Fetch(ONE, frozenset({FetchItem.UID, FetchItem.FLAGS}))),
    ],
)
def test_commands(text: bytes, command: c.Command) -> None:
    assert parse(text) == command


def test_list_in_its_extended_form() -> None:
    found = parse(b'LIST (SUBSCRIBED) "" ("a*" b%) RETURN (CHILDREN STATUS (UNSEEN SIZE))')
    assert isinstance(found, c.List)
    assert found.patterns == ("a*", "b%")
    assert found.select_subscribed and found.return_subscribed and found.return_children
    assert found.status == (c.StatusItem.UNSEEN, c.StatusItem.SIZE)


def test_append_keeps_flags_date_and_octets() -> None:
    text = b'APPEND a (\\Seen X) " 1-Jan-1970 00:00:01 +0000" {3}'
    found = parse_command(Tokens(text, {len(text): b"a\0b"}))
    assert found == Append("a", (NewMessage(("$seen", "x"), 1000, (b"a\0b",)),))


def test_a_fetch_section_knows_how_its_answer_is_called() -> None:
    found = parse(b'FETCH 1 (BODY[1.2.HEADER.FIELDS (To "X-\\"")]<7.9> BINARY.SIZE[3] RFC822)')
    assert isinstance(found, Fetch)
    fields, size, whole = found.sections
    assert isinstance(fields, Section)
    assert fields.label == b'BODY[1.2.HEADER.FIELDS (To "X-\\"")]<7>'
    assert fields.path == (1, 2) and fields.text is SectionText.FIELDS
    assert fields.fields == {b"to", b'x-"'} and fields.partial == (7, 9) and not fields.peek
    assert size == BinarySize(b"BINARY.SIZE[3]", (3,))
    assert whole == Section(b"RFC822", peek=False)


def test_ors_of_ors_are_one_of_many_however_they_are_nested() -> None:
    """Clients look for a hundred messages in one search: a chain is not deep."""
    one, two, three = s.Sized(over=1), s.Sized(over=2), s.Sized(over=3)
    either = s.And((s.Or(one, s.Or(two, three)),))
    for text in (b"OR LARGER 1 OR LARGER 2 LARGER 3", b"OR OR LARGER 1 LARGER 2 LARGER 3"):
        found = parse(b"SEARCH " + text)
        assert isinstance(found, s.Search)
        assert s.And((found.key,)) == either
    chain = b"OR LARGER 1 " * (KEYS_MAX // 2 - 1) + b"LARGER 2"
    assert isinstance(parse(b"SEARCH " + chain), s.Search)
    assert "keys" in refused(b"SEARCH " + b"OR LARGER 1 " * KEYS_MAX + b"LARGER 2")
    assert "deep" in refused(b"SEARCH " + b"OR NOT LARGER 1 NOT " * DEPTH_MAX + b"LARGER 2")


def test_binary_may_be_asked_for_from_an_octet_on() -> None:
    """RFC 3516 has no such partial, yet clients are seen to send it."""
    found = parse(b"FETCH 1 BINARY.PEEK[1]<40>")
    assert isinstance(found, Fetch)
    [section] = found.sections
    assert isinstance(section, Section)
    assert (section.label, section.partial) == (b"BINARY[1]<40>", (40, NUMBER_MAX))


def test_search_nests() -> None:
    found = parse(b"UID SEARCH RETURN (MIN SAVE) OR (SEEN NOT 1:2) NOT OR DRAFT UID 7 LARGER 5")
    assert isinstance(found, s.Search)
    assert found.returns == {SearchReturn.MIN, SearchReturn.SAVE}
    seen, draft = s.Keyword("$seen"), s.Keyword("$draft")
    numbers = s.Numbers(NumberSet(((1, 2),)), uid=False)
    seven = s.Numbers(NumberSet(((7, 7),)), uid=True)
    either = s.Or(s.And((seen, s.Not(numbers))), s.Not(s.Or(draft, seven)))
    assert found.key == s.And((either, s.Sized(over=5)))


@pytest.mark.parametrize(
    "text",
    [
        b"", b"UID", b"UID NOOP", b"UID SELECT 1", b"LOGIN a", b"SELECT", b"SELECT a b", b"FETCH 1",
        b"FETCH 1 ()", b"FETCH 1 BODY[", b"FETCH 1 BODY[MIME]", b"FETCH 1 BODY[0]",
        b"FETCH 1 BODY[1.]", b"FETCH 1 BODY[]<1>", b"FETCH 1 BODY[]<1.0>", b"FETCH 1 (ALL)",
        b"FETCH 1 BINARY[TEXT]", b"FETCH 1 BODY[HEADER.FIELDS ()]", b"STORE 1 FLAG x",
        b"STORE 1 FLAGS \\Unheard", b"SEARCH", b"SEARCH OR SEEN", b"SEARCH ()", b"SEARCH SEEN)",
        b"SEARCH  SEEN", b"STATUS a (UIDNEXT", b"LIST a", b"ID x", b'ID ("a")', b"ENABLE",
        b"APPEND a x", b"AUTHENTICATE PLAIN ", b"IDLE now", b'SELECT "a\rb"',
        b"SORT (DATE) ALL", b"THREAD REFERENCES ALL", b"FETCH 1 BINARY[1]<1.>",
    ],
)  # fmt: skip
def test_what_the_grammar_does_not_allow(text: bytes) -> None:
    assert refused(text)


def test_each_bound_is_met() -> None:
    def limit(text: bytes) -> None:
        with pytest.raises(LimitExceeded):
            parse(text)

    parse(b"SEARCH " + b"(" * (DEPTH_MAX - 1) + b"ALL" + b")" * (DEPTH_MAX - 1))
    limit(b"SEARCH " + b"(" * DEPTH_MAX + b"ALL" + b")" * DEPTH_MAX)
    limit(b"SEARCH " + b"NOT " * 100_000 + b"ALL")
    limit(b"SEARCH" + b" ALL" * (KEYS_MAX + 1))
    limit(b"FETCH 1 (%b)" % b" ".join(b"BODY[%d]" % n for n in range(1, ITEMS_MAX + 3)))
    limit(b"FETCH 1 BODY[HEADER.FIELDS (%b)]" % b" ".join([b"a"] * (FIELDS_MAX + 1)))
    limit(b"FETCH 1 BODY[%b]" % b".".join([b"1"] * (PATH_MAX + 1)))
    limit(b"STORE 1 FLAGS (%b)" % b" ".join(b"f%d" % n for n in range(FLAGS_MAX + 1)))
    limit(b"ENABLE" + b" X" * (CAPABILITIES_MAX + 1))
    parse(b"APPEND x CATENATE (%b)" % b" ".join([b"URL x"] * PARTS_MAX))
    limit(b"APPEND x CATENATE (%b)" % b" ".join([b"URL x"] * (PARTS_MAX + 1)))
    limit(b"APPEND x CATENATE (URL %b)" % (b"x" * (URL_BYTES_MAX + 1)))
    limit(b"ID (%b)" % b" ".join([b'"a" NIL'] * (ID_FIELDS_MAX + 1)))
    limit(b'LIST "" (%b)' % b" ".join([b"a"] * (PATTERNS_MAX + 1)))
    limit(b'LIST "" "%b"' % (b"a" * (PATTERN_CHARACTERS_MAX + 1)))
    assert "too long" in refused(b"STORE 1 FLAGS (%b)" % (b"f" * 256))


_WORDS = [
    b"UID", b"FETCH", b"STORE", b"SEARCH", b"LIST", b"APPEND", b"STATUS", b"ID", b"ENABLE",
    b"LOGIN", b"BODY", b"BODY.PEEK[", b"BINARY", b"HEADER.FIELDS", b"RETURN", b"CHARSET", b"OR",
    b"NOT", b"(", b")", b"[", b"]", b"<0.1>", b"1:*", b"$", b"1.2", b"{1}", b"~{1+}", b'"', b'"a"',
    b"\\Seen", b"+FLAGS", b"1-Jan-2026", b" ", b" ", b" ", b" ", b"*", b"%", b"\xff", b"\0", b"NIL",
    b"ALL", b"REPLACE",
]  # fmt: skip


@settings(max_examples=600)
@given(st.one_of(st.binary(max_size=80), st.lists(st.sampled_from(_WORDS)).map(b"".join)))
@example(b"FETCH 1 BODY[1.HEADER.FIELDS (a b)]<0.1>")
@example(b"SEARCH CHARSET UTF-8 OR NOT (ALL) $")
def test_nothing_but_a_protocol_error_comes_of_any_octets(text: bytes) -> None:
    for utf8 in (False, True):
        tokens = Tokens(text, dict.fromkeys(range(len(text) + 1), b"x"), utf8=utf8)
        try:
            tokens.tag()
            tokens.space()
            parse_command(tokens)
        except RemoteProtocolError:
            pass
        try:
            literals = dict.fromkeys(range(len(text) + 1), b"\xff\0")
            parse_command(Tokens(text, literals, utf8=utf8))
        except RemoteProtocolError:
            pass
