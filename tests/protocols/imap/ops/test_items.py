"""Items of FETCH: whatever is asked together is told as it is told alone."""

import random

from protocols.imap.fetch_commands import FetchItem
from protocols.imap.kept import MESSAGES_MIN, KeptAnswers
from protocols.imap.ops.fetch import VIEW_SLICE_MESSAGES
from storage.ids import AccountId
from storage.mail import mailboxes
from storage.mail.defined import plan_undefine
from storage.plan import Plan
from tests.protocols.imap.stage import Client, mail, open_stage

SUBSETS = 60


async def fetched(client: Client, numbers: range, items: list[FetchItem]) -> list[bytes]:
    """What stands between the parentheses of each response."""
    words = b" ".join(item.value for item in items)
    lines = await client.ask(b"FETCH %d:%d (%b)" % (numbers[0], numbers[-1], words))
    told = []
    for number, line in zip(numbers, lines[:-1], strict=True):
        start = b"* %d FETCH (" % number
        assert line.startswith(start)
        assert line.endswith(b")")
        told.append(line[len(start) : -1])
    return told


async def test_items_stand_together_as_each_stands_alone_in_their_order() -> None:
    async with open_stage() as stage:
        for number in range(9):
            stage.deliver(mail(f"number {number}", body="word " * number))
        client = await stage.reader()
        await client.ask(b"STORE 2,5 +FLAGS (\\Seen own)")
        await client.ask(b"STORE 7 +FLAGS (\\Deleted)")
        await client.ask(b"EXPUNGE")
        await client.ask(b"FETCH 1 (MODSEQ)")
        everybody = range(1, 9)
        alone = {item: await fetched(client, everybody, [item]) for item in FetchItem}
        chance = random.Random(1)
        for _ in range(SUBSETS):
            asked = chance.sample(list(FetchItem), chance.randint(1, len(FetchItem)))
            first, last = sorted(chance.choices(everybody, k=2))
            numbers = range(first, last + 1)
            assert await fetched(client, numbers, asked) == [
                b" ".join(alone[item][number - 1] for item in FetchItem if item in asked)
                for number in numbers
            ]


async def test_what_was_told_before_is_told_again_as_long_as_it_is_true() -> None:
    async with open_stage() as stage:
        stage.fill(40)
        client = await stage.reader()
        ask = b"FETCH 1:* (UID FLAGS ENVELOPE)"
        first = await client.ask(ask)
        kept = stage.door.shared.kept
        assert len(kept) == 1
        assert await client.ask(ask) == first
        await client.ask(b"STORE 7 +FLAGS.SILENT (\\Flagged)")
        again = await client.ask(ask)
        assert [(old, new) for old, new in zip(first, again, strict=True) if old != new] == [
            (first[6], first[6].replace(b"FLAGS ()", b"FLAGS (\\Flagged)"))
        ]
        await client.ask(b"STORE 7 -FLAGS.SILENT (\\Flagged)")
        assert await client.ask(ask) == first
        await client.ask(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
        await client.ask(b"EXPUNGE")
        told = await client.ask(ask)
        assert told[0] == first[1].replace(b"* 2 ", b"* 1 ")
        assert len(told) == len(first) - 1


def undefine(plan: Plan, account: AccountId) -> None:
    """The inbox is as from before keywords were kept (storage/mail/defined.py)."""
    inbox = mailboxes.by_role(plan, account, mailboxes.INBOX_ROLE)
    assert inbox is not None
    plan_undefine(plan, account, inbox.id)


async def test_who_has_not_heard_of_a_keyword_hears_of_it_before_an_answer_that_was_kept() -> None:
    async with open_stage() as stage:
        stage.fill(20)
        await stage.reader()  # to whom all are \Recent
        client, other = await stage.reader(), await stage.reader()
        await client.ask(b"STORE 4 +FLAGS.SILENT (own)")
        stage.house.run(lambda plan: undefine(plan, stage.alice))
        ask = b"FETCH 1:* (FLAGS)"
        told = await client.ask(ask)
        await other.ask(b"UNSELECT")
        await other.select()
        for _ in range(2):
            heard = await other.ask(ask)
            assert heard[0].startswith(b"* FLAGS (")
            assert heard[0].endswith(b" own)")
            assert heard[1:] == told[-21:]
            await other.ask(b"UNSELECT")
            await other.select()
        assert len(stage.door.shared.kept) == 1


async def test_recent_is_told_to_one_session_though_answers_are_kept() -> None:
    async with open_stage() as stage:
        stage.fill(20)
        told = []
        for _ in range(3):
            client = stage.connect()
            client.hears_recent = True
            await client.login()
            await client.select()
            told.append((await client.ask(b"FETCH 1:* (FLAGS)"))[:-1])
        assert told[0] == [b"* %d FETCH (FLAGS (\\Recent))" % number for number in range(1, 21)]
        assert told[1] == told[2] == [line.replace(b"\\Recent", b"") for line in told[0]]
        assert len(stage.door.shared.kept) == 1


async def test_what_may_change_apart_from_its_row_is_not_kept_nor_are_few_or_apart() -> None:
    async with open_stage() as stage:
        stage.fill(MESSAGES_MIN + 2)
        client = await stage.reader()
        await client.ask(b"FETCH 1:* (UID THREADID)")
        await client.ask(b"FETCH 1:%d (FLAGS)" % (MESSAGES_MIN - 1))
        await client.ask(b"FETCH 1:3,5:* (FLAGS)")
        assert len(stage.door.shared.kept) == 0
        await client.ask(b"FETCH 1:%d (FLAGS)" % MESSAGES_MIN)
        assert len(stage.door.shared.kept) == 1


async def test_one_command_fills_no_more_than_its_share_and_finds_that_again() -> None:
    async with open_stage() as stage:
        stage.fill(5 * VIEW_SLICE_MESSAGES)
        client = await stage.reader()
        kept = stage.door.shared.kept = KeptAnswers(100_000)
        first = await client.ask(b"UID FETCH 1:* (UID ENVELOPE)")
        held, octets = len(kept), kept.octets
        assert 0 < held < 5
        assert octets <= kept.command_octets_max
        assert await client.ask(b"UID FETCH 1:* (UID ENVELOPE)") == first
        assert (len(kept), kept.octets) == (held, octets)
