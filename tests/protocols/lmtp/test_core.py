"""The LMTP core under hostile input, at each of its limits; ordinary talk is in dialogues/."""

import random
from dataclasses import replace

import pytest

from protocols.errors import LocalProtocolError
from protocols.lmtp import core as lmtp
from protocols.lmtp import replies
from protocols.lmtp.content import DROPPED_BYTES_MAX, Budget
from protocols.lmtp.core import (
    COMMANDS_MAX,
    ERRORS_MAX,
    INPUT_BYTES_MAX,
    Core,
)
from protocols.lmtp.events import Awaiting, NeedInput, RecipientAsked
from protocols.lmtp.lines import LINE_BYTES_MAX, LINE_SKIPPED_BYTES_MAX
from protocols.ports import Route
from storage.ids import AccountId
from tests.protocols.lmtp.dialogue import BUDGET_BYTES, OFFER, Client, client

BEGIN = b"LHLO mx\r\nMAIL FROM:<>\r\nRCPT TO:<alice@example.org>\r\n"


def codes(answer: bytes) -> list[int]:
    return [int(line[:3]) for line in answer.splitlines() if line[3:4] == b" "]


def begun(talker: Client | None = None) -> Client:
    talker = talker or client()
    assert codes(talker.say(BEGIN)) == [250, 250, 250]
    return talker


def test_a_line_too_long_is_one_error_however_it_goes_on() -> None:
    talker = client()
    answer = talker.say(b"NOOP " + b"x" * (INPUT_BYTES_MAX * 2) + b"\r\nNOOP\r\n")
    assert codes(answer) == [500, 250]
    assert codes(talker.say(b"N" * (LINE_BYTES_MAX + 1) + b"\r\nNOOP\r\n")) == [500, 250]
    fits = b"NOOP " + b"x" * (LINE_BYTES_MAX - 5)
    assert codes(talker.say(fits + b"\r\n")) == [250]


def test_a_line_without_end_ends_the_connection() -> None:
    talker = client()
    answer = talker.say(b"x" * (LINE_SKIPPED_BYTES_MAX + 2 * INPUT_BYTES_MAX))
    assert codes(answer) == [500, 421]
    assert talker.closed


def test_garbage_is_put_up_with_for_so_long() -> None:
    talker = client()
    answer = codes(talker.say(b"\x00\xff\r\n" * (ERRORS_MAX + 10)))
    assert answer == [501] * (ERRORS_MAX + 1) + [421]
    assert talker.closed


def test_a_message_that_was_kept_makes_errors_forgotten() -> None:
    """RFC 5321 3.8: who does not understand a command goes on serving."""
    talker = client()
    for _ in range(3):
        assert codes(talker.say(b"FROB\r\n" * ERRORS_MAX)) == [500] * ERRORS_MAX
        begun(talker)
        assert codes(talker.say(b"DATA\r\n.\r\n")) == [354, 250]
    assert not talker.closed


def test_nothing_but_crlf_ends_a_command() -> None:
    """RFC 5321 2.3.8: what others smuggle behind a bare LF or CR is no command here."""
    talker = client()
    assert codes(talker.say(b"LHLO mx\n")) == []
    assert codes(talker.say(b"MAIL FROM:<>\r\n")) == [501]
    assert codes(talker.say(b"NOOP x\rLHLO mx\r\nNOOP\r\n")) == [501, 250]
    assert codes(talker.say(b"LHLO mx\r")) == []
    assert codes(talker.say(b"\nNOOP\r\n")) == [250, 250]


def test_unknown_recipients_are_no_errors() -> None:
    """A list with a thousand stale members is no attack; only the number that are kept counts."""
    talker = client()
    answer = talker.say(b"LHLO mx\r\nMAIL FROM:<>\r\n" + b"RCPT TO:<who@example.org>\r\n" * 1000)
    assert codes(answer).count(550) == 1000
    assert not talker.closed


