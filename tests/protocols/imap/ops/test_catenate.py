"""CATENATE at its bounds: the size of what comes of it, and what the door holds meanwhile."""

from collections.abc import AsyncIterator

import pytest

from protocols.imap import ImapDoor
from protocols.imap.core import LiteralRoom
from storage.batch import KIB
from tests.protocols.imap.stage import Client, Stage, mail, open_stage

BODY = 4 * KIB
LETTER = mail("large", "x" * BODY)
SIZE = len(LETTER)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as found:
        found.deliver(LETTER)
        yield found


async def append(client: Client, *parts: str) -> bytes:
    line = f"APPEND Drafts CATENATE ({' '.join(parts)})"
    return (await client.ask(line.encode()))[-1]


def url(partial: str = "") -> str:
    return f'URL "/INBOX/;UID=1{partial}"'


async def test_what_would_be_too_large_is_refused(stage: Stage) -> None:
    stage.door = ImapDoor(stage.house.ports, append_bytes_max=2 * SIZE)
    client = await stage.reader()
    assert (await append(client, url(), url())).startswith(b"t OK")
    assert await append(client, url(), url(), url("/;PARTIAL=0.1")) == (
        b"t NO [TOOBIG] The message is too large"
    )
    assert (await append(client, url(), url(), "TEXT {1+}\r\nx")).startswith(b"t NO [TOOBIG]")
    told = await client.ask(b"STATUS Drafts (MESSAGES)")
    assert told[0] == b"* STATUS Drafts (MESSAGES 1)"


async def test_so_are_several_messages_together(stage: Stage) -> None:
    stage.door = ImapDoor(stage.house.ports, append_bytes_max=2 * SIZE)
    client = await stage.reader()
    line = f"APPEND Drafts CATENATE ({url()}) CATENATE ({url()}) CATENATE ({url()})"
    assert (await client.ask(line.encode()))[-1].startswith(b"t NO [TOOBIG]")


async def test_what_is_read_is_held_from_the_doors_room_until_it_is_written(stage: Stage) -> None:
    room = LiteralRoom(4 * SIZE - 1)
    stage.door = ImapDoor(stage.house.ports, room=room)
    client = await stage.reader()
    # each part, and then the whole
    assert (await append(client, url(), url())).startswith(b"t NO [UNAVAILABLE]")
    assert room.free == 4 * SIZE - 1
    assert (await append(client, url(), url("/;PARTIAL=0.10"))).startswith(b"t OK")
    assert room.free == 4 * SIZE - 1


async def test_a_part_that_cannot_be_read_just_now_is_no_bad_url(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await stage.reader()

    def damaged(*_: object) -> bytes:
        raise KeyError

    monkeypatch.setattr(stage.house.blobs, "read", damaged)
    assert (await append(client, url())).startswith(b"t NO [UNAVAILABLE]")


async def test_the_limit_is_told_as_it_is_kept(stage: Stage) -> None:
    """RFC 7889 3, 4: what CAPABILITY and STATUS say is `[limits] message-bytes`."""
    stage.door = ImapDoor(stage.house.ports, append_bytes_max=2 * SIZE)
    client = await stage.reader()
    said = b" ".join(await client.ask(b"CAPABILITY"))
    assert b" APPENDLIMIT=%d" % (2 * SIZE) in said
    told = await client.ask(b"STATUS INBOX (APPENDLIMIT)")
    assert told[0] == b"* STATUS INBOX (APPENDLIMIT %d)" % (2 * SIZE)
