"""APPENDs that do not wait for one another: committed together, answered in their turn."""

from collections.abc import Sequence

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from protocols.imap.core import LiteralRoom
from protocols.imap.uploads import GROUP_BYTES_MAX, UPLOADS_BYTES_MAX, UPLOADS_MAX
from storage.mail import quota
from tests.protocols.imap.stage import Client, mail, open_stage

# Its addresses as lists show them are many times what it takes itself.
CROWDED = b"To: %b\r\n\r\n." % b", ".join([b"a@b.c"] * 700)


def sent(tag: bytes, octets: bytes, mailbox: bytes = b"INBOX") -> bytes:
    """An APPEND that waits for nothing."""
    return tag + b" APPEND %b {%d+}\r\n%b\r\n" % (mailbox, len(octets), octets)


def many(count: int, *, octets: int = 10) -> bytes:
    """So many of them, tagged by their numbers."""
    return b"".join(
        sent(b"%d" % number, mail(f"n {number}", "x" * octets)) for number in range(count)
    )


async def endings(client: Client, tags: Sequence[bytes]) -> list[bytes]:
    """What these commands ended with; nothing else has ended between."""
    found: list[bytes] = []
    while len(found) < len(tags):
        line = await client.line()
        if not line.startswith(b"* "):
            tag, _, ending = line.partition(b" ")
            assert tag == tags[len(found)], line
            found.append(ending)
    return found


def uids(found: Sequence[bytes]) -> list[int]:
    """As APPENDUID tells them."""
    return [int(ending.partition(b"]")[0].split()[-1]) for ending in found]


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


async def test_what_comes_during_one_commit_is_the_next() -> None:
    async with open_stage() as stage:
        client, house = await stage.reader(), stage.house
        house.stall()
        await client.send(sent(b"0", mail("n 0")))
        await wait_all_tasks_blocked()  # it is under way
        before = house.writer.writes
        await client.send(b"".join(sent(b"%d" % n, mail(f"n {n}")) for n in range(1, 10)))
        await wait_all_tasks_blocked()
        house.release()
        assert uids(await endings(client, numbers(10))) == list(range(1, 11))
        assert house.writer.writes - before == 2
        subjects = await client.ask(b"FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]")
        told = [line for line in subjects if line.startswith(b"Subject")]
        assert told == [b"Subject: n %d" % number for number in range(10)]


async def test_one_that_is_refused_stops_no_other() -> None:
    async with open_stage() as stage:
        client = await stage.reader()
        await client.send(
            sent(b"a", mail("a"))
            + sent(b"b", mail("b"), b"Nowhere")
            + sent(b"c", b"")
            + sent(b"d", b"Subject: \xc3\xa4\r\n\r\n.")
            + sent(b"e", mail("e"))
        )
        found = await endings(client, [b"a", b"b", b"c", b"d", b"e"])
        assert found[0].startswith(b"OK [APPENDUID ") and found[4].startswith(b"OK [APPENDUID ")
        assert found[1].startswith(b"NO [TRYCREATE] ")
        assert found[2].startswith(b"NO [CANNOT] ") and found[3].startswith(b"NO [CANNOT] ")
        assert uids([found[0], found[4]]) == [1, 2]
        assert (await client.ask(b"STATUS INBOX (MESSAGES)"))[0].endswith(b"(MESSAGES 2)")


async def test_those_over_quota_are_refused_and_smaller_ones_are_not() -> None:
    async with open_stage() as stage:
        client = await stage.reader()
        stage.house.run(lambda plan: quota.plan_limit(plan, stage.alice, 2_000))
        await client.send(
            sent(b"a", mail("a")) + sent(b"b", mail("b", "x" * 3_000)) + sent(b"c", mail("c"))
        )
        found = await endings(client, [b"a", b"b", b"c"])
        assert [ending[:14] for ending in found] == [
            b"OK [APPENDUID ", b"NO [OVERQUOTA]", b"OK [APPENDUID "
        ]  # fmt: skip


