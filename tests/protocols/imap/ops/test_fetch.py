"""FETCH: windows over rows, views read in ranges, decoded parts, what is gone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.imap.ops.fetch import PORTION_BYTES, VIEW_SLICE_MESSAGES, portions, windows
from protocols.imap.ops.items import Window
from protocols.imap.ops.views import decode_view, read_views
from protocols.imap.selected import Positions
from protocols.ports import READ_BYTES_MAX
from storage.ids import EmailId, Version
from storage.mail.messages import email_view
from storage.mail.records import UidRow
from tests.protocols.imap.stage import mail, open_stage

gaps = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 40)), max_size=20)


@given(gaps, st.integers(1, 25))
def test_windows_hold_every_position_once_and_no_more_than_their_size(
    steps: list[tuple[int, int]], size: int
) -> None:
    positions: list[Positions] = []
    at = 0
    for gap, length in steps:
        positions.append((at + gap, at + gap + length))
        at += gap + length + 1
    seen = [at for window in windows(positions, size) for low, high in window
            for at in range(low, high)]  # fmt: skip
    assert seen == [at for low, high in positions for at in range(low, high)]
    for window in windows(positions, size):
        assert 0 < sum(high - low for low, high in window) <= size


sizes = st.lists(st.one_of(st.integers(0, 999), st.integers(0, 2 * PORTION_BYTES)), max_size=200)


@given(sizes, st.integers(1, 3))
def test_portions_hold_every_message_once_and_no_more_octets_than_their_size(
    sizes: list[int], sections: int
) -> None:
    rows = [
        UidRow(EmailId(number), (), Version(1), size, 0) for number, size in enumerate(sizes, 1)
    ]
    numbers = range(1, len(rows) + 1)
    found = list(portions(Window(numbers, numbers, rows), sections))
    assert [row for portion in found for row in portion.rows] == rows
    for portion in found:
        told = sections * sum(row.size for row in portion.rows)
        assert len(portion.rows) == 1 or told <= PORTION_BYTES
        assert 0 < len(portion.rows) <= VIEW_SLICE_MESSAGES
        emails = [row.email for row in portion.rows]
        assert list(portion.sequences) == list(portion.uids) == emails


async def test_what_is_expunged_while_the_others_are_sent_is_left_out() -> None:
    async with open_stage() as stage:
        for number in range(4):
            stage.deliver(mail(f"number {number}", body="x" * PORTION_BYTES))
        slow, other = await stage.reader(lockstep=True), await stage.reader()
        await slow.say(b"t FETCH 1:* (UID BODY.PEEK[TEXT] BODY.PEEK[HEADER.FIELDS (Subject)])")
        begun = await slow.line()
        await other.ask(b"STORE 4 +FLAGS.SILENT (\\Deleted)")
        await other.ask(b"EXPUNGE")
        told = [begun]
        while not told[-1].startswith(b"t "):
            told.append(await slow.line())
        assert [line for line in told if line.startswith(b"Subject")] == [
            b"Subject: number %d" % number for number in range(3)
        ]
        assert told[-1] == b"t NO [EXPUNGEISSUED] Some of the messages are gone"


async def test_views_in_a_range_are_those_read_one_by_one() -> None:
    async with open_stage() as stage:
        stage.fill(30)
        rows = stage.house.view()
        for emails in ([3], [1, 30], list(range(1, 31)), [5, 6, 7, 9, 10, 11, 12], [99]):
            wanted = [EmailId(number) for number in emails]
            found = read_views(rows, stage.alice, wanted, decode_view)
            for email in wanted:
                view = email_view(rows, stage.alice, email)
                if view is None:
                    assert email not in found
                else:
                    assert found[email].envelope == view.envelope
                    assert found[email].bodystructure == view.bodystructure


async def test_every_second_of_many() -> None:
    async with open_stage() as stage:
        stage.fill(60)
        client = await stage.reader()
        await client.ask(b"STORE 3,4,9 +FLAGS.SILENT (\\Deleted)")
        await client.ask(b"EXPUNGE")
        numbers = b",".join(b"%d" % number for number in range(1, 58, 2))
        lines = await client.ask(b"FETCH %b (UID ENVELOPE)" % numbers)
        assert len(lines) == 30
        lines = await client.ask(b"UID FETCH 2,40:41,59:99 (UID)")
        uids = [2, 40, 41, 59, 60]
        assert [line.split(b"UID ")[1] for line in lines[:-1]] == [b"%d)" % uid for uid in uids]


PARTS = (
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\nAAECAw==\r\n"
    b"--b\r\nContent-Transfer-Encoding: x-own\r\n\r\nsecret\r\n--b--\r\n"
)


async def test_a_part_we_cannot_decode_fails_the_fetch_and_nothing_half_is_said() -> None:
    async with open_stage() as stage:
        stage.deliver(PARTS)
        client = await stage.reader()
        lines = await client.ask(b"FETCH 1 (FLAGS BINARY.PEEK[1] BINARY.PEEK[2])")
        assert lines == [b"t NO [UNKNOWN-CTE] The encoding of the part is not known"]
        lines = await client.ask(b"FETCH 1 BINARY.SIZE[2]")
        assert lines[-1].startswith(b"t NO [UNKNOWN-CTE]")


async def test_what_holds_nul_goes_out_as_a_literal8() -> None:
    async with open_stage() as stage:
        stage.deliver(PARTS)
        client = await stage.reader()
        await client.say(b"a FETCH 1 BINARY.PEEK[1]")
        assert await client.line() == b"* 1 FETCH (BINARY[1] ~{4}"
        assert await client.take(5) == b"\0\1\2\3)"


@pytest.mark.parametrize("octets", [4, READ_BYTES_MAX + 4])
async def test_a_nul_in_a_message_is_told_as_an_octet_that_a_literal_may_hold(octets: int) -> None:
    """RFC 9051 4.3.1; what is kept stays as it came, and BINARY and JMAP have it."""
    head = b"Subject: a\0b\r\n\r\n"
    message = head + b"\0" * octets
    shown = message.replace(b"\0", b"\x80")
    async with open_stage() as stage:
        stage.deliver(message)
        client = await stage.reader()
        for item, expected in (
            (b"BODY.PEEK[]", shown),
            (b"BODY.PEEK[TEXT]<1.3>", shown[len(head) + 1 : len(head) + 4]),
            (b"BODY.PEEK[HEADER.FIELDS (SUBJECT)]", shown[: len(head)]),
            (b"BODY.PEEK[1]", shown[len(head) :]),
        ):
            await client.say(b"a FETCH 1 " + item)
            assert (await client.line()).endswith(b" {%d}" % len(expected))
            assert await client.take(len(expected) + 1) == expected + b")"
            await client.line()
            assert (await client.line()).startswith(b"a OK")
        await client.say(b"b FETCH 1 BINARY.PEEK[1]")
        assert (await client.line()).endswith(b" ~{%d}" % octets)
        assert await client.take(octets) == b"\0" * octets


async def test_decoding_waits_for_room_in_the_door() -> None:
    async with open_stage() as stage:
        stage.deliver(PARTS)
        client = await stage.reader()
        room = stage.door.shared.room
        held = room.free
        assert room.take(held)
        assert (await client.ask(b"FETCH 1 BINARY.PEEK[1]"))[-1].startswith(b"t NO [UNAVAILABLE]")
        room.give(held)
        await client.ask(b"FETCH 1 BINARY.SIZE[1]")
        assert room.free == held


async def test_reading_marks_as_seen_once_and_says_so_once() -> None:
    async with open_stage() as stage:
        stage.deliver(mail("one"))
        client = await stage.reader()
        assert (await client.ask(b"FETCH 1 BODY[1]<0.1>"))[0].startswith(
            b"* 1 FETCH (FLAGS (\\Seen"
        )
        assert (await client.ask(b"FETCH 1 BODY[1]<0.1>"))[0] == b"* 1 FETCH (BODY[1]<0> {1}"
        assert await client.ask(b"NOOP") == [b"t OK NOOP completed"]
