"""COMPRESS over whole connections: with TLS and without, bombs, garbage, and its end."""

import zlib

import trio
from trio.testing import MockClock, memory_stream_pair

from protocols.imap import ImapDoor
from protocols.serve import UNAUTHENTICATED_S
from tests.fakes import make_house
from tests.protocols.imap.stage import ALICE, SECRET, Client, mail, open_stage
from tests.tls import Authority


def squeeze(data: bytes, flush: int = zlib.Z_SYNC_FLUSH) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush(flush)


async def compress(client: Client) -> None:
    assert (await client.ask(b"COMPRESS DEFLATE"))[-1].startswith(b"t OK")
    client.deflate()


async def test_a_large_message_is_appended_and_fetched_through_deflate() -> None:
    message = mail("large", "".join(f"line {number}\r\n" for number in range(50_000)))
    async with open_stage() as stage:
        client = stage.connect()
        await client.login()
        await compress(client)
        await client.send(b"a APPEND INBOX {%d+}\r\n%b\r\n" % (len(message), message))
        assert (await client.line()).startswith(b"a OK")
        await client.select()
        await client.say(b"b FETCH 1 BODY.PEEK[]")
        assert (await client.line()).endswith(b"{%d}" % len(message))
        assert await client.take(len(message)) == message


async def test_deflate_is_inside_of_tls() -> None:
    authority = Authority()
    server, trusting = authority.server(), authority.client()
    door = ImapDoor(make_house({ALICE: SECRET}).ports, tls=server)
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(door.converse, theirs, "192.0.2.1", False)
        outside = Client(ours)
        await outside.line()
        await outside.say(b"a STARTTLS")
        assert (await outside.line()).startswith(b"a OK")
        secure = trio.SSLStream(ours, trusting, server_hostname="mail.example.org")
        await secure.do_handshake()
        client = Client(secure)
        assert (await client.ask(b"LOGIN alice@example.org secret"))[0].startswith(b"t OK")
        await compress(client)
        assert (await client.ask(b"NOOP")) == [b"t OK NOOP completed"]
        await compress_ends(client)
        assert (await client.ask(b"LOGIN alice@example.org secret"))[0].startswith(b"t OK")
        await ours.aclose()


async def compress_ends(client: Client) -> None:
    assert (await client.ask(b"UNAUTHENTICATE"))[-1].startswith(b"t OK")
    client.undeflate()


async def test_what_follows_compress_at_once_is_not_taken_for_deflate() -> None:
    async with open_stage() as stage:
        client = stage.connect()
        await client.login()
        await client.send(b"a COMPRESS DEFLATE\r\nb NOOP\r\n")
        assert (await client.line()).startswith(b"a BAD Nothing may follow")
        assert await client.line() == b"b OK NOOP completed"


async def test_a_bomb_is_a_line_too_long_and_no_more() -> None:
    async with open_stage() as stage:
        client = stage.connect()
        await client.login()
        await compress(client)
        await client.stream.send_all(squeeze(b"a NOOP " + bytes(50_000_000)))
        assert (await client.line()).startswith(b"* BYE line too long")


async def test_what_is_not_deflate_ends_the_connection_with_a_word() -> None:
    async with open_stage() as stage:
        client = stage.connect()
        await client.login()
        await compress(client)
        await client.stream.send_all(b"a NOOP\r\n" * 3)
        assert await client.line() == b"* BYE not DEFLATE"


async def test_a_client_that_ends_its_stream_may_log_in_again_at_once() -> None:
    async with open_stage() as stage:
        client = stage.connect()
        await client.login()
        await compress(client)
        farewell = squeeze(b"a UNAUTHENTICATE\r\n", zlib.Z_FINISH)
        await client.stream.send_all(farewell + b"b LOGIN alice@example.org secret\r\n")
        assert (await client.line()).startswith(b"a OK")
        client.undeflate()
        assert (await client.line()).startswith(b"b OK")


async def test_what_is_compressed_after_unauthenticate_ends_the_connection() -> None:
    async with open_stage() as stage:
        client = stage.connect()
        await client.login()
        await compress(client)
        await client.stream.send_all(squeeze(b"a UNAUTHENTICATE\r\nb NOOP\r\n"))
        assert (await client.line()).startswith(b"* BYE Compressed octets")


async def test_who_is_a_stranger_again_has_a_minute_again(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        client = stage.connect()
        await client.login()
        await trio.sleep(2 * UNAUTHENTICATED_S)
        assert (await client.ask(b"UNAUTHENTICATE"))[-1].startswith(b"t OK")
        with trio.fail_after(2 * UNAUTHENTICATED_S):
            assert await client.stream.receive_some() == b"* BYE Autologout: waited too long\r\n"
