"""The session: time limits, TLS, slow readers, news, and what is left when it is over."""

from dataclasses import dataclass, replace

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from protocols.imap import ImapDoor
from protocols.imap.core import LiteralRoom
from protocols.imap.ops.fetch import PORTION_BYTES
from protocols.imap.session import AUTOLOGOUT_S, LOGIN_FAILURES_MAX, TOGETHER_S
from protocols.ports import Blobs
from protocols.serve import COMMAND_S, UNAUTHENTICATED_S
from storage.ids import BlobId
from tests.fakes import make_house
from tests.protocols.imap.stage import ALICE, SECRET, Client, mail, open_stage
from tests.tls import Authority


async def test_a_stranger_who_says_nothing_is_sent_away(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        client = stage.connect()
        await client.line()
        started = trio.current_time()
        data = await client.stream.receive_some()
        assert data.startswith(b"* BYE Autologout")
        assert trio.current_time() - started == pytest.approx(UNAUTHENTICATED_S)


async def test_who_is_known_may_be_silent_for_half_an_hour(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        client = stage.connect()
        await client.login()
        started = trio.current_time()
        data = await client.stream.receive_some()
        assert data.startswith(b"* BYE Autologout")
        assert trio.current_time() - started == pytest.approx(AUTOLOGOUT_S)
        assert AUTOLOGOUT_S > 30 * 60  # RFC 9051 5.4


async def test_a_command_that_never_ends_does_end(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        client = stage.connect()
        await client.login()
        started = trio.current_time()
        for _ in range(100):
            try:
                await client.send(b"x")
            except trio.BrokenResourceError:
                break
            await trio.sleep(COMMAND_S / 20)
        assert trio.current_time() - started < 2 * COMMAND_S + 5


async def test_idle_tells_between_sends_and_ends_when_asked() -> None:
    async with open_stage() as stage:
        client = await stage.reader()
        await client.say(b"a IDLE")
        assert await client.line() == b"+ idling"
        for number in range(1, 6):
            stage.deliver(mail(f"n {number}"))
            assert await client.line() == b"* %d EXISTS" % number
        await client.say(b"DONE")
        assert await client.line() == b"a OK IDLE completed"


async def test_done_sent_at_once_with_idle_is_heard() -> None:
    async with open_stage() as stage:
        client = await stage.reader()
        await client.send(b"a IDLE\r\nDONE\r\nb NOOP\r\n")
        assert [await client.line() for _ in range(3)] == [
            b"+ idling",
            b"a OK IDLE completed",
            b"b OK NOOP completed",
        ]


async def test_an_idle_connection_that_breaks_leaves_nothing_behind() -> None:
    async with open_stage() as stage:
        client = await stage.reader()
        await client.say(b"a IDLE")
        await client.line()
        await client.stream.aclose()
        await wait_all_tasks_blocked()
        stage.deliver(mail("nobody listens"))
        await wait_all_tasks_blocked()


async def test_a_literal_half_sent_gives_its_room_back() -> None:
    async with open_stage() as stage:
        room = stage.door.shared.room
        before = room.free
        client = stage.connect()
        await client.login()
        await client.send(b"a APPEND INBOX {1000}\r\nabc")
        assert await client.line() == b"+ Ready"
        assert room.free == before - 1000
        await client.stream.aclose()
        await wait_all_tasks_blocked()
        assert room.free == before


async def test_a_large_message_comes_back_as_it_was() -> None:
    body = "".join(f"line {number}\r\n" for number in range(200_000))
    message = mail("large", body)
    async with open_stage() as stage:
        client = await stage.reader()
        await client.send(b"a APPEND INBOX {%d+}\r\n%b\r\n" % (len(message), message))
        assert await client.line() == b"* 1 EXISTS"
        assert (await client.line()).startswith(b"a OK [APPENDUID")
        await client.say(b"b FETCH 1 BODY.PEEK[]")
        assert await client.line() == b"* 1 FETCH (BODY[] {%d}" % len(message)
        assert await client.take(len(message)) == message
        assert await client.line() == b")"
        await client.line()
        assert stage.door.shared.room.free == LiteralRoom().free


async def test_a_reader_that_does_not_read_holds_up_itself_and_a_bounded_amount() -> None:
    async with open_stage() as stage:
        for number in range(100):
            stage.deliver(mail(f"n {number}", "x" * 40_000))
        blobs = CountedBlobs(stage.house.ports.blobs)
        stage.door.ports = replace(stage.house.ports, blobs=blobs)
        slow = await stage.reader(lockstep=True)
        await slow.say(b"a FETCH 1:* BODY.PEEK[]")  # and reads nothing
        await wait_all_tasks_blocked()
        assert blobs.octets <= PORTION_BYTES
        other = await stage.reader()
        assert (await other.ask(b"FETCH 40 UID"))[-1] == b"t OK FETCH completed"


@dataclass
class CountedBlobs:
    """Counts what is read."""

    blobs: Blobs
    octets: int = 0

    def size(self, blob: BlobId) -> int | None:
        return self.blobs.size(blob)

    def read(self, blob: BlobId, start: int, length: int) -> bytes:
        self.octets += length
        return self.blobs.read(blob, start, length)


async def test_what_is_pipelined_is_answered_in_order_and_leaves_together() -> None:
    async with open_stage() as stage:
        stage.deliver(mail("one"))
        client = await stage.reader()
        await client.send(b"a NOOP\r\nb FETCH 1 UID\r\nc FROB\r\nd NOOP\r\n")
        data = b""
        while b"d OK" not in data:
            piece = bytes(await client.stream.receive_some())
            data += piece
        assert data == (
            b"a OK NOOP completed\r\n* 1 FETCH (UID 1)\r\nb OK FETCH completed\r\n"
            b"c BAD unknown command\r\nd OK NOOP completed\r\n"
        )


async def test_what_takes_long_is_answered_before_the_next_is_done() -> None:
    async with open_stage() as stage:
        client, house = await stage.reader(), stage.house
        house.stall()
        first = house.gate
        append = b" APPEND Sent {4+}\r\nx: y\r\n"
        await client.send(b"a" + append + b"b" + append)
        await wait_all_tasks_blocked()
        house.clock.pass_s(2 * TOGETHER_S)
        house.stall()  # the second one is held back for as long as it likes
        first.set()
        assert (await client.line()).startswith(b"a OK [APPENDUID ")
        house.release()
        assert (await client.line()).startswith(b"b OK [APPENDUID ")


async def test_a_node_that_stops_says_so() -> None:
    house = make_house({ALICE: SECRET})
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ImapDoor(house.ports).converse, theirs, "127.0.0.1", False)
        client = Client(ours)
        await client.line()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            assert (await client.line()).startswith(b"* BYE [UNAVAILABLE]")
            await ours.aclose()


async def test_auth_that_is_busy_says_so() -> None:
    async with open_stage() as stage:
        stage.house.auth.busy = True
        client = stage.connect()
        await client.line()
        ending = await client.ask(b"LOGIN alice@example.org secret")
        assert ending == [b"t NO [LIMIT] Too many attempts; try again later"]
        assert LOGIN_FAILURES_MAX > 1


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Who our certificates are from."""
    return Authority()


async def test_starttls_lets_passwords_through_and_forgets_what_came_before(
    authority: Authority,
) -> None:
    server, trusting = authority.server(), authority.client()
    house = make_house({ALICE: SECRET})
    door = ImapDoor(house.ports, tls=server)
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(door.converse, theirs, "192.0.2.1", False)
        client = Client(ours)
        greeting = await client.line()
        assert b" STARTTLS " in greeting and b" LOGINDISABLED " in greeting
        assert (await client.ask(b"LOGIN alice@example.org secret"))[0].startswith(
            b"t NO [PRIVACYREQUIRED]"
        )
        # the second command is an injection (RFC 9051 11.1): it must never be answered
        await client.send(b"a STARTTLS\r\nb CAPABILITY\r\n")
        assert await client.line() == b"a OK Begin TLS negotiation"
        secure = trio.SSLStream(ours, trusting, server_hostname="mail.example.org")
        await secure.do_handshake()
        inside = Client(secure)
        capability = await inside.ask(b"CAPABILITY", b"c")
        assert b"AUTH=PLAIN" in capability[0] and b"STARTTLS" not in capability[0]
        assert (await inside.ask(b"STARTTLS", b"d"))[0].startswith(b"d BAD")
        assert (await inside.ask(b"LOGIN alice@example.org secret", b"e"))[0].startswith(b"e OK")
        await ours.aclose()


async def test_who_rests_hears_at_once_that_the_server_stops(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        silent, idling = await stage.reader(), await stage.reader()
        await idling.say(b"a IDLE")
        assert await idling.line() == b"+ idling"
        began = trio.current_time()
        stage.door.hours.close()
        for client in (silent, idling):
            assert (await client.line()).startswith(b"* BYE [UNAVAILABLE]")
            with pytest.raises(EOFError):
                await client.line()
        assert trio.current_time() == began
