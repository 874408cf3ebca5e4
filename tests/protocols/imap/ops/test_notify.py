"""NOTIFY as it is lived with: other doors, many connections, bounds, what waits (RFC 5465)."""

import gc

import pytest
from trio.testing import wait_all_tasks_blocked

from protocols.imap.ops import panorama
from storage.ids import MailboxId
from storage.mail import mailboxes
from storage.mail.annotations import SHARED, plan_annotate
from storage.mail.moves import plan_expunge
from tests.protocols.imap.stage import Client, Stage, mail, open_stage

MESSAGES = b"(MessageNew MessageExpunge FlagChange)"


async def listener(stage: Stage, asked: bytes) -> Client:
    client = stage.connect()
    await client.login()
    assert (await client.ask(b"NOTIFY SET " + asked))[-1] == b"t OK NOTIFY completed"
    return client


def box(stage: Stage, name: str) -> MailboxId:
    found = mailboxes.by_path(stage.house.view(), stage.alice, name.split("/"))
    assert found is not None
    return found.id


async def quiet(client: Client) -> None:
    """Nothing was said up to now."""
    await wait_all_tasks_blocked()
    assert await client.ask(b"NOOP", b"q") == [b"q OK NOOP completed"]


async def test_what_jmap_does_to_mailboxes_is_told() -> None:
    async with open_stage() as stage:
        house, alice = stage.house, stage.alice
        client = await listener(stage, b"(personal (MailboxName SubscriptionChange))")
        made = house.run(lambda plan: mailboxes.plan_create(plan, alice, "Work"))
        assert await client.line() == b'* LIST (\\HasNoChildren \\Subscribed) "/" Work'
        sent = box(stage, "Sent")
        house.run(lambda plan: mailboxes.plan_update(plan, alice, made.id, parent=sent))
        assert await client.line() == (
            b'* LIST (\\HasNoChildren \\Subscribed) "/" Sent/Work ("OLDNAME" (Work))'
        )
        # its role and its place among the others are no names
        house.run(lambda plan: mailboxes.plan_update(plan, alice, made.id, sort_order=7))
        house.run(lambda plan: mailboxes.plan_update(plan, alice, made.id, role="flagged"))
        # the inbox is INBOX, whatever JMAP calls it
        inbox = box(stage, "INBOX")
        house.run(lambda plan: mailboxes.plan_update(plan, alice, inbox, name="Postkorb"))
        await quiet(client)


async def test_many_changes_between_two_looks_are_told_once_and_as_they_ended() -> None:
    async with open_stage() as stage:
        house, alice = stage.house, stage.alice
        client = await listener(stage, b"(personal (MailboxName MessageNew MessageExpunge))")
        brief = house.run(lambda plan: mailboxes.plan_create(plan, alice, "Brief"))
        stage.deliver(mail("one"), mailbox="Brief")
        house.run(
            lambda plan: mailboxes.plan_destroy_mailbox(plan, alice, brief.id, remove_emails=True)
        )
        for number in range(20):
            stage.deliver(mail(f"n {number}"), mailbox="Sent")
        assert (await client.line()).endswith(b" MESSAGES 20 UIDNEXT 21)")
        await quiet(client)


async def test_what_is_half_said_is_not_interrupted() -> None:
    async with open_stage() as stage:
        client = await listener(stage, b"(personal (MessageNew MessageExpunge))")
        await client.send(b"a NO")
        await wait_all_tasks_blocked()
        stage.deliver(mail("one"))
        await wait_all_tasks_blocked()
        await client.send(b"OP\r\n")
        assert (await client.line()).startswith(b"* STATUS INBOX ")
        assert await client.line() == b"a OK NOOP completed"


async def test_connections_of_one_account_share_what_they_hold_and_leave_nothing() -> None:
    async with open_stage() as stage:
        clients = [await listener(stage, b"(personal (MessageNew MessageExpunge))") for _ in "abc"]
        first = stage.door.shared.panoramas[stage.alice]
        stage.deliver(mail("one"))
        for client in clients:
            assert (await client.line()).startswith(b"* STATUS INBOX ")
        second = stage.door.shared.panoramas[stage.alice]
        assert second is not first
        assert second.mailboxes is first.mailboxes  # no name has changed
        for client in clients:
            await client.stream.aclose()
        await wait_all_tasks_blocked()
        del first, second
        gc.collect()
        assert not stage.door.shared.panoramas


async def test_more_mailboxes_than_are_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_stage() as stage:
        house, alice = stage.house, stage.alice
        held = len(mailboxes.mailbox_ids(house.view(), alice))
        monkeypatch.setattr(panorama, "PANORAMA_MAILBOXES_MAX", held)
        client = await listener(stage, b"(personal (MessageNew MessageExpunge))")
        house.run(lambda plan: mailboxes.plan_create(plan, alice, "one more"))
        overflow = b"* OK [NOTIFICATIONOVERFLOW] Too many mailboxes to watch"
        assert await client.line() == overflow
        # as after NOTIFY NONE
        await client.select()
        stage.deliver(mail("unheard of"))
        assert await client.ask(b"NOOP") == [b"t OK NOOP completed"]
        refused = await client.ask(b"NOTIFY SET (personal (MailboxName))")
        assert refused == [b"t NO [NOTIFICATIONOVERFLOW] Too many mailboxes to watch"]
        # what needs no look at all mailboxes is granted
        ending = await client.ask(b"NOTIFY SET (selected (MessageNew MessageExpunge))")
        assert ending == [b"* 1 EXISTS", b"t OK NOTIFY completed"]


