"""What someone with some rights tries in order to get at more, or to have the door fall over."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import msgspec
import pytest
from trio.testing import wait_all_tasks_blocked

from protocols.imap.core import LiteralRoom
from protocols.imap.ops import fetch
from protocols.imap.selected import Positions
from protocols.ports import Command, Damaged, Reader, Unavailable
from storage.engine import Rows
from storage.ids import AccountId, BlobId
from storage.mail import mailboxes, sharing
from storage.mail.mailbox_rows import plan_rows
from storage.mail.records import Mailbox
from storage.mail.sharing import ALL
from storage.mail.tree import MAILBOX_DEPTH_MAX, OTHER_USERS
from storage.plan import Plan
from storage.view import View
from tests.protocols.imap.ops.test_acl import BOB, THEIRS, bob, share
from tests.protocols.imap.ops.test_copying import FullAfter
from tests.protocols.imap.stage import ALICE, Stage, mail, open_stage

R = TypeVar("R")


@dataclass
class AnswersLost(FullAfter):
    """Every write after so many is done, and nobody is told that it was."""

    async def write(
        self, account: AccountId, command: Command[R], *, blobs: Sequence[bytes] = ()
    ) -> R:
        """As ports.Writer."""
        self.left -= 1
        result = await self.writer.write(account, command, blobs=blobs)
        if self.left < 0:
            raise Unavailable("not in time")
        return result


@dataclass
class SlowReader:
    """A reader whose next barrier waits until something has happened."""

    reader: Reader
    meanwhile: Callable[[], None] | None = None

    async def view(self) -> View:
        """As ports.Reader."""
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            happens()
        return await self.reader.view()

    def local(self) -> View:
        """As ports.Reader."""
        return self.reader.local()


def no_more(stage: Stage) -> None:
    """Bob keeps all rights but that to read."""
    share(stage, "lswite")


@pytest.mark.parametrize(
    "command",
    [
        b"SEARCH ALL",
        b"UID SEARCH RETURN (SAVE) SUBJECT tea",
        b"SORT (SUBJECT) UTF-8 ALL",
        b"THREAD REFERENCES UTF-8 ALL",
        b"FETCH 1:* (FLAGS ENVELOPE) (CHANGEDSINCE 1)",
        b"COPY 1 INBOX",
        b"MOVE 1 INBOX",
        b"COPY 1 " + THEIRS,
    ],
)
async def test_the_right_to_read_may_go_while_a_command_waits_to_read(command: bytes) -> None:
    async with open_stage(people=(ALICE, BOB)) as stage:
        slow = SlowReader(stage.house.reader)
        stage.door.ports = replace(stage.house.ports, reader=slow)
        share(stage, "lrswite")
        stage.deliver(mail("tea"))
        client = await bob(stage)
        slow.meanwhile = lambda: no_more(stage)
        said = await client.ask(command)
        assert said[-1].startswith(b"t NO [NOPERM]"), said
        told = [line for line in said[:-1] if b"EXPUNGE" not in line]
        assert not [line for line in told if b"[HIGHESTMODSEQ" not in line], said
        assert (await client.ask(b"STATUS INBOX (MESSAGES)"))[0].endswith(b"(MESSAGES 0)")


@pytest.mark.parametrize(
    "command", [b"COPY 1 INBOX", b"MOVE 1 INBOX", b"COPY 1 " + THEIRS, b"STORE 1 FLAGS (\\Seen)"]
)
async def test_the_right_to_read_may_go_while_a_command_waits_to_write(command: bytes) -> None:
    async with open_stage(people=(ALICE, BOB)) as stage:
        share(stage, "lrswite")
        stage.deliver(mail("tea"))
        client = await bob(stage)
        stage.house.stall()
        await client.say(b"w " + command)
        await wait_all_tasks_blocked()
        no_more(stage)
        stage.house.release()
        said = [await client.line()]
        while not said[-1].startswith(b"w "):
            said.append(await client.line())
        assert said[-1].startswith(b"w NO [NOPERM]"), said
        assert not [line for line in said[:-1] if b"EXPUNGE" not in line], said
        assert (await client.ask(b"STATUS INBOX (MESSAGES)"))[0].endswith(b"(MESSAGES 0)")


async def test_messages_that_may_be_read_no_more_are_not_fetched_to_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The client takes its time with an answer that is sent in pieces."""
    monkeypatch.setattr(fetch, "SLICE_MESSAGES", 2)
    async with open_stage(people=(ALICE, BOB)) as stage:
        share(stage, "lr")
        stage.fill(6)
        client = await bob(stage)
        real, reads = fetch.windows, 0

        def windows(positions: Iterable[Positions], size: int) -> Iterator[list[Positions]]:
            nonlocal reads
            for window in real(positions, size):
                reads += 1
                if reads == 2:
                    no_more(stage)
                yield window

        monkeypatch.setattr(fetch, "windows", windows)
        said = await client.ask(b"FETCH 1:* FLAGS")
        assert len([line for line in said if b"FETCH (FLAGS" in line]) == 2
        assert said[-1].startswith(b"t NO [EXPUNGEISSUED]")