def test_commands_that_lead_nowhere_are_counted() -> None:
    talker = client()
    answer = codes(talker.say(b"NOOP\r\n" * (COMMANDS_MAX + 1)))
    assert answer == [250] * COMMANDS_MAX + [421]
    talker = client()
    for _ in range(COMMANDS_MAX // 5 + 10):  # a message kept begins the count anew
        begun(talker)
        talker.say(b"DATA\r\n.\r\n")
    assert not talker.closed


def test_a_thousand_recipients_get_a_thousand_replies() -> None:
    talker = client(replace(OFFER, recipients_max=1000))
    talker.say(b"LHLO mx\r\nMAIL FROM:<>\r\n" + b"RCPT TO:<alice@example.org>\r\n" * 1000)
    answer = talker.say(b"DATA\r\nhello\r\n.\r\n")
    assert codes(answer) == [354] + [250] * 1000


def test_content_over_the_limit_is_refused_for_each_recipient_and_forgotten() -> None:
    budget = Budget(BUDGET_BYTES)
    talker = begun(client(budget=budget))
    talker.say(b"RCPT TO:<bob@example.org>\r\nDATA\r\n")
    talker.say(b"x" * 900_000)
    assert budget.held == 0
    assert codes(talker.say(b"\r\n.\r\nNOOP\r\n")) == [552, 552, 250]
    assert talker.messages == []


def test_content_of_exactly_the_limit_is_kept() -> None:
    talker = begun()
    talker.say(b"DATA\r\n" + b"x" * (OFFER.message_bytes_max - 2) + b"\r\n.\r\n")
    assert len(talker.messages[0].content) == OFFER.message_bytes_max


def test_content_without_end_ends_the_connection() -> None:
    talker = begun()
    talker.say(b"DATA\r\n")
    piece = b"x" * INPUT_BYTES_MAX
    for _ in range(DROPPED_BYTES_MAX // INPUT_BYTES_MAX + 2):
        if talker.closed:
            break
        answer = talker.say(piece)
    assert codes(answer) == [421]
    assert talker.closed


def test_a_chunk_that_lies_about_its_size_is_never_waited_for() -> None:
    talker = begun()
    assert codes(talker.say(b"BDAT 10000000000\r\nabc")) == [421]
    assert talker.closed


def test_a_configured_limit_is_the_limit_of_chunks_too() -> None:
    huge = 4 * DROPPED_BYTES_MAX
    talker = begun(client(replace(OFFER, message_bytes_max=huge)))
    assert talker.say(f"BDAT {huge}\r\nabc".encode()) == b""
    assert not talker.closed


def test_chunks_that_add_up_to_too_much_are_refused_at_once() -> None:
    talker = begun()
    chunk = b"BDAT 600\r\n" + b"x" * 600
    assert codes(talker.say(chunk)) == [250]
    assert codes(talker.say(chunk)) == [552]
    assert codes(talker.say(b"BDAT 3 LAST\r\nabcNOOP\r\n")) == [503, 250]


def test_a_chunk_that_stops_short_waits() -> None:
    talker = begun()
    assert talker.say(b"BDAT 10 LAST\r\nabc") == b""
    assert codes(talker.say(b"defghijNOOP\r\n")) == [250, 250]


def test_all_connections_hold_so_much_together() -> None:
    budget = Budget(1500)
    first, second = begun(client(budget=budget)), begun(client(budget=budget))
    first.say(b"DATA\r\n" + b"x" * 900)
    second.say(b"DATA\r\n" + b"x" * 900)
    assert codes(second.say(b"\r\n.\r\n")) == [452]
    assert codes(second.say(b"MAIL FROM:<> SIZE=900\r\n")) == [452]  # before it is sent
    assert codes(first.say(b"\r\n.\r\n")) == [250]
    assert codes(second.say(b"MAIL FROM:<> SIZE=900\r\n")) == [250]
    assert budget.held == 0


def test_announcing_much_costs_nobody_anything() -> None:
    budget = Budget(1500)
    for _ in range(10):
        talker = client(budget=budget)
        assert codes(talker.say(b"LHLO mx\r\nMAIL FROM:<> SIZE=1000\r\n")) == [250, 250]
    assert budget.held == 0


def test_a_connection_that_breaks_gives_its_room_back() -> None:
    budget = Budget(BUDGET_BYTES)
    talker = begun(client(budget=budget))
    talker.say(b"DATA\r\n" + b"x" * 900)
    assert budget.held >= 900
    talker.core.close()
    assert budget.held == 0


def test_waits_are_told_apart() -> None:
    """So that a driver can give an idle client long, and one in the midst of a command little."""
    talker = begun()
    core = talker.core

    def waits(octets: bytes) -> NeedInput:
        talker.say(octets)
        need = core.next_event()
        assert isinstance(need, NeedInput)
        return need

    idle = waits(b"NOOP\r\n")
    assert idle.awaiting is Awaiting.COMMAND
    part = waits(b"NO")
    assert part.awaiting is Awaiting.REST_OF_COMMAND
    assert waits(b"OP") == part
    assert waits(b"\r\n").unit != part.unit
    content = waits(b"DATA\r\nx")
    assert content.awaiting is Awaiting.CONTENT
    assert waits(b"y") == content


def test_questions_are_answered_before_anything_else() -> None:
    core = Core(OFFER, Budget(BUDGET_BYTES))
    core.receive(BEGIN)
    assert isinstance(core.next_event(), RecipientAsked)
    with pytest.raises(LocalProtocolError):
        core.next_event()
    with pytest.raises(LocalProtocolError):
        core.delivered([replies.OK])
    core.accept_recipient(Route((AccountId(1),)))
    with pytest.raises(LocalProtocolError):
        core.accept_recipient(Route((AccountId(1),)))
    assert isinstance(core.next_event(), NeedInput)


def test_any_octets_leave_a_core_that_answers_or_has_closed() -> None:
    chance = random.Random(20332033)
    words = [b"LHLO mx\r\n", b"MAIL FROM:<>\r\n", b"RCPT TO:<alice@example.org>\r\n", b"DATA\r\n"]
    words += [b".\r\n", b"BDAT 5\r\n", b"BDAT 3 LAST\r\n", b"abc", b"\r\n", b"RSET\r\n", b"\0\xff"]
    words += [b"STARTTLS\r\n", b"NOOP\r\n", b"x" * 300, b"\r", b"\n", b"BDAT 0 LAST\r\n"]
    for _ in range(1500):
        budget = Budget(1200)
        talker = client(replace(OFFER, starttls=chance.random() < 0.5), budget=budget)
        for _ in range(chance.randrange(30)):
            talker.say(b"".join(chance.choices(words, k=chance.randrange(6))))
            if talker.closed:
                break
            assert 0 <= budget.held <= 1200
        for message in talker.messages:
            assert 0 < len(message.recipients) <= OFFER.recipients_max
            assert len(message.content) <= OFFER.message_bytes_max
        talker.core.close()
        assert budget.held == 0


def test_the_phase_table_knows_every_phase() -> None:
    assert set(lmtp.ALLOWED) == set(lmtp.Phase)
