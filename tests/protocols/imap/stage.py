"""The stage for IMAP tests: a house in memory, the door, and clients that speak lines to it."""

import re
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import trio
from trio.testing import lockstep_stream_pair, memory_stream_pair

from protocols.delivery import prepare
from protocols.imap import ImapDoor
from storage.ids import AccountId
from storage.mail import mailboxes
from storage.mail.ingest import plan_ingest
from storage.mail.records import IngestedEmail, NewEmail
from storage.plan import Plan
from tests.fakes import FakeHouse, make_house
from tests.protocols.imap.grammar import Heard

ALICE: Final = "alice@example.org"
SECRET: Final = "secret"
REPLY_S: Final = 10.0
FILL_BATCH: Final = 100
_OLD_LINE: Final = re.compile(rb"\* (?:[0-9]+ RECENT|OK \[UNSEEN [0-9]+\].*)")
_OLD_FLAG: Final = re.compile(rb"(FLAGS \()\\Recent ?")


def as_rev2(line: bytes) -> bytes | None:
    """A line as IMAP4rev2 has it, without \\Recent; None: only IMAP4rev1 has it at all."""
    return None if _OLD_LINE.fullmatch(line) else _OLD_FLAG.sub(rb"\1", line)


class Client:
    """The other end of a connection."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.hears_recent = False
        """Passed over where nothing else is said: what only IMAP4rev1 tells, \\Recent, RECENT and
        UNSEEN (RFC 3501 2.3.2, 7.3.2, 7.1). So a test reads alike for both revisions."""
        self._held = bytearray()
        self._heard = Heard()
        self._deflater: zlib._Compress | None = None
        self._inflater: zlib._Decompress | None = None

    def deflate(self) -> None:
        """Compress from now on, and expect the server to (RFC 4978)."""
        assert not self._held
        self._deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)

    def undeflate(self) -> None:
        """Both sides have stopped compressing (RFC 8437 4.1)."""
        self._deflater = self._inflater = None

    async def say(self, line: bytes) -> None:
        """Send one line."""
        await self.send(line + b"\r\n")

    async def send(self, octets: bytes) -> None:
        """Send as it is."""
        if self._deflater is not None:
            octets = self._deflater.compress(octets) + self._deflater.flush(zlib.Z_SYNC_FLUSH)
        await self.stream.send_all(octets)

    async def line(self) -> bytes:
        """The next line without its CRLF; EOFError when the server has closed."""
        while True:
            line = await self._line()
            told = line if self.hears_recent else as_rev2(line)
            if told is not None:
                return told

    async def _line(self) -> bytes:
        with trio.fail_after(REPLY_S):
            while (end := self._held.find(b"\n")) < 0:
                await self._more()
        found = bytes(self._held[:end]).removesuffix(b"\r")
        del self._held[: end + 1]
        return found

    async def take(self, count: int) -> bytes:
        """Exactly so many octets: a literal."""
        with trio.fail_after(REPLY_S):
            while len(self._held) < count:
                await self._more()
        found = bytes(self._held[:count])
        del self._held[:count]
        return found

    async def _more(self) -> None:
        data = await self.stream.receive_some()
        if not data:
            raise EOFError
        if self._inflater is not None:
            data = self._inflater.decompress(data)
        self._heard.feed(data)
        self._held += data

    async def ask(self, command: bytes, tag: bytes = b"t") -> list[bytes]:
        """Send a command without literals; all lines up to and with its ending."""
        await self.say(tag + b" " + command)
        lines = [await self.line()]
        while not lines[-1].startswith(tag + b" "):
            lines.append(await self.line())
        return lines

    async def login(self, address: str = ALICE, password: str = SECRET) -> None:
        """Read the greeting and log in."""
        assert (await self.line()).startswith(b"* OK")
        ending = (await self.ask(f"LOGIN {address} {password}".encode()))[-1]
        assert ending.startswith(b"t OK"), ending

    async def select(self, mailbox: str = "INBOX") -> list[bytes]:
        """Select a mailbox; what the server said."""
        lines = await self.ask(f"SELECT {mailbox}".encode())
        assert lines[-1].startswith(b"t OK"), lines
        return lines


class Stage:
    """A house with an IMAP door in front."""

    def __init__(self, nursery: trio.Nursery, *, people: Sequence[str] = (ALICE,)) -> None:
        self._nursery = nursery
        self._clients: list[Client] = []
        self.house: FakeHouse = make_house(dict.fromkeys(people, SECRET))
        self.door = ImapDoor(self.house.ports)

    @property
    def alice(self) -> AccountId:
        """Whose mail most tests are about."""
        return self.house.accounts[ALICE]

    def connect(self, *, peer_ip: str = "127.0.0.1", lockstep: bool = False) -> Client:
        """A new connection; `lockstep`: nothing is on its way, a send waits for its reader."""
        ours, theirs = lockstep_stream_pair() if lockstep else memory_stream_pair()
        self._nursery.start_soon(self.door.converse, theirs, peer_ip, False)
        self._clients.append(Client(ours))
        return self._clients[-1]

    async def leave(self) -> None:
        """All clients hang up, so that the door need not wait for them."""
        for client in self._clients:
            await client.stream.aclose()

    async def reader(self, mailbox: str = "INBOX", *, lockstep: bool = False) -> Client:
        """A client that has logged in and selected."""
        client = self.connect(lockstep=lockstep)
        await client.login()
        await client.select(mailbox)
        return client

    def deliver(
        self, message: bytes, *, mailbox: str = "INBOX", keywords: Sequence[str] = ()
    ) -> IngestedEmail:
        """Another door adds a message."""
        house = self.house
        email = prepare(message, received_ms=house.clock.now_ms())

        def command(plan: Plan) -> IngestedEmail:
            found = mailboxes.by_path(plan, self.alice, mailbox.split("/"))
            assert found is not None, mailbox
            return plan_ingest(plan, self.alice, email, mailboxes=[found.id], keywords=keywords)

        return house.run(command, blobs=[message])

    def fill(self, count: int, *, mailbox: str = "INBOX", keywords: Sequence[str] = ()) -> None:
        """Many messages at once, all alike but for their subjects."""
        house = self.house
        messages = [mail(f"number {number}") for number in range(count)]
        emails = [prepare(message, received_ms=house.clock.now_ms()) for message in messages]
        found = mailboxes.by_path(house.view(), self.alice, mailbox.split("/"))
        assert found is not None, mailbox
        for start in range(0, count, FILL_BATCH):
            portion = emails[start : start + FILL_BATCH]

            def command(plan: Plan, portion: Sequence[NewEmail] = portion) -> None:
                for email in portion:
                    plan_ingest(plan, self.alice, email, mailboxes=[found.id], keywords=keywords)

            house.run(command, blobs=messages[start : start + FILL_BATCH])


def mail(subject: str, body: str = "Hello.\r\n", sender: str = "bob@example.net") -> bytes:
    """A small message."""
    message_id = subject.replace(" ", ".") + "@example.net"
    return (
        f"From: Bob <{sender}>\r\nTo: {ALICE}\r\nSubject: {subject}\r\n"
        f"Date: Sun, 1 Nov 2026 10:00:00 +0100\r\nMessage-ID: <{message_id}>\r\n"
        f"\r\n{body}"
    ).encode()


@asynccontextmanager
async def open_stage(*, people: Sequence[str] = (ALICE,)) -> AsyncIterator[Stage]:
    """A stage whose connections end with the block."""
    async with trio.open_nursery() as nursery:
        stage = Stage(nursery, people=people)
        yield stage
        await stage.leave()
        nursery.cancel_scope.cancel()