async def test_bodies_that_may_be_read_no_more_are_not_sent_to_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_stage(people=(ALICE, BOB)) as stage:
        share(stage, "lr")
        for number in range(4):
            stage.deliver(mail(f"number {number}", body="x" * fetch.PORTION_BYTES))
        client = await bob(stage)
        real, told = fetch.portions, 0

        def portions(rows: Iterable[fetch.Row], sections: int) -> Iterator[list[fetch.Row]]:
            nonlocal told
            for portion in real(rows, sections):
                told += 1
                if told == 2:
                    no_more(stage)
                yield portion

        monkeypatch.setattr(fetch, "portions", portions)
        said = await client.ask(b"FETCH 1:* BODY.PEEK[]")
        assert [line for line in said if line.startswith(b"Subject")] == [b"Subject: number 0"]
        assert said[-1].startswith(b"t NO [EXPUNGEISSUED]")


@pytest.mark.parametrize("number", [b"a0", b"a1", b"a01", b"a99999999999999999999999999"])
async def test_numbers_of_accounts_are_no_way_round_their_names(number: bytes) -> None:
    async with open_stage(people=(ALICE, BOB)) as stage:
        share(stage, "lr")
        client = await bob(stage, b"")
        said = await client.ask(b'SELECT "Other Users/' + number + b'/INBOX"')
        assert said[-1].startswith(b"t NO [NONEXISTENT]")


async def test_a_move_across_of_which_the_end_is_not_known_loses_nothing() -> None:
    async with open_stage(people=(ALICE, BOB)) as stage:
        share(stage, "lrte")
        stage.fill(1)
        stage.door.ports = replace(stage.house.ports, writer=AnswersLost(stage.house.writer, 1))
        client = await bob(stage)
        assert (await client.ask(b"MOVE 1 INBOX"))[-1].startswith(b"t NO [UNAVAILABLE]")
        assert (await client.ask(b"STATUS INBOX (MESSAGES)"))[0].endswith(b"(MESSAGES 1)")


async def test_what_is_searched_by_its_name_need_not_be_listed() -> None:
    """RFC 7377 2.2."""
    async with open_stage(people=(ALICE, BOB)) as stage:
        share(stage, "r")
        share(stage, "l", mailbox="Archive")
        stage.deliver(mail("tea"))
        stage.deliver(mail("tea"), mailbox="Archive")
        client = await bob(stage)
        other = THEIRS.replace(b"INBOX", b"inbox")
        archive = THEIRS.replace(b"INBOX", b"Archive")
        for sources in (b"selected", b"mailboxes " + other, b"selected mailboxes (%b)" % THEIRS):
            said = await client.ask(b"ESEARCH IN (" + sources + b") SUBJECT tea")
            assert len(said) == 2 and b" MAILBOX %b " % THEIRS in said[0], (sources, said)
        for sources in (b"personal", b'subtree "Other Users"', b"mailboxes " + archive):
            said = await client.ask(b"ESEARCH IN (" + sources + b") SUBJECT tea")
            assert said == [b"t OK ESEARCH completed"], sources


async def test_the_selected_mailbox_may_go_out_of_reach_while_several_are_searched() -> None:
    async with open_stage(people=(ALICE, BOB)) as stage:
        slow = SlowReader(stage.house.reader)
        stage.door.ports = replace(stage.house.ports, reader=slow)
        share(stage, "lr")
        stage.deliver(mail("tea"))
        client = await bob(stage)
        slow.meanwhile = lambda: setattr(slow, "meanwhile", lambda: no_more(stage))
        said = await client.ask(b"ESEARCH IN (selected personal) SUBJECT tea")
        assert said == [b"* 1 EXPUNGE", b"t OK ESEARCH completed"]