async def test_a_literal_that_waits_is_asked_for_while_a_commit_is_under_way() -> None:
    async with open_stage() as stage:
        client, house = await stage.reader(), stage.house
        house.stall()
        await client.send(sent(b"a", mail("a")))
        await wait_all_tasks_blocked()
        await client.say(b"b APPEND INBOX {%d}" % len(mail("b")))
        assert await client.line() == b"+ Ready"
        await client.send(mail("b") + b"\r\n")
        await wait_all_tasks_blocked()
        house.release()
        assert uids(await endings(client, [b"a", b"b"])) == [1, 2]


async def test_what_is_asked_next_sees_them_all() -> None:
    async with open_stage() as stage:
        client, house = await stage.reader(), stage.house
        house.stall()
        await client.send(many(3) + b"s STATUS INBOX (MESSAGES)\r\nf FETCH * UID\r\n")
        await wait_all_tasks_blocked()
        house.release()
        lines = [await client.line()]
        while not lines[-1].startswith(b"f "):
            lines.append(await client.line())
        assert lines.index(b"* STATUS INBOX (MESSAGES 3)") > lines.index(
            next(line for line in lines if line.startswith(b"2 OK"))
        )
        assert lines[-2] == b"* 3 FETCH (UID 3)"


async def test_nonsense_is_answered_in_its_turn() -> None:
    async with open_stage() as stage:
        client, house = await stage.reader(), stage.house
        house.stall()
        await client.send(many(2) + b"x FROB\r\n" + sent(b"y", mail("y")))
        await wait_all_tasks_blocked()
        house.release()
        found = await endings(client, [b"0", b"1", b"x", b"y"])
        assert [ending[:3] for ending in found] == [b"OK ", b"OK ", b"BAD", b"OK "]


async def test_a_literal_too_large_ends_the_connection_after_the_others_are_answered() -> None:
    async with open_stage() as stage:
        client, house = await stage.reader(), stage.house
        house.stall()
        await client.send(many(2) + b"x APPEND INBOX {99999999+}\r\n")
        await wait_all_tasks_blocked()
        house.release()
        found = await endings(client, [b"0", b"1", b"x"])
        assert found[2].startswith(b"NO [TOOBIG] ")
        assert (await client.line()).startswith(b"* BYE ")


async def test_those_that_came_whole_are_done_though_the_client_has_left() -> None:
    async with open_stage() as stage:
        room = stage.door.shared.room
        client, house = await stage.reader(), stage.house
        house.stall()
        await client.send(many(3) + b"x APPEND INBOX {1000+}\r\nhalf")
        await wait_all_tasks_blocked()
        assert room.free < LiteralRoom().free - 1000
        assert isinstance(client.stream, trio.StapledStream)
        await client.stream.send_stream.aclose()
        await wait_all_tasks_blocked()
        house.release()
        assert len(await endings(client, numbers(3))) == 3
        with pytest.raises(EOFError):
            await client.line()
        await wait_all_tasks_blocked()
        assert room.free == LiteralRoom().free
        other = await stage.reader()
        assert (await other.ask(b"STATUS INBOX (MESSAGES)"))[0].endswith(b"(MESSAGES 3)")


async def test_a_node_that_can_write_nothing_says_so_of_each() -> None:
    async with open_stage() as stage:
        client, house = await stage.reader(), stage.house
        house.stall()
        await client.send(many(4))
        await wait_all_tasks_blocked()
        house.unavailable = True
        house.release()
        found = await endings(client, numbers(4))
        assert all(ending.startswith(b"NO [UNAVAILABLE]") for ending in found)
        house.unavailable = False
        await client.send(sent(b"z", mail("z")))
        assert uids(await endings(client, [b"z"])) == [1]


async def test_a_conflict_is_planned_again_whole() -> None:
    async with open_stage() as stage:
        client = await stage.reader()
        stage.house.conflicts = 2
        await client.send(many(5))
        assert uids(await endings(client, numbers(5))) == [1, 2, 3, 4, 5]


