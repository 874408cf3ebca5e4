"""INPROGRESS (RFC 9585) and JMAPACCESS (RFC 9698): what a client is told besides its mail."""

import pytest
import trio
from trio.testing import memory_stream_pair

from protocols.imap import ImapDoor
from protocols.imap.ops.context import PROGRESS_S
from tests.fakes import make_house
from tests.protocols.imap.stage import ALICE, SECRET, Client, Stage, open_stage


def slow(stage: Stage, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Whenever the clock is looked at, so much time has passed."""
    clock = stage.house.clock

    def monotonic_s() -> float:
        clock.passed_s += seconds
        return clock.passed_s

    monkeypatch.setattr(clock, "monotonic_s", monotonic_s)


async def test_a_search_that_takes_long_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_stage() as stage:
        stage.fill(300)
        client = await stage.reader()
        assert len(await client.ask(b"SEARCH RETURN (COUNT) SEEN", b"a")) == 2
        slow(stage, monkeypatch, PROGRESS_S + 1)
        lines = await client.ask(b"SEARCH RETURN (COUNT) SEEN", b"b")
        said = [line for line in lines if b"INPROGRESS" in line]
        assert said[0] == b'* OK [INPROGRESS ("b" 256 300)] Done with 256 of 300 messages'
        assert lines[-1].startswith(b"b OK")


async def test_an_expunge_and_a_copy_tell_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_stage() as stage:
        stage.fill(3, keywords=["$deleted"])
        client = await stage.reader()
        slow(stage, monkeypatch, PROGRESS_S + 1)
        lines = await client.ask(b"COPY 1:3 Archive", b"a")
        assert b'* OK [INPROGRESS ("a" 3 3)] Done with 3 of 3 messages' in lines
        lines = await client.ask(b"EXPUNGE", b"b")
        assert b'* OK [INPROGRESS ("b" 3 3)] Done with 3 of 3 messages' in lines


async def test_where_jmap_is_known_who_has_logged_in_hears_it() -> None:
    url = "https://mail.example.org/.well-known/jmap"
    door = ImapDoor(make_house({ALICE: SECRET}).ports, jmap_url=url)
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(door.converse, theirs, "127.0.0.1", False)
        client = Client(ours)
        assert b"JMAPACCESS" not in await client.line()
        assert b" JMAPACCESS " in (await client.ask(b"LOGIN alice@example.org secret"))[0]
        lines = await client.ask(b"GETJMAPACCESS", b"a")
        assert lines == [
            b'* JMAPACCESS "https://mail.example.org/.well-known/jmap"',
            b"a OK GETJMAPACCESS completed",
        ]
        await ours.aclose()


async def test_where_it_is_not_it_is_not_said() -> None:
    async with open_stage() as stage:
        client = stage.connect()
        await client.login()
        assert b"JMAPACCESS" not in (await client.ask(b"CAPABILITY"))[0]
        assert (await client.ask(b"GETJMAPACCESS"))[0].startswith(b"t NO [CANNOT]")
