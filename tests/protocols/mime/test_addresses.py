"""Address lists: bounds, groups, and the quick way agreeing with the thorough one."""

import pytest

from protocols.mime import addresses
from protocols.mime.addresses import (
    EmailAddress,
    Group,
    flatten,
    parse_addresses,
)


def test_mailboxes_and_groups_come_in_order() -> None:
    found = parse_addresses("a@b.c, Team: D <d@e.f>, g@h.i;, J <j@k.l>")
    assert found == [
        EmailAddress(None, "a@b.c"),
        Group("Team", (EmailAddress("D", "d@e.f"), EmailAddress(None, "g@h.i"))),
        EmailAddress("J", "j@k.l"),
    ]
    assert [one.email for one in flatten(found)] == ["a@b.c", "d@e.f", "g@h.i", "j@k.l"]


@pytest.mark.parametrize(
    "text",
    [
        "a@b.c",
        "<a@b.c>",
        "Ann Lee <a@b.c>, Bob <b@b.c>",
        '"Lee, Ann" <a@b.c> ,b@b.c , "Bob" <c@d.e>',
        "Ännchen <a@b.c>",
        "a@b.c,",
        "O'Brien <o'brien@b.c>",
        "  Ann   Lee\t<a@b.c>",
    ],
)
def test_the_quick_way_reads_what_the_thorough_one_reads(text: str) -> None:
    quick = addresses._parse_plain(text.strip())
    assert quick is not None
    assert quick == addresses._Reader(as_written=False).read(addresses._tokens(text.strip()))


def test_eight_bit_names_are_read_in_the_charset_of_the_message() -> None:
    raw = "Привет <a@b.c>".encode("koi8-r")
    assert parse_addresses(raw, "koi8-r") == [EmailAddress("Привет", "a@b.c")]


@pytest.mark.parametrize("mailbox", ["u@x.y, ", "U <u@x.y>,", '"U \\"" <u@x.y>,', "u@x.y (c),"])
def test_no_more_than_the_bound_of_addresses_are_kept(mailbox: str) -> None:
    found = parse_addresses(mailbox * (addresses.ADDRESSES_MAX + 10))
    assert len(found) == addresses.ADDRESSES_MAX


def test_a_group_is_bounded_like_a_list() -> None:
    [group] = parse_addresses("G: " + "u@x.y," * (addresses.ADDRESSES_MAX + 10) + ";")
    assert isinstance(group, Group)
    assert len(group.members) == addresses.ADDRESSES_MAX


def test_a_field_is_cut_at_its_bound() -> None:
    text = "x" * addresses.FIELD_CHARS_MAX + " <u@x.y>"
    assert parse_addresses(text) == [EmailAddress(None, "x" * addresses.FIELD_CHARS_MAX)]


def test_what_is_remembered_of_a_field_is_nobody_s_to_change() -> None:
    field = b"Ann <ann@example.org>"
    first = parse_addresses(field)
    first.clear()
    assert parse_addresses(field) == [EmailAddress("Ann", "ann@example.org")]


def test_a_field_is_read_by_the_charset_of_its_own_message() -> None:
    """The same octets in messages of two charsets are two names, remembered apart."""
    field = b"J\xf6rg <j@example.org>"
    names = [parse_addresses(field, charset)[0].name for charset in ("latin1", "koi8-r", "latin1")]
    assert names == ["J\xf6rg", "J\u0416rg", "J\xf6rg"]


def test_as_written_keeps_encoded_words() -> None:
    raw = b'=?utf-8?q?J=C3=B6rg?= <j@k.l>, "A" <a@b.c>'
    assert parse_addresses(raw, as_written=True) == [
        EmailAddress("=?utf-8?q?J=C3=B6rg?=", "j@k.l"),
        EmailAddress("A", "a@b.c"),
    ]
    assert parse_addresses(raw) == [EmailAddress("J\u00f6rg", "j@k.l"), EmailAddress("A", "a@b.c")]


def test_a_group_as_written_keeps_the_words_of_its_name() -> None:
    [group] = parse_addresses(b"=?utf-8?q?=C3=89quipe?= : a@b.c;", as_written=True)
    assert group == Group("=?utf-8?q?=C3=89quipe?=", (EmailAddress(None, "a@b.c"),))
