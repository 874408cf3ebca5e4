"""Who gets \\Recent, and what SELECT tells of what is unseen (RFC 3501 2.3.2, 6.3.1)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from protocols.imap.ops.selecting import UNSEEN_ROWS
from protocols.ports import Command, R, Unavailable, Writer
from storage.engine import prefix_end
from storage.ids import AccountId
from storage.keys import account_prefix
from storage.mail import mailboxes
from storage.mail.recent import first_recent
from tests.protocols.imap.stage import Client, Stage, mail, open_stage


async def rev1(stage: Stage, verb: bytes = b"SELECT") -> tuple[Client, list[bytes]]:
    """A client that has selected INBOX and hears what IMAP4rev1 tells, and what it heard."""
    client = stage.connect()
    client.hears_recent = True
    await client.login()
    return client, await client.ask(verb + b" INBOX")


def taken(stage: Stage) -> int:
    """Where the mark of the inbox stands."""
    view = stage.house.view()
    inbox = mailboxes.by_path(view, stage.alice, ["INBOX"])
    assert inbox is not None
    return first_recent(view, stage.alice, inbox.id)


async def test_of_many_sessions_one_alone_sees_a_message_recent() -> None:
    async with open_stage() as stage:
        clients = [(await rev1(stage))[0] for _ in range(5)]
        for number in range(10):
            stage.deliver(mail(f"number {number}"))
            order = [clients[(number + at) % 5] for at in range(5)]
            for client in order:
                await client.ask(b"NOOP")
        found = [(await client.ask(b"SEARCH RECENT"))[0] for client in clients]
        numbers = sorted(int(one) for line in found for one in line.split()[2:])
        assert numbers == list(range(1, 11))
        assert len(set(found)) == 5


async def test_without_a_majority_a_message_is_recent_for_all_who_see_it() -> None:
    async with open_stage() as stage:
        stage.deliver(mail("first"))
        stage.door.ports = replace(stage.house.ports, writer=Mute(stage.house.writer))
        for _ in range(2):
            _, lines = await rev1(stage)
            assert b"* 1 RECENT" in lines
        assert taken(stage) == 1


async def test_who_only_looks_leaves_what_is_new_to_the_next() -> None:
    async with open_stage() as stage:
        looker, _ = await rev1(stage, b"EXAMINE")
        stage.deliver(mail("first"))
        assert (await looker.ask(b"NOOP"))[:2] == [b"* 1 EXISTS", b"* 1 RECENT"]
        assert taken(stage) == 1
        taker, lines = await rev1(stage)
        assert b"* 1 RECENT" in lines and taken(stage) == 2
        stage.deliver(mail("second"))
        assert b"* 2 RECENT" in await taker.ask(b"NOOP")
        assert await looker.ask(b"NOOP") == [b"* 2 EXISTS", b"t OK NOOP completed"]


async def test_nothing_is_written_where_nothing_is_new() -> None:
    async with open_stage() as stage:
        stage.deliver(mail("first"))
        await rev1(stage)
        counted = Mute(stage.house.writer)
        stage.door.ports = replace(stage.house.ports, writer=counted)
        client, lines = await rev1(stage)
        await client.ask(b"NOOP")
        assert b"* 0 RECENT" in lines and counted.asked == 0


async def test_ones_own_message_is_taken_with_the_write_that_adds_it() -> None:
    async with open_stage() as stage:
        client, _ = await rev1(stage)
        stage.deliver(mail("another's"))
        before = stage.house.writer.writes
        octets = mail("mine")
        await client.send(b"t APPEND INBOX {%d+}\r\n%b\r\n" % (len(octets), octets))
        told = [await client.line() for _ in range(3)]
        assert told[:2] == [b"* 2 EXISTS", b"* 2 RECENT"]
        assert stage.house.writer.writes - before == 1
        assert taken(stage) == 3


async def test_the_mark_goes_with_the_mailbox() -> None:
    async with open_stage() as stage:
        stage.deliver(mail("first"), mailbox="Junk")
        client = await stage.reader("Junk")
        assert _marks(stage) == 1
        assert (await client.ask(b"CREATE Other"))[-1].startswith(b"t OK")
        stage.deliver(mail("second"), mailbox="Other")
        await client.select("Other")
        assert _marks(stage) == 2
        await client.ask(b"UNSELECT")
        assert (await client.ask(b"DELETE Other"))[-1].startswith(b"t OK")
        assert _marks(stage) == 1


async def test_the_first_unseen_is_found_from_either_end() -> None:
    async with open_stage() as stage:
        stage.fill(2 * UNSEEN_ROWS, keywords=["$seen"])
        _, lines = await rev1(stage)
        assert not any(b"UNSEEN" in line for line in lines)  # there is none
        stage.deliver(mail("new"))
        stage.deliver(mail("newer"))
        client, lines = await rev1(stage)
        assert b"* OK [UNSEEN %d] First unseen" % (2 * UNSEEN_ROWS + 1) in lines
        await client.ask(b"STORE %d -FLAGS.SILENT (\\Seen)" % UNSEEN_ROWS)
        _, lines = await rev1(stage)
        assert b"* OK [UNSEEN %d] First unseen" % UNSEEN_ROWS in lines


async def test_a_first_unseen_in_the_middle_of_a_large_mailbox_is_not_looked_for() -> None:
    async with open_stage() as stage:
        stage.fill(2 * UNSEEN_ROWS + 1, keywords=["$seen"])
        client, _ = await rev1(stage)
        await client.ask(b"STORE %d -FLAGS.SILENT (\\Seen)" % (UNSEEN_ROWS + 1))
        _, lines = await rev1(stage)
        assert not any(b"UNSEEN" in line for line in lines)


def _marks(stage: Stage) -> int:
    """How many marks there are, of whatever mailbox."""
    prefix = account_prefix(stage.alice) + b"N"
    return len(stage.house.view().scan_keys(prefix, prefix_end(prefix)))


@dataclass
class Mute:
    """A writer that reaches nobody."""

    writer: Writer
    asked: int = 0

    async def write(
        self, account: AccountId, command: Command[R], *, blobs: Sequence[bytes] = ()
    ) -> R:
        self.asked += 1
        raise Unavailable("no majority")

    async def carry(self, *args: object) -> None:
        raise Unavailable("no majority")
