"""Coming back after so long that the change log no longer tells (RFC 7162 3.2.5, 3.2.6)."""

from storage.changes import plan_trim
from storage.mail import mailboxes
from storage.mail.moves import plan_expunge
from storage.mail.state import version
from tests.protocols.imap.stage import Client, Stage, open_stage


async def long_ago(stage: Stage) -> tuple[Client, int]:
    """Six messages, of which 2 and 5 go; all that is forgotten; who comes back, UIDVALIDITY."""
    stage.fill(6)
    inbox = mailboxes.by_role(stage.house.view(), stage.alice, "inbox")
    assert inbox is not None
    stage.house.run(lambda plan: plan_expunge(plan, stage.alice, inbox.id, [2, 5]))
    now = version(stage.house.view(), stage.alice)
    stage.house.run(lambda plan: plan_trim(plan, stage.alice, now))
    client = stage.connect()
    await client.login()
    await client.ask(b"ENABLE QRESYNC")
    return client, inbox.uidvalidity


def vanished(lines: list[bytes]) -> list[bytes]:
    return [line for line in lines if b"VANISHED" in line]


async def test_all_that_could_be_gone_is_said_to_be() -> None:
    async with open_stage() as stage:
        client, uidvalidity = await long_ago(stage)
        lines = await client.ask(b"SELECT INBOX (QRESYNC (%d 1))" % uidvalidity)
        assert vanished(lines) == [b"* VANISHED (EARLIER) 2,5"]
        assert sum(b" FETCH " in line for line in lines) == 4


async def test_only_of_the_uids_that_are_asked_about() -> None:
    async with open_stage() as stage:
        client, uidvalidity = await long_ago(stage)
        lines = await client.ask(b"SELECT INBOX (QRESYNC (%d 1 3:6))" % uidvalidity)
        assert vanished(lines) == [b"* VANISHED (EARLIER) 5"]
        lines = await client.ask(b"UID FETCH 1:4 FLAGS (CHANGEDSINCE 1 VANISHED)")
        assert vanished(lines) == [b"* VANISHED (EARLIER) 2"]


async def test_what_both_count_alike_is_not_gone() -> None:
    async with open_stage() as stage:
        client, uidvalidity = await long_ago(stage)
        told = b"(%d 1 1:6 (1:3 1,3,4))" % uidvalidity  # the client has heard that 2 is gone
        lines = await client.ask(b"SELECT INBOX (QRESYNC %b)" % told)
        assert vanished(lines) == [b"* VANISHED (EARLIER) 5"]
        told = b"(%d 1 1:6 (1:3 1,2,3))" % uidvalidity  # and this one has not
        lines = await client.ask(b"SELECT INBOX (QRESYNC %b)" % told)
        assert vanished(lines) == [b"* VANISHED (EARLIER) 2,5"]


async def test_match_data_as_long_as_numbers_go_costs_no_more_than_the_mailbox_holds() -> None:
    async with open_stage() as stage:
        client, uidvalidity = await long_ago(stage)
        told = b"(%d 1 1:4294967295 (1:4294967295 1:4294967295))" % uidvalidity
        lines = await client.ask(b"SELECT INBOX (QRESYNC %b)" % told)
        assert vanished(lines) == [b"* VANISHED (EARLIER) 2,5"]
