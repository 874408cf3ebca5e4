"""NOTIFY of what others share: rights that come and go, whom a connection watches, and bounds."""

import gc

import pytest
from trio.testing import wait_all_tasks_blocked

from protocols.imap import notified, telling
from protocols.imap.ops import others
from storage.engine import Rows
from storage.ids import SYSTEM_ACCOUNT, AccountId, MailboxId
from storage.keys import TypeCode
from storage.mail import mailboxes, sharing
from storage.mail.sharing import ANYONE, plan_follow, plan_rights
from tests.protocols.imap.stage import ALICE, Client, Stage, mail, open_stage

BOB = "bob@example.org"
CAROL = "carol@example.org"
PEOPLE = (ALICE, BOB, CAROL)
MESSAGES = b"(MessageNew MessageExpunge)"
HERS = b'"Other Users/alice@example.org/%b"'


async def listener(stage: Stage, asked: bytes, address: str = BOB) -> Client:
    client = stage.connect()
    await client.login(address)
    assert (await client.ask(b"NOTIFY SET " + asked))[-1] == b"t OK NOTIFY completed"
    return client


def box(stage: Stage, name: str) -> MailboxId:
    found = mailboxes.by_path(stage.house.view(), stage.alice, name.split("/"))
    assert found is not None
    return found.id


def share(stage: Stage, name: str, reader: str | None, letters: str) -> None:
    """Alice gives a reader just these rights; None is anyone."""
    number = box(stage, name)
    account = ANYONE if reader is None else stage.house.accounts[reader]
    stage.house.run(lambda plan: plan_rights(plan, stage.alice, number, account, letters))


def follow(stage: Stage, name: str, reader: str = BOB) -> None:
    """A reader subscribes to one of Alice's."""
    account, number = stage.house.accounts[reader], box(stage, name)
    stage.house.run(lambda plan: plan_follow(plan, account, stage.alice, number, wanted=True))


async def quiet(client: Client) -> None:
    """Nothing was said up to now."""
    await wait_all_tasks_blocked()
    assert await client.ask(b"NOOP", b"q") == [b"q OK NOOP completed"]


async def test_only_whose_mailboxes_can_be_told_of_are_watched() -> None:
    async with open_stage(people=PEOPLE) as stage:
        share(stage, "Sent", BOB, "lr")
        client = stage.connect()
        await client.login(BOB)
        bells, hers = stage.house.news, HERS % b"Sent"
        for asked, accounts in (
            (b"(personal (MailboxName))", 1),
            (b"(subscribed (MailboxName))", 2),  # and anyone, for what is shared with all
            (b"(mailboxes (x " + hers + b") (ServerMetadataChange))", 1),
            (b"(mailboxes (x " + hers + b") (MailboxMetadataChange))", 3),
            (b"(mailboxes (x " + hers + b") (MailboxName))", 3),
            (b'(subtree "Other Users" (MailboxName))', 3),
            (b'(mailboxes "Other Users" (MailboxName))', 1),
            (b'(mailboxes "Other Users/carol@example.org/Sent" (MailboxName))', 2),
        ):
            await client.ask(b"NOTIFY SET " + asked)
            await wait_all_tasks_blocked()
            assert bells.watched == accounts, asked
        follow(stage, "Sent")
        await client.ask(b"NOTIFY SET (subscribed (MailboxName))")
        await wait_all_tasks_blocked()
        assert bells.watched == 3


async def test_in_idle_whoever_newly_shares_something_is_watched_from_then_on() -> None:
    async with open_stage(people=PEOPLE) as stage:
        client = await listener(stage, b'(subtree "Other Users" (MessageNew MessageExpunge))')
        await client.say(b"i IDLE")
        assert await client.line() == b"+ idling"
        share(stage, "Sent", None, "lr")
        await wait_all_tasks_blocked()  # no name was asked for
        stage.deliver(mail("one"), mailbox="Sent")
        assert (await client.line()).startswith(b"* STATUS " + HERS % b"Sent")
        assert stage.house.news.watched == 3
        share(stage, "Sent", None, "")
        gone = b'* LIST (\\NonExistent \\NoAccess) "/" ' + HERS % b"Sent"
        assert await client.line() == gone
        await wait_all_tasks_blocked()
        assert stage.house.news.watched == 2  # bob and anyone, but alice no more
        await client.say(b"DONE")
        assert await client.line() == b"i OK IDLE completed"


