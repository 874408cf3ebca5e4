"""LIST patterns against names, and against a slow but obvious matcher."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.imap.patterns import Pattern, Patterns


def obvious(pattern: str, name: str) -> bool:
    wild = {"*": ".*", "%": "[^/]*"}
    spelled = "".join(wild.get(letter, re.escape(letter)) for letter in pattern)
    return re.fullmatch(spelled, name, re.DOTALL) is not None


@pytest.mark.parametrize(
    ("pattern", "name", "found"),
    [
        ("*", "a/b", True),
        ("%", "a/b", False),
        ("%/%", "a/b", True),
        ("a*c", "a/b/c", True),
        ("a%c", "abc", True),
        ("a%c", "a/c", False),
        ("*%", "a/b", True),
        ("%*x", "a/b/x", True),
        ("", "", True),
        ("", "a", False),
    ],
)
def test_wildcards(pattern: str, name: str, found: bool) -> None:
    assert Pattern(pattern).matches(name) is found


@given(st.text("ab/*%", max_size=8), st.text("ab/", max_size=10))
def test_as_the_obvious_matcher_has_it(pattern: str, name: str) -> None:
    assert Pattern(pattern).matches(name) is obvious(pattern, name)


def test_a_hostile_pattern_takes_no_time() -> None:
    started = time.process_time()
    assert not Pattern("%a*" * 600 + "b").matches("a" * 4000)
    assert time.process_time() - started < 1.0


def test_inbox_matches_in_any_case_and_nothing_else_does() -> None:
    assert Patterns("", ("inbox",)).match("INBOX")
    assert Patterns("in", ("box/%",)).match("INBOX/child")
    assert not Patterns("", ("drafts",)).match("Drafts")
