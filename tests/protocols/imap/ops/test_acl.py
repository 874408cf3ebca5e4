"""Shared mailboxes between two who use them at once, and what goes wrong in the middle."""

from dataclasses import replace

import msgspec
import pytest
from trio.testing import wait_all_tasks_blocked

from protocols.imap.ops import copying
from storage.mail import mailboxes, sharing
from storage.mail.mailbox_rows import plan_rows
from storage.mail.quota import plan_limit
from storage.mail.sharing import ALL, ANYONE, plan_rights
from storage.mail.tree import OTHER_USERS
from tests.protocols.imap.ops.test_copying import FullAfter
from tests.protocols.imap.stage import ALICE, Client, Stage, mail, open_stage

BOB = "bob@example.org"
THEIRS = b'"Other Users/alice@example.org/INBOX"'


def share(stage: Stage, letters: str, *, mailbox: str = "INBOX", reader: str = BOB) -> None:
    """Alice gives rights to somebody."""
    found = mailboxes.by_path(stage.house.view(), stage.alice, mailbox.split("/"))
    assert found is not None
    account = ANYONE if reader == "anyone" else stage.house.accounts[reader]
    stage.house.run(lambda plan: plan_rights(plan, stage.alice, found.id, account, letters))


async def bob(stage: Stage, mailbox: bytes = THEIRS) -> Client:
    """Bob, with a mailbox selected."""
    client = stage.connect()
    await client.login(BOB)
    if mailbox:
        assert (await client.ask(b"SELECT " + mailbox))[-1].startswith(b"t OK")
    return client


async def test_who_idles_in_anothers_mailbox_hears_of_its_news_and_of_its_end() -> None:
    async with open_stage(people=(ALICE, BOB)) as stage:
        share(stage, "lr")
        client = await bob(stage)
        await client.say(b"i IDLE")
        assert await client.line() == b"+ idling"
        stage.deliver(mail("tea"))
        assert await client.line() == b"* 1 EXISTS"
        share(stage, "lrs")
        assert await client.line() == b"* OK [PERMANENTFLAGS ()] Flags that stay now"
        share(stage, "l")
        assert await client.line() == b"* 1 EXPUNGE"
        await client.say(b"DONE")
        assert (await client.line()).startswith(b"i OK")
        share(stage, "lr")  # come back, it is as another mailbox until it is selected anew
        assert len(await client.ask(b"NOOP")) == 1
        assert b"* 1 EXISTS" in await client.ask(b"SELECT " + THEIRS)