@pytest.mark.parametrize(
    "command",
    [
        b"DELETE %b",
        b"RENAME %b Nowhere",
        b"SETACL %b bob@example.org lr",
        b"APPEND %b {4+}\r\na: b",
    ],
)
async def test_a_name_that_leads_to_somebody_else_meanwhile_is_nobodys(command: bytes) -> None:
    """Mailboxes of two accounts have the same numbers."""
    async with open_stage(people=(ALICE, BOB)) as stage:
        reader, view = stage.house.accounts[BOB], stage.house.view
        share(stage, ALL, mailbox="Archive")
        archive = mailboxes.by_path(view(), stage.alice, ["Archive"])
        assert archive is not None

        def state() -> tuple[object, ...]:
            rows, alice = view(), stage.alice
            shared = sharing.readers(rows, alice, archive.id)
            path, counts = mailboxes.path(rows, alice, archive.id), mailboxes.counts
            return path, counts(rows, alice, archive.id).emails, shared

        before = state()
        twin = mailboxes.get_mailbox(view(), reader, archive.id)
        inbox = mailboxes.by_role(view(), reader, "inbox")
        assert twin is not None and inbox is not None
        client = await bob(stage, b"")
        if command.startswith(b"RENAME"):
            command = b"RENAME %b " + THEIRS.replace(b"INBOX", b"Archive/New")
        stage.house.stall()
        await client.send(b"w " + command % THEIRS.replace(b"INBOX", b"Archive") + b"\r\n")
        await wait_all_tasks_blocked()

        def lead_elsewhere(plan: Plan) -> None:
            # as an older version of the house let him
            above = mailboxes.plan_create(plan, reader, "Old")
            plan_rows(plan, reader, above, msgspec.structs.replace(above, name=OTHER_USERS))
            its = mailboxes.plan_create(plan, reader, ALICE, parent=above.id)
            mailboxes.plan_update(plan, reader, twin.id, parent=its.id, name="Archive")

        stage.house.run(lead_elsewhere)
        stage.house.release()
        assert (await client.line()).startswith((b"w NO [NONEXISTENT]", b"w NO [TRYCREATE]"))
        assert state() == before


async def test_a_message_that_cannot_be_read_just_now_is_not_left_out_of_a_copy_across(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_stage(people=(ALICE, BOB)) as stage:
        share(stage, "lr")
        stage.fill(2)
        client = await bob(stage)

        def damaged(blob: BlobId, offset: int, length: int) -> bytes:
            raise Damaged("damaged here")

        monkeypatch.setattr(stage.house.blobs, "read", damaged)
        assert (await client.ask(b"COPY 1:* INBOX"))[-1].startswith(b"t NO [CORRUPTION]")
        assert stage.door.shared.room.free == LiteralRoom().free


async def test_copies_across_are_held_in_the_doors_room() -> None:
    async with open_stage(people=(ALICE, BOB)) as stage:
        share(stage, "lr")
        stage.fill(1)
        client = await bob(stage)
        free, stage.door.shared.room.free = stage.door.shared.room.free, 1
        assert (await client.ask(b"COPY 1 INBOX"))[-1].startswith(b"t NO [UNAVAILABLE]")
        stage.door.shared.room.free = free
        assert (await client.ask(b"COPY 1 INBOX"))[-1].startswith(b"t OK [COPYUID")
        assert stage.door.shared.room.free == free


async def test_a_name_of_thousands_of_levels_costs_no_more_than_one_that_can_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_stage(people=(ALICE, BOB)) as stage:
        client = await bob(stage, b"")
        real, asked = mailboxes.by_path, 0

        def by_path(rows: Rows, account: AccountId, names: Sequence[str]) -> Mailbox | None:
            nonlocal asked
            asked += 1
            return real(rows, account, names)

        monkeypatch.setattr(mailboxes, "by_path", by_path)
        deep = THEIRS.replace(b"INBOX", b"/".join([b"x"] * 5_000))
        assert (await client.ask(b"CREATE " + deep))[-1].startswith(b"t NO [NOPERM]")
        assert asked <= 2 * (MAILBOX_DEPTH_MAX + 1)


async def test_close_expunges_nothing_when_the_right_to_goes_while_it_waits() -> None:
    async with open_stage(people=(ALICE, BOB)) as stage:
        share(stage, "lrte")
        stage.fill(1, keywords=["$deleted"])
        client = await bob(stage)
        stage.house.stall()
        await client.say(b"w CLOSE")
        await wait_all_tasks_blocked()
        share(stage, "lrt")
        stage.house.release()
        assert await client.line() == b"w OK CLOSE completed"
        said = await client.ask(b"STATUS " + THEIRS + b" (MESSAGES DELETED)")
        assert said[0].endswith(b"(MESSAGES 1 DELETED 1)")
        assert (await client.ask(b"CHECK"))[-1].startswith(b"t BAD")
