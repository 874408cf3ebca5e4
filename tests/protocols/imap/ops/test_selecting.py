"""SELECT of a mailbox so large that others run while its order is read."""

from collections.abc import Callable, Iterator

import pytest

from protocols.imap.ops.context import INDEXES_BYTES_MAX
from storage.engine import Rows
from storage.ids import AccountId, MailboxId
from storage.mail import mailbox_index, mailboxes
from storage.mail.mailbox_index import MailboxIndexes
from storage.mail.moves import plan_expunge
from storage.plan import Plan
from tests.protocols.imap.stage import Client, Stage, mail, open_stage

PAGE_ROWS = 2


class Meddled(MailboxIndexes):
    """Between two pages something happens, once."""

    def __init__(self, meddle: Callable[[], None]) -> None:
        super().__init__(INDEXES_BYTES_MAX)
        self.pauses = 0
        self._meddle = meddle

    def warm(self, rows: Rows, account: AccountId, mailbox: MailboxId) -> Iterator[None]:
        for _ in super().warm(rows, account, mailbox):
            self.pauses += 1
            if self.pauses == 1:
                self._meddle()
            yield


async def selecting(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    meddle: Callable[[], None],
    *,
    mailbox: str = "INBOX",
) -> tuple[Client, list[bytes], Meddled]:
    """Five messages, read two at a time; what SELECT said."""
    monkeypatch.setattr(mailbox_index, "SCAN_ROWS", PAGE_ROWS)
    stage.fill(5, mailbox=mailbox)
    stage.door.shared.indexes = meddled = Meddled(meddle)
    client = stage.connect()
    await client.login()
    return client, await client.ask(b"SELECT " + mailbox.encode()), meddled


async def test_what_came_and_went_meanwhile_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_stage() as stage:
        inbox = mailboxes.by_role(stage.house.view(), stage.alice, "inbox")
        assert inbox is not None

        def meddle() -> None:
            stage.deliver(mail("late"))
            stage.house.run(lambda plan: plan_expunge(plan, stage.alice, inbox.id, [1, 4]))

        client, said, meddled = await selecting(stage, monkeypatch, meddle)
        assert meddled.pauses >= 2
        assert said[-1].startswith(b"t OK [READ-WRITE]")
        assert b"* 4 EXISTS" in said
        assert await client.ask(b"UID SEARCH ALL") == [
            b"* SEARCH 2 3 5 6",
            b"t OK UID SEARCH completed",
        ]


async def test_a_mailbox_that_goes_meanwhile_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_stage() as stage:

        def destroy(plan: Plan) -> None:
            found = mailboxes.by_path(plan, stage.alice, ["Archive"])
            assert found is not None
            mailboxes.plan_destroy_mailbox(plan, stage.alice, found.id, remove_emails=True)

        client, said, meddled = await selecting(
            stage, monkeypatch, lambda: stage.house.run(destroy), mailbox="Archive"
        )
        assert meddled.pauses >= 1
        assert said == [b"t NO [NONEXISTENT] No such mailbox"]
        assert await client.ask(b"FETCH 1 UID") == [b"t BAD Not in this state"]
