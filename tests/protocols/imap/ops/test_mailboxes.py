"""Mailboxes with more messages than one batch holds."""

from storage.mail.ledger import COMMAND_EMAILS_MAX
from tests.protocols.imap.stage import open_stage

MANY = COMMAND_EMAILS_MAX + 100


async def test_a_full_mailbox_is_deleted_in_portions() -> None:
    async with open_stage() as stage:
        stage.fill(MANY, mailbox="Archive")
        client = await stage.reader()
        assert (await client.ask(b"DELETE Archive"))[-1] == b"t OK DELETE completed"
        assert (await client.ask(b"SELECT Archive"))[-1].startswith(b"t NO [NONEXISTENT]")


async def test_a_full_mailbox_with_children_keeps_its_messages() -> None:
    async with open_stage() as stage:
        stage.fill(MANY, mailbox="Archive")
        client = await stage.reader()
        await client.ask(b"CREATE Archive/2026")
        assert (await client.ask(b"DELETE Archive"))[-1].startswith(b"t NO [HASCHILDREN]")
        assert b"* %d EXISTS" % MANY in await client.select("Archive")


async def test_a_full_inbox_gives_all_it_has() -> None:
    async with open_stage() as stage:
        stage.fill(MANY)
        client = stage.connect()
        await client.login()
        assert (await client.ask(b"RENAME INBOX old"))[-1] == b"t OK RENAME completed"
        assert b"* %d EXISTS" % MANY in await client.select("old")
        assert b"* 0 EXISTS" in await client.select("INBOX")


async def test_flags_of_a_whole_mailbox() -> None:
    async with open_stage() as stage:
        stage.fill(MANY)
        client = await stage.reader()
        lines = await client.ask(b"STORE 1:* +FLAGS (\\Seen)")
        assert lines[-1] == b"t OK STORE completed" and len(lines) == MANY + 1
        assert await client.ask(b"STORE 1:* FLAGS.SILENT (\\Draft)") == [b"t OK STORE completed"]
        lines = await client.ask(b"SEARCH RETURN (COUNT) DRAFT UNSEEN")
        assert b"COUNT %d" % MANY in lines[0]
