"""What the doors tell of where they are, and that what the file limits is what a client meets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import memory_stream_pair

from node import config
from node.config import Config, NodeSection
from node.doors import imap_door, jmap_limits, lmtp_door, named_url
from node.listeners import Converse
from tests.fakes import make_house

ALICE = "alice@example.org"
FILE = """
[cluster]
name = "one"
[[node]]
name = "n1"
host = "127.0.0.1"
peer = 17911
"""
ABROAD = "192.0.2.7"
REPLY_S = 10.0


def test_the_service_is_named_with_the_port_it_is_reached_at() -> None:
    def named(https: int | None) -> str | None:
        return named_url("mail.example.org", NodeSection(name="n1", host="h", peer=1, https=https))

    assert named(8443) == "https://mail.example.org:8443"
    assert named(443) == "https://mail.example.org"
    assert named(None) == "https://mail.example.org"  # TLS ends at a proxy


def test_a_service_without_a_name_is_none() -> None:
    assert named_url("", NodeSection(name="n1", host="h", peer=1, https=8443)) is None


def written(more: str) -> Config:
    """What a file says that has this too."""
    return config.parse(FILE + more, Path("cluster.toml"))


class Client:
    """Somebody at a door."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._held = b""

    async def line(self) -> str:
        with trio.fail_after(REPLY_S):
            while b"\r\n" not in self._held:
                piece = await self._stream.receive_some()
                assert piece, "the door has hung up"
                self._held += piece
        said, _, self._held = self._held.partition(b"\r\n")
        return said.decode()

    async def ask(self, *lines: str) -> str:
        """The last line of the answer to the last of these."""
        said = ""
        for line in lines:
            await self._stream.send_all(line.encode() + b"\r\n")
            tag = line.split()[0] if line[0] == "t" else ""
            said = await self.line()
            while (said[:2] == "* ") if tag else said[3] == "-":
                said = await self.line()
        return said


@asynccontextmanager
async def at(converse: Converse, *, peer: str = "127.0.0.1") -> AsyncIterator[Client]:
    """A connection to a door, its greeting read."""
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(converse, theirs, peer, False)
        client = Client(ours)
        await client.line()
        yield client
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def imap(more: str) -> AsyncIterator[tuple[Client, str]]:
    """A user of the IMAP door, and what it can do for her."""
    door = imap_door(written(more), make_house({ALICE: "secret"}).ports, None)
    async with at(door.converse) as client:
        yield client, await client.ask(f"t LOGIN {ALICE} secret")


@asynccontextmanager
async def lmtp(more: str, *, peer: str = "127.0.0.1") -> AsyncIterator[Client]:
    """An MTA at the LMTP door, which has said LHLO."""
    door = lmtp_door(written(more), make_house({ALICE: "secret"}).ports, None)
    async with at(door.converse, peer=peer) as client:
        assert (await client.ask("LHLO mta.example.net")).startswith("250 ")
        yield client


async def test_message_bytes_bounds_appends_and_is_told() -> None:
    async with imap("[limits]\nmessage-bytes = 2000") as (client, offered):
        assert " APPENDLIMIT=2000]" in offered
        await client._stream.send_all(b"t STATUS INBOX (APPENDLIMIT)\r\n")
        assert await client.line() == "* STATUS INBOX (APPENDLIMIT 2000)"
        await client.line()
        assert (await client.ask("t APPEND INBOX {2001}")).startswith("t NO [TOOBIG]")
        assert (await client.ask("t APPEND INBOX {2000}")).startswith("+ ")


async def test_message_bytes_bounds_deliveries_and_is_told() -> None:
    async with lmtp("[limits]\nmessage-bytes = 2000") as client:
        refused = await client.ask("MAIL FROM:<a@example.net> SIZE=2001")
        assert refused.startswith("552 5.3.4 ")
        taken = await client.ask("MAIL FROM:<a@example.net> SIZE=2000", f"RCPT TO:<{ALICE}>")
        assert taken.startswith("250 ")
        assert (await client.ask("DATA")).startswith("354 ")
        large = "x" * 900
        await client._stream.send_all(f"{large}\r\n{large}\r\n{large}\r\n.\r\n".encode())
        assert (await client.line()).startswith("552 5.3.4 ")
        assert (await client.ask("NOOP")).startswith("250 ")


def test_message_bytes_bounds_uploads_and_submissions() -> None:
    limits = jmap_limits(written("[limits]\nmessage-bytes = 2000"))
    assert (limits.upload_bytes_max, limits.submission_bytes_max) == (2000, 2000)


async def test_max_recipients_bounds_one_message() -> None:
    async with lmtp("[lmtp]\nmax-recipients = 100") as client:
        await client.ask("MAIL FROM:<a@example.net>")
        for number in range(100):
            taken = await client.ask(f"RCPT TO:<alice+{number}@example.org>")
            assert taken.startswith("250 "), number
        refused = await client.ask("RCPT TO:<alice+100@example.org>")
        assert refused == "452 4.5.3 too many recipients, send the rest again"
        assert (await client.ask("DATA")).startswith("354 ")


@pytest.mark.parametrize(
    ("key", "told"), [("message-limit", "MESSAGELIMIT"), ("save-limit", "SAVELIMIT")]
)
async def test_how_many_messages_a_command_works_on_is_told(key: str, told: str) -> None:
    async with imap(f"[imap]\n{key} = 1000") as (_, offered):
        assert f" {told}=1000 " in offered
    async with imap("") as (_, offered):
        assert told not in offered


@pytest.mark.parametrize(
    ("more", "refusal"),
    [
        ("", "450 4.7.1 "),  # it waits at its MTA until the network is named
        (f'[lmtp]\naccounts = ["{ALICE}"]', "530 5.7.0 "),
        ('[lmtp]\ntrusted-networks = ["192.0.2.0/24"]', "250 "),
    ],
)
async def test_who_may_deliver_is_whom_the_file_trusts(more: str, refusal: str) -> None:
    async with lmtp(more, peer=ABROAD) as client:
        assert (await client.ask("MAIL FROM:<a@example.net>")).startswith(refusal)


async def test_who_is_here_is_told_where_the_file_says_so() -> None:
    async with lmtp("") as client:
        assert (await client.ask(f"VRFY {ALICE}")).startswith("252 ")
    async with lmtp("[lmtp]\nverify = true") as client:
        assert await client.ask(f"VRFY {ALICE}") == f"250 2.1.5 <{ALICE}>"
