"""Flags and keywords are one thing under two names."""

import pytest

from protocols.errors import RemoteProtocolError
from protocols.imap.flags import (
    KEYWORD_CHARACTERS_MAX,
    SYSTEM_FLAGS,
    parse_flag,
    render_flag,
    render_flags,
)


def test_system_flags_go_there_and_back() -> None:
    for flag in SYSTEM_FLAGS:
        assert render_flag(parse_flag(flag)) == flag
        assert parse_flag(flag.lower()) == parse_flag(flag.upper())


def test_keywords_are_kept_in_lower_case_and_known_ones_shown_as_registered() -> None:
    assert parse_flag(b"Work") == "work"
    assert render_flags(("$forwarded", "$seen", "work")) == b"$Forwarded \\Seen work"
    assert render_flags(()) == b""


@pytest.mark.parametrize(
    "flag", [b"\\Recent", b"\\*", b"\\Unheard", b"k" * (KEYWORD_CHARACTERS_MAX + 1)]
)
def test_what_no_client_may_set(flag: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_flag(flag)