async def test_more_than_a_batch_holds_goes_one_by_one() -> None:
    async with open_stage() as stage:
        client, house = await stage.reader(), stage.house
        before = house.writer.writes
        house.stall()
        await client.send(b"".join(sent(tag, CROWDED) for tag in numbers(40)))
        await wait_all_tasks_blocked()
        house.release()
        assert uids(await endings(client, numbers(40))) == list(range(1, 41))
        assert house.writer.writes - before > 30


@pytest.mark.parametrize(
    ("count", "octets", "most"),
    [
        (UPLOADS_MAX + 20, 10, UPLOADS_MAX),
        (40, UPLOADS_BYTES_MAX // 8, 8),
    ],
)
async def test_no_more_is_read_than_may_be_under_way(count: int, octets: int, most: int) -> None:
    async with open_stage() as stage:
        room, house = stage.door.shared.room, stage.house
        client = await stage.reader(lockstep=True)
        house.stall()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send, many(count, octets=octets))
            await wait_all_tasks_blocked()
            held = LiteralRoom().free - room.free
            one = len(mail("n 10", "x" * octets))
            assert (most - 1) * one < held <= most * one
            house.release()
            assert uids(await endings(client, numbers(count))) == list(range(1, count + 1))
        await wait_all_tasks_blocked()
        assert room.free == LiteralRoom().free


async def test_one_commit_takes_no_more_than_fits_a_batch() -> None:
    octets = GROUP_BYTES_MAX // 4
    async with open_stage() as stage:
        client, house = await stage.reader(), stage.house
        house.stall()
        await client.send(sent(b"0", mail("n 0")))
        await wait_all_tasks_blocked()
        before = house.writer.writes
        await client.send(b"".join(sent(b"%d" % n, mail(f"{n}", "x" * octets)) for n in (1, 2, 3)))
        await client.send(sent(b"4", mail("4", "x" * 2 * GROUP_BYTES_MAX)) + sent(b"5", mail("5")))
        await wait_all_tasks_blocked()
        house.release()
        assert uids(await endings(client, numbers(6))) == [1, 2, 3, 4, 5, 6]
        assert house.writer.writes - before == 4  # the first, three, the large one, the last


async def test_a_door_that_closes_lets_them_end() -> None:
    async with open_stage() as stage:
        client, house = await stage.reader(), stage.house
        house.stall()
        await client.send(many(2))
        await wait_all_tasks_blocked()
        stage.door.hours.close()
        await wait_all_tasks_blocked()
        house.release()
        assert len(await endings(client, numbers(2))) == 2
        assert (await client.line()).startswith(b"* BYE [UNAVAILABLE] ")


async def test_a_door_that_closes_sends_away_who_has_all_answers() -> None:
    async with open_stage() as stage:
        client = await stage.reader()
        await client.send(many(2))
        await endings(client, numbers(2))
        await wait_all_tasks_blocked()
        stage.door.hours.close()
        assert (await client.line()).startswith(b"* BYE [UNAVAILABLE] ")


async def test_after_notify_it_is_one_after_the_other_and_news_is_told() -> None:
    async with open_stage() as stage:
        client, house = await stage.reader(), stage.house
        await client.ask(b"NOTIFY SET (SELECTED (MessageNew MessageExpunge))")
        before = house.writer.writes
        await client.send(many(3))
        assert uids(await endings(client, numbers(3))) == [1, 2, 3]
        assert house.writer.writes - before == 3
        stage.deliver(mail("news"))
        assert await client.line() == b"* 4 EXISTS"


async def test_a_url_finds_what_the_append_before_it_adds() -> None:
    async with open_stage() as stage:
        client = await stage.reader()
        await client.send(
            sent(b"a", mail("a")) + b'b APPEND INBOX CATENATE (URL "/INBOX/;UID=1")\r\n'
        )
        assert uids(await endings(client, [b"a", b"b"])) == [1, 2]