async def test_one_that_is_deleted_is_told_as_one_that_is_shared_no_more() -> None:
    async with open_stage(people=PEOPLE) as stage:
        share(stage, "Sent", BOB, "lr")
        client = await listener(stage, b'(subtree "Other Users" (MailboxName))')
        number = box(stage, "Sent")
        stage.house.run(
            lambda plan: mailboxes.plan_destroy_mailbox(
                plan, stage.alice, number, remove_emails=True
            )
        )
        gone = b'* LIST (\\NonExistent \\NoAccess) "/" ' + HERS % b"Sent"
        assert await client.line() == gone
        # RFC 5465 5.4: its parent is affected, though it is none
        assert await client.line() == b'* LIST (\\NonExistent) "/" "Other Users/alice@example.org"'
        await quiet(client)


async def test_what_moves_with_something_hidden_is_told_by_its_own_name() -> None:
    async with open_stage(people=PEOPLE) as stage:
        house, alice = stage.house, stage.alice
        hidden = house.run(lambda plan: mailboxes.plan_create(plan, alice, "Hidden"))
        house.run(lambda plan: mailboxes.plan_create(plan, alice, "Seen", parent=hidden.id))
        share(stage, "Hidden/Seen", BOB, "lr")
        client = await listener(stage, b'(subtree "Other Users" (MailboxName))')
        house.run(lambda plan: mailboxes.plan_update(plan, alice, hidden.id, name="New"))
        old, new = HERS % b"Hidden/Seen", HERS % b"New/Seen"
        told = b'* LIST (\\HasNoChildren) "/" ' + new + b' ("OLDNAME" (' + old + b"))"
        assert await client.line() == told
        # what is its owner's matter alone is no news
        house.run(lambda plan: mailboxes.plan_update(plan, alice, hidden.id, sort_order=7))
        house.run(lambda plan: mailboxes.plan_update(plan, alice, hidden.id, subscribed=False))
        await quiet(client)


async def test_a_subscription_to_anothers_mailbox_is_told_to_ones_other_connections() -> None:
    async with open_stage(people=PEOPLE) as stage:
        share(stage, "Sent", BOB, "lr")
        asked = b"(mailboxes " + HERS % b"Sent" + b" (SubscriptionChange))"
        one, two = [await listener(stage, asked) for _ in range(2)]
        await one.say(b"s SUBSCRIBE " + HERS % b"Sent")
        assert await one.line() == b"s OK SUBSCRIBE completed"
        told = b'* LIST (\\HasNoChildren \\Subscribed) "/" ' + HERS % b"Sent"
        assert await two.line() == told
        await quiet(one)


async def test_what_a_selected_mailbox_of_anothers_says_is_not_said_twice() -> None:
    async with open_stage(people=PEOPLE) as stage:
        share(stage, "Sent", BOB, "lr")
        asked = b"(selected " + MESSAGES + b') (subtree "Other Users" ' + MESSAGES + b")"
        client = await listener(stage, asked)
        await client.ask(b"SELECT " + HERS % b"Sent")
        stage.deliver(mail("one"), mailbox="Sent")
        assert await client.line() == b"* 1 EXISTS"
        await quiet(client)


async def test_connections_share_what_they_hold_and_leave_nothing() -> None:
    async with open_stage(people=PEOPLE) as stage:
        share(stage, "Sent", BOB, "lr")
        clients = [
            await listener(stage, b'(subtree "Other Users" (MessageNew MessageExpunge))')
            for _ in "abc"
        ]
        bob = stage.house.accounts[BOB]
        first = stage.door.shared.lent[bob, stage.alice]
        stage.deliver(mail("one"), mailbox="Sent")
        for client in clients:
            assert (await client.line()).startswith(b"* STATUS ")
        second = stage.door.shared.lent[bob, stage.alice]
        assert second is not first
        assert second.boxes is first.boxes  # nothing has changed but counts
        for client in clients:
            await client.stream.aclose()
        await wait_all_tasks_blocked()
        del first, second
        gc.collect()
        assert not stage.door.shared.lent
        assert not stage.house.news.watched


async def test_rights_are_not_asked_again_because_ones_own_mail_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_stage(people=PEOPLE) as stage:
        share(stage, "Sent", BOB, "lr")
        client = await listener(stage, b'(subtree "Other Users" (MailboxName SubscriptionChange))')
        bob, asked = stage.house.accounts[BOB], 0
        real = sharing.rights

        def counted(rows: Rows, owner: AccountId, mailbox: MailboxId, reader: AccountId) -> str:
            nonlocal asked
            asked += 1
            return real(rows, owner, mailbox, reader)

        monkeypatch.setattr(sharing, "rights", counted)
        stage.house.run(lambda plan: mailboxes.plan_create(plan, bob, "Mine"))
        await quiet(client)
        assert asked == 0
        follow(stage, "Sent")
        told = b'* LIST (\\HasNoChildren \\Subscribed) "/" ' + HERS % b"Sent"
        assert await client.line() == told
        assert asked