async def test_a_part_that_cannot_be_decoded_is_left_out_and_the_message_told() -> None:
    odd = b"Content-Transfer-Encoding: x-odd\r\nSubject: odd\r\n\r\nhello"
    async with open_stage() as stage:
        asked = b"(selected (MessageNew (BINARY.PEEK[1]) MessageExpunge))"
        client = await listener(stage, asked)
        await client.select()
        stage.deliver(odd)
        stage.deliver(mail("plain", "hi"))
        assert await client.line() == b"* 2 EXISTS"
        assert await client.line() == b"* 1 FETCH (UID 1)"
        assert await client.line() == b"* 2 FETCH (UID 2 BINARY[1] {2}"
        assert await client.take(2) == b"hi"
        assert await client.line() == b")"


async def test_being_told_of_a_message_does_not_mark_it_read() -> None:
    async with open_stage() as stage:
        client = await listener(stage, b"(selected (MessageNew (FLAGS BODY[TEXT]) MessageExpunge))")
        await client.select()
        stage.deliver(mail("plain", "hi"))
        assert await client.line() == b"* 1 EXISTS"
        assert await client.line() == b"* 1 FETCH (FLAGS () UID 1 BODY[TEXT] {2}"
        assert await client.line() == b"hi)"
        assert await client.ask(b"UID FETCH 1 FLAGS") == [
            b"* 1 FETCH (FLAGS () UID 1)",
            b"t OK FETCH completed",
        ]


async def test_while_a_write_waits_others_changes_are_not_taken_for_ones_own() -> None:
    async with open_stage() as stage:
        client = await listener(stage, b"(personal (MailboxName MessageNew MessageExpunge))")
        house = stage.house
        house.stall()
        await client.say(b"a CREATE Mine")
        await wait_all_tasks_blocked()
        house.run(lambda plan: mailboxes.plan_create(plan, stage.alice, "Theirs"))
        house.release()
        said = [await client.line() for _ in range(3)]
        assert b'* LIST (\\HasNoChildren \\Subscribed) "/" Theirs' in said
        assert said[-1].startswith(b"a OK ")


async def test_a_selected_mailbox_that_is_deleted_is_told_by_name() -> None:
    async with open_stage() as stage:
        stage.deliver(mail("one"), mailbox="Archive")
        asked = b"(selected " + MESSAGES + b") (personal (MailboxName))"
        client = await listener(stage, asked)
        await client.select("Archive")
        archive = box(stage, "Archive")
        stage.house.run(
            lambda plan: mailboxes.plan_destroy_mailbox(
                plan, stage.alice, archive, remove_emails=True
            )
        )
        assert [await client.line() for _ in range(2)] == [
            b"* 1 EXPUNGE",
            b'* LIST (\\NonExistent) "/" Archive',
        ]


async def test_a_snapshot_is_brought_forward_when_it_is_asked_for() -> None:
    async with open_stage() as stage:
        client = await listener(stage, b"(selected NONE) (personal (MailboxName))")
        stage.fill(3)
        await client.select()
        house, alice = stage.house, stage.alice
        inbox = box(stage, "INBOX")
        house.run(lambda plan: plan_expunge(plan, alice, inbox, [1]))
        stage.deliver(mail("four"))
        house.run(lambda plan: plan_annotate(plan, alice, inbox, SHARED, {"/comment": b"x"}))
        assert await client.ask(b"NOOP") == [b"t OK NOOP completed"]
        assert await client.ask(b"NOTIFY SET (selected " + MESSAGES + b")") == [
            b"* 1 EXPUNGE",
            b"* 3 EXISTS",
            b"t OK NOTIFY completed",
        ]


async def test_during_a_pause_of_the_cluster_notify_is_refused_and_nothing_is_changed() -> None:
    async with open_stage() as stage:
        client = await listener(stage, b"(personal (MessageNew MessageExpunge))")
        stage.house.unavailable = True
        ending = (await client.ask(b"NOTIFY SET (personal (MailboxName))"))[-1]
        assert ending.startswith(b"t NO [UNAVAILABLE]")
        stage.house.unavailable = False
        stage.deliver(mail("one"))
        assert (await client.line()).startswith(b"* STATUS INBOX ")


async def test_what_notify_asks_of_a_new_message_comes_after_the_results_it_is_in() -> None:
    async with open_stage() as stage:
        client = await listener(stage, b"(selected (MessageNew (FLAGS) MessageExpunge))")
        await client.select()
        await client.ask(b"SEARCH RETURN (UPDATE) ALL")
        stage.deliver(mail("one"))
        assert [await client.line() for _ in range(3)] == [
            b"* 1 EXISTS",
            b'* ESEARCH (TAG "t") ADDTO (0 1)',
            b"* 1 FETCH (FLAGS () UID 1)",
        ]


async def test_a_subscription_is_heeded_at_once() -> None:
    async with open_stage() as stage:
        house, alice, sent = stage.house, stage.alice, box(stage, "Sent")

        def subscribe(wanted: bool) -> None:
            house.run(lambda plan: mailboxes.plan_update(plan, alice, sent, subscribed=wanted))

        subscribe(False)
        client = await listener(stage, b"(subscribed (MessageNew MessageExpunge))")
        stage.deliver(mail("one"), mailbox="Sent")
        await quiet(client)
        subscribe(True)
        stage.deliver(mail("two"), mailbox="Sent")
        assert (await client.line()).startswith(b"* STATUS Sent ")
        subscribe(False)
        stage.deliver(mail("three"), mailbox="Sent")
        await quiet(client)
