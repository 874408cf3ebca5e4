"""Search keys as tests: dear facts are asked for only when cheap ones leave it open."""

import pytest
from msgspec import structs

from protocols.collation import fold
from protocols.imap.matching import Facts, Naming, compile_key
from protocols.imap.parse import parse_command
from protocols.imap.search_commands import Numbers, Search
from protocols.imap.selected import Positions
from protocols.imap.tokens import Tokens
from storage.ids import EmailId, ThreadId, Version
from storage.mail.records import UidRow

NOW_MS = 1_793_534_460_000  # a minute after the message came
ROW = UidRow(EmailId(1), ("$flagged", "$seen"), Version(1), 5000, 1_793_534_400_000)
SUBJECT = fold("grüße")
VIEW = {b"from": "BOB <BOB@X>", b"to": None, b"cc": None, b"bcc": None, b"subject": SUBJECT}


def ask(text: str, facts: Facts) -> bool | None:
    command = parse_command(Tokens(f"SEARCH {text}".encode()))
    assert isinstance(command, Search)

    def positions(numbers: Numbers) -> list[Positions]:
        return [(low - 1, high) for low, high in numbers.numbers.resolve(10)]

    def emails(thread: ThreadId) -> frozenset[EmailId]:
        return frozenset({EmailId(1)} if thread == 5 else ())

    return compile_key(command.key, Naming(positions, emails, NOW_MS))(facts)


def message(**known: object) -> Facts:
    facts = Facts(6, 70, ROW)
    for name, value in known.items():
        setattr(facts, name, value)
    return facts


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ALL", True),
        ("SEEN FLAGGED", True),
        ("YOUNGER 60", True),
        ("YOUNGER 59", False),
        ("OLDER 59", True),
        ("OLDER 60", True),
        ("OLDER 61", False),
        ("EMAILID e1", True),
        ("EMAILID E1", False),
        ("EMAILID e2", False),
        ("EMAILID no-such", False),
        ("THREADID t5", True),
        ("THREADID t6", False),
        ("NOT THREADID none", True),
        ("UNSEEN", False),
        ("7", True),
        ("1:6,8:*", False),
        ("1,7,9", True),
        ("LARGER 4999 SMALLER 5001", True),
        ("LARGER 5000", False),
        ("SMALLER 5000", False),
        ("ON 1-Nov-2026", True),
        ("BEFORE 1-Nov-2026", False),
        ("SINCE 1-Nov-2026", True),
        ("SAVEDON 1-Nov-2026", True),  # nobody knows: the date received stands in
        ("SAVEDBEFORE 1-Nov-2026", False),
        ("OR UNSEEN NOT DRAFT", True),
        # what a cheap key decides needs nothing dear
        ("UNSEEN BODY x", False),
        ("OR SEEN BODY x", True),
        # and what it does not, does
        ("SEEN BODY x", None),
        ("OR UNSEEN FROM x", None),
        ("NOT TEXT x", None),
        ("SENTON 1-Nov-2026", None),
        ("HEADER X-A b", None),
    ],
)
def test_from_the_row_alone(text: str, found: bool | None) -> None:
    assert ask(text, message()) is found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("FROM BOB@X", True),
        ('TO ""', False),
        ('FROM ""', True),
        ('SUBJECT "GRÜß"', True),
        ("SUBJECT grus", False),  # a vowel of its own, and a letter without a capital (RFC 5051)
        ("SUBJECT gru", True),  # what a letter is put together from begins with the bare one
        ('SUBJECT "GRÜSSE"', False),
        ("SENTON 1-Nov-2026", True),
        ("SENTBEFORE 1-Nov-2026", False),
        ("HEADER From bob NOT CC x", True),
        ("FROM bob HEADER X-A b", None),
    ],
)
def test_with_the_view(text: str, found: bool | None) -> None:
    assert ask(text, message(view=VIEW, sent_day=20758)) is found


def test_without_a_date_nothing_was_sent_on_any_day() -> None:
    assert ask("SENTSINCE 1-Jan-1970", message(view=VIEW)) is False
    assert ask("NOT SENTSINCE 1-Jan-1970", message(view=VIEW)) is True


def test_with_header_and_text() -> None:
    known = {"view": VIEW, "header": ((b"x-a", "B C", b""),), "text": "HELLO\0WORLD"}
    assert ask("HEADER x-A B HEADER X-A C", message(**known)) is True
    assert ask('HEADER X-B ""', message(**known)) is False
    assert ask("BODY HELLO", message(**known)) is True
    assert ask("BODY c", message(**known)) is False
    assert ask('TEXT "b c" TEXT World TEXT x-a', message(**known)) is True


def test_what_is_not_as_its_charset_says_is_compared_by_its_octets_too() -> None:
    """RFC 5255 4.6 (c)."""
    broken = {**VIEW, b"subject": "\ufffd FOR YOU"}
    assert ask('SUBJECT "\xe9"', message(view=VIEW)) is False
    assert ask('SUBJECT "\xe9"', message(view=broken)) is None  # the header tells
    held = ((b"subject", "\ufffd FOR YOU", "Caf\xe9\xff for you".encode("latin-1")),)
    assert ask("SUBJECT you", message(view=broken, header=held)) is True
    assert ask("SUBJECT Caf", message(view=broken, header=held)) is True
    assert ask("SUBJECT caf", message(view=broken, header=held)) is False
    assert ask("TEXT Caf", message(view=broken, header=held)) is True
    octets = (b"A\xc0\xb1Z",)
    assert ask("BODY A", message(text="\ufffd", octets=octets, header=())) is True
    assert ask("TEXT a", message(text="\ufffd", octets=octets, header=(), inner=())) is False


def test_the_day_of_the_internal_date_is_that_of_its_zone() -> None:
    """RFC 9051 6.4.4: ON, BEFORE and SINCE disregard time and timezone."""
    evening = 1_793_571_000_000  # 1-Nov-2026 22:10:00 +0000
    for east_minutes, day, day_after in ((0, 1, 2), (120, 2, 3), (-22 * 60 - 11, 31, 1)):
        row = structs.replace(ROW, received_ms=evening, east_minutes=east_minutes)
        month, month_after = ("Oct" if day == 31 else "Nov"), "Nov"
        facts = Facts(6, 70, row)
        assert ask(f"ON {day}-{month}-2026", facts) is True
        assert ask(f"SINCE {day_after}-{month_after}-2026", facts) is False
        assert ask(f"BEFORE {day_after}-{month_after}-2026", facts) is True


def test_text_asks_for_the_headers_of_parts_last_and_body_never() -> None:
    bare = message(text="WORDS", header=())
    assert ask("TEXT words", bare) is True
    assert ask("TEXT crate", bare) is None
    assert ask("BODY crate", bare) is False
    named = message(text="WORDS", header=(), inner=((b"content-type", "NAME=CRATE.BIN", b""),))
    assert ask("TEXT crate", named) is True
    assert ask("TEXT content-type", named) is True
    assert ask("TEXT other", named) is False


def test_a_groups_name_is_looked_for_in_the_header() -> None:
    header = ((b"to", "THE CREW: A@X;", b""),)
    sent = {**VIEW, b"to": "A@X"}
    assert ask("TO crew", message(view=sent, header=header)) is False
    assert ask("TO crew", message(view=sent, has_groups=True)) is None
    assert ask("TO crew", message(view=sent, has_groups=True, header=header)) is True