async def test_more_owners_than_are_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(others, "OWNERS_WATCHED_MAX", 1)
    overflow = b"t NO [NOTIFICATIONOVERFLOW] Too many mailboxes to watch"
    async with open_stage(people=PEOPLE) as stage:
        house, carol = stage.house, stage.house.accounts[CAROL]
        share(stage, "Sent", BOB, "lr")
        client = await listener(stage, b'(subtree "Other Users" (MailboxName))')
        sent = mailboxes.by_path(house.view(), carol, ["Sent"])
        assert sent is not None
        house.run(lambda plan: plan_rights(plan, carol, sent.id, ANYONE, "lr"))
        line = b"* OK [NOTIFICATIONOVERFLOW] Too many mailboxes to watch"
        assert await client.line() == line
        assert await client.ask(b'NOTIFY SET (subtree "Other Users" (MailboxName))') == [overflow]
        two = b'("Other Users/a@b/c" "Other Users/b@b/c")'
        assert await client.ask(b"NOTIFY SET (mailboxes " + two + b" (MailboxName))") == [overflow]
        # strangers who share with anyone take nothing from who follows one of them
        follow(stage, "Sent")
        ending = await client.ask(b"NOTIFY SET (subscribed (MailboxName))")
        assert ending == [b"t OK NOTIFY completed"]
        bob = house.accounts[BOB]
        house.run(lambda plan: plan_follow(plan, bob, carol, sent.id, wanted=True))
        assert await client.line() == line


async def test_more_shared_mailboxes_than_are_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(others, "SHARED_WATCHED_MAX", 1)
    async with open_stage(people=PEOPLE) as stage:
        share(stage, "Sent", BOB, "lr")
        client = await listener(stage, b'(subtree "Other Users" (MailboxName))')
        share(stage, "Trash", BOB, "lr")
        line = b"* OK [NOTIFICATIONOVERFLOW] Too many mailboxes to watch"
        assert await client.line() == line


async def test_names_told_as_not_accessible_are_remembered_up_to_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notified, "DENIED_MAX", 1)
    async with open_stage(people=PEOPLE) as stage:
        for name in ("Sent", "Trash"):
            share(stage, name, BOB, "lr")
        client = await listener(stage, b'(subtree "Other Users" (MessageNew MessageExpunge))')
        for name in ("Sent", "Trash"):
            share(stage, name, BOB, "")
            assert (await client.line()).endswith(HERS % name.encode())
        for name in ("Sent", "Trash"):
            share(stage, name, BOB, "lr")
        # of the older one is not known any more that it was told
        assert await client.line() == b'* LIST (\\HasNoChildren) "/" ' + HERS % b"Trash"
        await quiet(client)


async def test_what_the_system_does_wakes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[AccountId] = []
    real = telling.tell_news

    async def counting(context: telling.Context, **how: bool) -> None:
        told.append(context.account)
        await real(context, **how)

    async with open_stage(people=PEOPLE) as stage:
        client = await listener(stage, b'(subtree "Other Users" (MailboxName))')
        await wait_all_tasks_blocked()
        monkeypatch.setattr(telling, "tell_news", counting)
        stage.house.run(lambda plan: plan.touch(SYSTEM_ACCOUNT, TypeCode.ACCOUNT.bit))
        await wait_all_tasks_blocked()
        assert told == []
        share(stage, "Sent", None, "l")
        assert await client.line() == b'* LIST (\\HasNoChildren) "/" ' + HERS % b"Sent"
        assert told


async def test_owners_are_found_without_reading_all_that_they_share() -> None:
    async with open_stage(people=PEOPLE) as stage:
        rows, bob = stage.house.view(), stage.house.accounts[BOB]
        assert sharing.sharing_owners(rows, bob, 5) == set()
        for name in ("Sent", "Trash", "INBOX"):
            share(stage, name, BOB, "lr")
            share(stage, name, None, "l")
            follow(stage, name)
        rows = stage.house.view()
        assert sharing.sharing_owners(rows, bob, 5) == {stage.alice}
        assert sharing.sharing_owners(rows, stage.alice, 5) == set()  # her own, shared with anyone
        assert sharing.followed_owners(rows, bob, 5) == {stage.alice}
        sent = box(stage, "Sent")
        assert sent in sharing.received_from(rows, bob, stage.alice)
        assert sharing.followed_from(rows, bob, stage.alice) == sharing.received_from(
            rows, bob, stage.alice
        )