async def test_what_two_do_in_one_mailbox_each_sees() -> None:
    async with open_stage(people=(ALICE, BOB)) as stage:
        share(stage, "lrswite")
        stage.fill(3)
        alice, reader = await stage.reader(), await bob(stage)
        await alice.ask(b"STORE 2 +FLAGS (\\Flagged)")
        assert b"* 2 FETCH (UID 2 FLAGS (\\Flagged))" in await reader.ask(b"NOOP")
        await reader.ask(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
        await reader.ask(b"EXPUNGE")
        assert b"* 1 EXPUNGE" in await alice.ask(b"NOOP")


async def test_reading_marks_seen_only_with_the_right_to() -> None:
    async with open_stage(people=(ALICE, BOB)) as stage:
        share(stage, "lrw")
        stage.fill(1)
        client = await bob(stage)
        lines = await client.ask(b"FETCH 1 BODY[TEXT]")
        assert not any(b"\\Seen" in line for line in lines)
        share(stage, "lrs")
        await client.ask(b"NOOP")
        lines = await client.ask(b"FETCH 1 BODY[TEXT]")
        assert any(b"\\Seen" in line for line in lines)


async def test_a_right_is_given_before_the_next_command_is_looked_at() -> None:
    # RFC 4314 5.1.1, RFC 9051 5.5: pipelined, each sees what the one before has done
    async with open_stage(people=(ALICE, BOB)) as stage:
        client = stage.connect()
        await client.login()
        await client.send(
            b"a SETACL INBOX bob@example.org l\r\nb GETACL INBOX\r\n"
            b"c SETACL INBOX bob@example.org +r\r\nd GETACL INBOX\r\n"
        )
        told = [await client.line() for _ in range(6)]
        assert [line.rpartition(b" ")[2] for line in told if line.startswith(b"*")] == [b"l", b"lr"]


async def test_anyone_is_everyone_who_logs_in() -> None:
    async with open_stage(people=(ALICE, BOB)) as stage:
        share(stage, "lr", reader="anyone")
        client = await bob(stage)
        lines = await client.ask(b"MYRIGHTS " + THEIRS)
        assert lines[0] == b"* MYRIGHTS " + THEIRS + b" lr"
        alice = await stage.reader()
        assert not any(b"Other Users" in line for line in await alice.ask(b'LIST "" *'))


async def test_a_copy_into_anothers_mailbox_keeps_the_flags_one_may_set() -> None:
    async with open_stage(people=(ALICE, BOB)) as stage:
        share(stage, "lris")
        share(stage, "lri", mailbox="Archive")
        stage.deliver(mail("tea"), keywords=["$seen", "$flagged"])
        client = await bob(stage)
        archive = b'"Other Users/alice@example.org/Archive"'
        assert (await client.ask(b"COPY 1 " + archive))[-1].startswith(b"t OK [COPYUID")
        await client.ask(b"SELECT " + archive)
        assert (await client.ask(b"FETCH 1 FLAGS"))[0] == b"* 1 FETCH (FLAGS ())"
        # out of it and back in by way of Bob's own
        await client.ask(b"SELECT " + THEIRS)
        await client.ask(b"COPY 1 INBOX")
        await client.ask(b"SELECT INBOX")
        assert (await client.ask(b"FETCH 1 FLAGS"))[0] == b"* 1 FETCH (FLAGS (\\Flagged \\Seen))"
        await client.ask(b"MOVE 1 " + THEIRS)
        assert (await client.ask(b"STATUS INBOX (MESSAGES)"))[0].endswith(b"(MESSAGES 0)")
        await client.ask(b"SELECT " + THEIRS)
        assert (await client.ask(b"FETCH 2 FLAGS"))[0] == b"* 2 FETCH (FLAGS (\\Seen))"


async def test_a_long_copy_of_which_flags_are_lost_is_cut_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(copying, "GUEST_PORTION_MAX", 2)
    async with open_stage(people=(ALICE, BOB)) as stage:
        share(stage, "lr")
        share(stage, "lri", mailbox="Archive")
        stage.fill(5, keywords=["$flagged"])
        client = await bob(stage)
        archive = b'"Other Users/alice@example.org/Archive"'
        assert (await client.ask(b"COPY 1:* " + archive))[-1].endswith(b" 1:5 1:5] COPY completed")
        await client.ask(b"SELECT " + archive)
        flags = await client.ask(b"FETCH 1:* FLAGS")
        assert [line.endswith(b"(FLAGS ())") for line in flags[:-1]] == [True] * 5


async def test_a_copy_across_that_fails_midway_leaves_the_target_as_it_was() -> None:
    async with open_stage(people=(ALICE, BOB)) as stage:
        share(stage, "lr")
        stage.fill(3)
        stage.door.ports = replace(stage.house.ports, writer=FullAfter(stage.house.writer, 2))
        client = await bob(stage)
        assert (await client.ask(b"COPY 1:* INBOX"))[-1].startswith(b"t NO [OVERQUOTA]")
        assert (await client.ask(b"STATUS INBOX (MESSAGES)"))[0].endswith(b"(MESSAGES 0)")


async def test_what_comes_in_counts_against_the_owners_quota() -> None:
    async with open_stage(people=(ALICE, BOB)) as stage:
        share(stage, "lri")
        stage.house.run(lambda plan: plan_limit(plan, stage.alice, 10))
        client = await bob(stage, b"")
        await client.send(b"a APPEND " + THEIRS + b" {20+}\r\nSubject: too large\r\n\r\n")
        assert (await client.line()).startswith(b"a NO [OVERQUOTA]")


async def test_a_right_that_goes_while_a_command_waits_is_not_used() -> None:
    async with open_stage(people=(ALICE, BOB)) as stage:
        share(stage, "lrite")
        stage.fill(1, keywords=["$deleted"])
        client = await bob(stage)
        for command in (
            b"STORE 1 +FLAGS (\\Deleted)",
            b"EXPUNGE",
            b"COPY 1 " + THEIRS,
            b"MOVE 1 INBOX",
        ):
            stage.house.stall()
            await client.say(b"w " + command)
            await wait_all_tasks_blocked()
            share(stage, "lr")
            stage.house.release()
            while not (line := await client.line()).startswith(b"w "):
                pass
            assert line.startswith(b"w NO [NOPERM]"), (command, line)
            share(stage, "lrite")
            await client.ask(b"NOOP")
        assert (await client.ask(b"STATUS INBOX (MESSAGES)"))[0].endswith(b"(MESSAGES 0)")
        assert (await client.ask(b"STATUS " + THEIRS + b" (MESSAGES)"))[0].endswith(b"(MESSAGES 1)")


async def test_a_mailbox_that_its_owner_deletes_is_gone_for_all() -> None:
    async with open_stage(people=(ALICE, BOB)) as stage:
        alice = await stage.reader()
        await alice.ask(b"CREATE Team")
        share(stage, ALL, mailbox="Team")
        client = await bob(stage, b'"Other Users/alice@example.org/Team"')
        await client.ask(b'SUBSCRIBE "Other Users/alice@example.org/Team"')
        await alice.ask(b"DELETE Team")
        assert (await client.ask(b"FETCH 1:* FLAGS"))[-1].startswith(b"t NO [NOPERM]")
        assert (await client.ask(b'LSUB "" "Other*"'))[-1].startswith(b"t OK")
        assert len(await client.ask(b'LIST "" "Other*"')) == 1
        await client.ask(b"UNSELECT")


async def test_an_address_with_a_separator_goes_by_the_accounts_id() -> None:
    odd = "a/b@example.org"
    async with open_stage(people=(odd, BOB)) as stage:
        owner, reader = stage.house.accounts[odd], stage.house.accounts[BOB]
        inbox = mailboxes.by_role(stage.house.view(), owner, "inbox")
        assert inbox is not None
        stage.house.run(lambda plan: plan_rights(plan, owner, inbox.id, reader, "lr"))
        client = await bob(stage, b"")
        name = f'"Other Users/a{owner}/INBOX"'.encode()
        assert (await client.ask(b'LIST "" "Other*"'))[0].endswith(name)
        assert (await client.ask(b"SELECT " + name))[-1].startswith(b"t OK")
        for other in (b'"Other Users/a0/INBOX"', b'"Other Users/a9/INBOX"', b'"Other Users/x/y"'):
            assert (await client.ask(b"SELECT " + other))[-1].startswith(b"t NO [NONEXISTENT]")


async def test_a_mailbox_named_so_long_ago_is_still_ones_own() -> None:
    async with open_stage(people=(ALICE, BOB)) as stage:
        share(stage, "lr")
        reader = stage.house.accounts[BOB]
        made = stage.house.run(lambda plan: mailboxes.plan_create(plan, reader, "Old"))
        old = msgspec.structs.replace(made, name=OTHER_USERS)
        stage.house.run(lambda plan: plan_rows(plan, reader, made, old))
        client = await bob(stage, b'"Other Users"')
        assert (await client.ask(b"NAMESPACE"))[0] == b'* NAMESPACE (("" "/")) NIL NIL'
        listed = await client.ask(b'LIST "" "Other*"')
        assert listed[0] == b'* LIST (\\HasNoChildren) "/" "Other Users"' and len(listed) == 2
        assert (await client.ask(b"SELECT " + THEIRS))[-1].startswith(b"t NO [NONEXISTENT]")


async def test_the_lists_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "READERS_MAX", 1)
    monkeypatch.setattr(sharing, "FOLLOWED_MAX", 0)
    async with open_stage(people=(ALICE, BOB)) as stage:
        share(stage, "lr")
        alice, client = await stage.reader(), await bob(stage)
        assert (await alice.ask(b"SETACL INBOX anyone l"))[-1].startswith(b"t NO [LIMIT]")
        assert (await client.ask(b"SUBSCRIBE " + THEIRS))[-1].startswith(b"t NO [LIMIT]")
