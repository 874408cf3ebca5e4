"""COPY, MOVE and EXPUNGE of more than one batch holds, and what goes wrong in the middle."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import pytest
from trio.testing import wait_all_tasks_blocked

from protocols.imap.ops.portions import in_portions
from protocols.ports import Command, ReadOctets, Writer
from storage.ids import AccountId, BlobId
from storage.mail.errors import OverQuota, TooManyEmails
from storage.mail.keywords import plan_store
from storage.mail.ledger import COMMAND_EMAILS_MAX
from storage.mail.mailboxes import by_path
from tests.protocols.imap.stage import Client, open_stage

R = TypeVar("R")
MANY = COMMAND_EMAILS_MAX + 100


async def count(client: Client, mailbox: str) -> int:
    line = (await client.ask(f"STATUS {mailbox} (MESSAGES)".encode()))[0]
    found = re.search(rb"MESSAGES ([0-9]+)", line)
    assert found is not None, line
    return int(found[1])


async def test_a_long_copy_is_one_answer() -> None:
    async with open_stage() as stage:
        stage.fill(MANY)
        client = await stage.reader()
        ending = (await client.ask(b"COPY 1:* Archive"))[-1]
        assert b"COPYUID" in ending and b" 1:%d 1:%d]" % (MANY, MANY) in ending
        assert await count(client, "Archive") == MANY


async def test_a_long_move_leaves_nothing() -> None:
    async with open_stage() as stage:
        stage.fill(MANY)
        client = await stage.reader()
        lines = await client.ask(b"MOVE 1:* Archive")
        assert b"COPYUID" in lines[0]
        assert lines[1:-1] == [b"* 1 EXPUNGE"] * MANY
        assert await count(client, "INBOX") == 0


async def test_a_copy_that_fails_midway_leaves_the_target_as_it_was() -> None:
    async with open_stage() as stage:
        stage.fill(MANY)
        stage.door.ports = replace(stage.house.ports, writer=FullAfter(stage.house.writer, 2))
        client = await stage.reader()  # which writes, too: the messages are \\Recent here
        assert (await client.ask(b"COPY 1:* Archive"))[-1].startswith(b"t NO [OVERQUOTA]")
        assert await count(client, "Archive") == 0


async def test_a_move_that_fails_midway_says_what_it_moved() -> None:
    async with open_stage() as stage:
        stage.fill(MANY)
        stage.door.ports = replace(stage.house.ports, writer=FullAfter(stage.house.writer, 2))
        client = await stage.reader()  # which writes, too: the messages are \\Recent here
        lines = await client.ask(b"MOVE 1:* Archive")
        assert b"COPYUID" in lines[0] and lines[-1].startswith(b"t NO [OVERQUOTA]")
        assert lines[1:-1] == [b"* 1 EXPUNGE"] * COMMAND_EMAILS_MAX


@dataclass
class FullAfter:
    """A writer that has no room for one write, after so many."""

    writer: Writer
    left: int

    async def write(
        self, account: AccountId, command: Command[R], *, blobs: Sequence[bytes] = ()
    ) -> R:
        self.left -= 1
        if self.left == -1:
            raise OverQuota("no room")
        return await self.writer.write(account, command, blobs=blobs)


async def test_expunge_spares_what_lost_its_mark_in_the_meantime() -> None:
    async with open_stage() as stage:
        stage.fill(3, keywords=["$deleted"])
        client = await stage.reader()
        stage.house.stall()
        await client.say(b"a EXPUNGE")
        await wait_all_tasks_blocked()  # it has chosen, and waits to write
        inbox = by_path(stage.house.view(), stage.alice, ["INBOX"])
        assert inbox is not None
        stage.house.run(
            lambda plan: plan_store(plan, stage.alice, inbox.id, [2], remove=["$deleted"])
        )
        stage.house.release()
        lines = [await client.line() for _ in range(4)]
        assert lines == [
            b"* 1 EXPUNGE",
            b"* 2 EXPUNGE",
            b"* 1 FETCH (UID 2 FLAGS ())",
            b"a OK EXPUNGE completed",
        ]


async def test_portions_are_halved_until_they_fit() -> None:
    carried: list[int] = []
    sizes: list[int] = []

    async def carry(portion: Sequence[int]) -> None:
        if len(portion) > 7:
            raise TooManyEmails("too much for one batch")
        carried.extend(portion)
        sizes.append(len(portion))

    await in_portions(range(MANY), carry)
    assert carried == list(range(MANY))
    assert max(sizes) <= 7


async def test_what_a_portion_leaves_comes_before_the_next_portion() -> None:
    carried: list[int] = []

    async def carry(portion: Sequence[int]) -> Sequence[int]:
        carried.extend(portion[:100])
        return portion[100:]

    await in_portions(range(MANY), carry)
    assert carried == list(range(MANY))


async def test_a_copy_of_more_than_a_command_holds_is_never_planned_in_vain() -> None:
    wide = ", ".join(f"reader.{n}@example.net" for n in range(200))
    async with open_stage() as stage:
        for number in range(60):
            stage.deliver(f"To: {wide}\r\nSubject: {number}\r\n\r\n.".encode())
        writer = Refusals(stage.house.writer)
        stage.door.ports = replace(stage.house.ports, writer=writer)
        client = await stage.reader()
        ending = (await client.ask(b"COPY 1:* Archive"))[-1]
        assert b" 1:60 1:60]" in ending
        assert writer.writes > 1 and not writer.refused


@dataclass
class Refusals:
    """A writer that counts what is too much for one command."""

    writer: Writer
    writes: int = 0
    refused: int = 0

    async def write(
        self, account: AccountId, command: Command[R], *, blobs: Sequence[bytes] = ()
    ) -> R:
        self.writes += 1
        try:
            return await self.writer.write(account, command, blobs=blobs)
        except TooManyEmails:
            self.refused += 1
            raise

    async def carry(self, blob: BlobId, octets: int, read: ReadOctets) -> None:
        raise AssertionError("no blob is carried")


async def test_a_single_message_too_large_for_a_batch_is_an_error() -> None:
    async def carry(portion: Sequence[int]) -> None:
        raise TooManyEmails("too much for one batch")

    with pytest.raises(TooManyEmails):
        await in_portions([1, 2], carry)
