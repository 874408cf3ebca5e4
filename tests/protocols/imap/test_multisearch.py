"""ESEARCH's sources: which names they cover, and how many there may be (RFC 7377 2.2, 4)."""

import pytest

from protocols.errors import LimitExceeded
from protocols.imap.multisearch import SOURCES_MAX, is_named, parse_multi_search
from protocols.imap.notify import NAMES_MAX
from protocols.imap.search_commands import Source
from protocols.imap.tokens import Tokens


@pytest.mark.parametrize(
    ("source", "covered"),
    [
        (Source.MAILBOXES, {"a/b"}),
        (Source.SUBTREE_ONE, {"a/b", "a/b/c"}),
        (Source.SUBTREE, {"a/b", "a/b/c", "a/b/c/d"}),
        (Source.PERSONAL, set()),
    ],
)
def test_what_a_name_covers(source: Source, covered: set[str]) -> None:
    names = ("a", "a/b", "a/bb", "a/b/c", "a/b/c/d", "b", "b/a/b")
    assert {name for name in names if is_named({source: frozenset({"a/b"})}, name)} == covered


def test_sources_of_one_kind_add_up() -> None:
    found = parse_multi_search(Tokens(b" IN (mailboxes x subtree (y z) MAILBOXES w) ALL"))
    assert found.sources == {
        Source.MAILBOXES: {"x", "w"},
        Source.SUBTREE: {"y", "z"},
    }


@pytest.mark.parametrize(
    "sources",
    [
        b" ".join([b"personal"] * (SOURCES_MAX + 1)),
        b"mailboxes (%b)" % b" ".join(b"m%d" % number for number in range(NAMES_MAX + 1)),
        b"mailboxes x subtree (%b)" % b" ".join(b"m%d" % number for number in range(NAMES_MAX)),
    ],
)
def test_so_many_and_no_more(sources: bytes) -> None:
    with pytest.raises(LimitExceeded):
        parse_multi_search(Tokens(b" IN (%b) ALL" % sources))
