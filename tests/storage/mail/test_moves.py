"""Where emails are: memberships, copies, moves, expunges, destruction."""

import msgspec
import pytest

from storage import keys
from storage.ids import EmailId, MailboxId, blob_id
from storage.keys import TypeCode
from storage.mail import messages
from storage.mail.errors import (
    EmailNotFound,
    MailboxNotFound,
    NoMailbox,
    OverQuota,
    TooManyEmails,
)
from storage.mail.keywords import plan_keywords
from storage.mail.ledger import COMMAND_EMAILS_MAX, COMMAND_OCTETS_FULL, COMMAND_OCTETS_MAX
from storage.mail.moves import (
    plan_copy_uids,
    plan_destroy,
    plan_expunge,
    plan_mailboxes,
    plan_move_uids,
)
from storage.mail.neighbours import WINDOW_EMAILS
from storage.mail.quota import plan_limit
from storage.mail.records import EmailMeta
from storage.mail.recount import recount
from storage.mail.state import state
from storage.mail.uids import vanished
from tests.storage.mail.story import ALICE, House

UidPairs = list[tuple[int, int]]


def copy(house: House, source: MailboxId, uids: list[int], target: MailboxId) -> UidPairs:
    with house.command() as plan:
        return plan_copy_uids(plan, ALICE, source, uids, target)


def move(house: House, source: MailboxId, uids: list[int], target: MailboxId) -> UidPairs:
    with house.command() as plan:
        return plan_move_uids(plan, ALICE, source, uids, target)


def expunge(house: House, mailbox: MailboxId, uids: list[int]) -> list[int]:
    with house.command() as plan:
        return plan_expunge(plan, ALICE, mailbox, uids)


def meta(house: House, email: int) -> EmailMeta:
    found = messages.meta(house.engine, ALICE, EmailId(email))
    assert found is not None
    return found


def uids(house: House, mailbox: MailboxId) -> list[int]:
    return [uid for uid, _ in messages.uid_rows(house.engine, ALICE, mailbox)]


def test_jmap_adds_and_removes_memberships(house: House) -> None:
    inbox, archive, trash = (house.role(role) for role in ("inbox", "archive", "trash"))
    came = house.deliver(inbox)
    with house.command() as plan:
        plan_mailboxes(plan, ALICE, came.id, add=[archive, trash])
    assert meta(house, came.id).mailboxes == ((inbox, 1), (trash, 1), (archive, 1))
    with house.command() as plan:
        plan_mailboxes(plan, ALICE, came.id, remove=[inbox, trash])
    with house.command() as plan:
        plan_mailboxes(plan, ALICE, came.id, replace=[inbox])
    assert meta(house, came.id).mailboxes == ((inbox, 2),)
    assert vanished(house.engine, ALICE, inbox, came.version) == [1]
    assert house.changes(TypeCode.EMAIL, came.version).updated == [came.id]


def test_an_email_is_somewhere(house: House) -> None:
    came = house.deliver()
    with pytest.raises(NoMailbox), house.command() as plan:
        plan_mailboxes(plan, ALICE, came.id, remove=[house.role("inbox")])
    with pytest.raises(MailboxNotFound), house.command() as plan:
        plan_mailboxes(plan, ALICE, came.id, add=[MailboxId(99)])
    plan = house.plan()
    with plan.command():
        plan_mailboxes(plan, ALICE, came.id, replace=[house.role("inbox")])
    assert plan.empty


def test_a_copy_is_a_message_of_its_own(house: House) -> None:
    inbox, archive = house.role("inbox"), house.role("archive")
    came = house.deliver(inbox, keywords=["$flagged"], ids=["a"], subject="s", body=b"x")
    assert copy(house, inbox, [1, 7], archive) == [(1, 1)]
    twin = meta(house, came.id + 1)
    original = meta(house, came.id)
    assert (twin.thread, twin.blob, twin.keywords, twin.received_ms, twin.size) == (
        original.thread,
        original.blob,
        original.keywords,
        original.received_ms,
        original.size,
    )
    with house.command() as plan:
        plan_keywords(plan, ALICE, twin.id, replace=["$seen"])
    assert meta(house, came.id).keywords == ("$flagged",)
    assert messages.email_view(house.engine, ALICE, twin.id) == messages.email_view(
        house.engine, ALICE, came.id
    )
    expunge(house, inbox, [1])
    assert messages.holds_blob(house.engine, ALICE, blob_id(b"x"))
    expunge(house, archive, [1])
    assert not messages.holds_blob(house.engine, ALICE, blob_id(b"x"))


def test_a_copy_into_the_same_mailbox_is_a_second_message(house: House) -> None:
    inbox = house.role("inbox")
    house.deliver(inbox)
    house.deliver(inbox)
    assert copy(house, inbox, [2, 1], inbox) == [(1, 3), (2, 4)]
    assert uids(house, inbox) == [1, 2, 3, 4]


def test_a_copy_needs_room_and_a_move_does_not(house: House) -> None:
    inbox, archive = house.role("inbox"), house.role("archive")
    house.deliver(inbox, size=600)
    with house.command() as plan:
        plan_limit(plan, ALICE, 1_000)
    with pytest.raises(OverQuota):
        copy(house, inbox, [1], archive)
    assert move(house, inbox, [1], archive) == [(1, 1)]


def test_a_move_keeps_the_email(house: House) -> None:
    inbox, archive = house.role("inbox"), house.role("archive")
    first, second = house.deliver(inbox), house.deliver(inbox)
    assert move(house, inbox, [1, 2], archive) == [(1, 1), (2, 2)]
    assert house.changes(TypeCode.EMAIL, second.version).updated == [first.id, second.id]
    assert meta(house, first.id).mailboxes == ((archive, 1),)
    assert uids(house, inbox) == []
    assert vanished(house.engine, ALICE, inbox, second.version) == [1, 2]
    assert house.deliver(inbox).mailboxes == ((inbox, 3),)


def test_a_move_to_where_it_is_already_makes_a_second_message_there(house: House) -> None:
    inbox, archive = house.role("inbox"), house.role("archive")
    came = house.deliver(inbox, archive)
    assert move(house, inbox, [1], archive) == [(1, 2)]
    assert meta(house, came.id).mailboxes == ((archive, 1),)
    assert meta(house, came.id + 1).mailboxes == ((archive, 2),)


def test_a_move_within_a_mailbox_gives_new_uids(house: House) -> None:
    inbox = house.role("inbox")
    came = house.deliver(inbox)
    assert move(house, inbox, [1], inbox) == [(1, 2)]
    assert meta(house, came.id).mailboxes == ((inbox, 2),)
    assert vanished(house.engine, ALICE, inbox, came.version) == [1]


def test_an_expunge_destroys_what_is_nowhere_else(house: House) -> None:
    inbox, archive = house.role("inbox"), house.role("archive")
    only = house.deliver(inbox, keywords=["$seen"])
    both = house.deliver(inbox, archive, keywords=["$deleted", "$seen"])
    assert expunge(house, inbox, [2, 9, 1]) == [1, 2]
    assert messages.meta(house.engine, ALICE, only.id) is None
    assert messages.parts(house.engine, ALICE, only.id) is None
    assert messages.email_view(house.engine, ALICE, only.id) is None
    kept = meta(house, both.id)
    assert (kept.mailboxes, kept.keywords) == (((archive, 1),), ("$seen",))
    assert house.changes(TypeCode.EMAIL, both.version).destroyed == [only.id]


def test_expunging_nothing_moves_nothing(house: House) -> None:
    plan = house.plan()
    with plan.command():
        assert plan_expunge(plan, ALICE, house.role("inbox"), [4]) == []
        assert plan_copy_uids(plan, ALICE, house.role("inbox"), [], house.role("sent")) == []
        assert plan_move_uids(plan, ALICE, house.role("inbox"), [1], house.role("sent")) == []
    assert plan.empty


def test_destroying_takes_an_email_out_of_everywhere(house: House) -> None:
    came = house.deliver(house.role("inbox"), house.role("archive"), size=77)
    with house.command() as plan:
        plan_destroy(plan, ALICE, came.id)
    held = state(house.engine, ALICE)
    assert (held.emails, held.octets, held.threads) == (0, 0, 0)
    with pytest.raises(EmailNotFound), house.command() as plan:
        plan_destroy(plan, ALICE, came.id)
    with pytest.raises(EmailNotFound), house.command() as plan:
        plan_mailboxes(plan, ALICE, came.id, add=[house.role("inbox")])


def test_both_mailboxes_must_be_there(house: House) -> None:
    with pytest.raises(MailboxNotFound):
        copy(house, house.role("inbox"), [1], MailboxId(99))
    with pytest.raises(MailboxNotFound):
        move(house, MailboxId(99), [1], house.role("inbox"))
    with pytest.raises(MailboxNotFound):
        expunge(house, MailboxId(99), [1])


def test_a_command_is_bounded_in_messages(house: House) -> None:
    many = list(range(1, COMMAND_EMAILS_MAX + 2))
    with pytest.raises(TooManyEmails):
        expunge(house, house.role("inbox"), many)
    assert expunge(house, house.role("inbox"), many[:-1]) == []


def test_a_command_is_bounded_in_octets(house: House) -> None:
    inbox, archive = house.role("inbox"), house.role("archive")
    large = "x" * (COMMAND_OCTETS_MAX // 2)
    for _ in range(2):
        house.deliver(inbox, view_json=large.encode())
    before = house.engine.rows()
    with pytest.raises(TooManyEmails):
        copy(house, inbox, [1, 2], archive)
    assert house.engine.rows() == before
    for uid in (1, 2):  # each by itself fits
        assert copy(house, inbox, [uid], archive) == [(uid, uid)]
    assert move(house, inbox, [1, 2], archive) == [(1, 3), (2, 4)]


def test_a_copy_ends_where_the_command_is_full_and_the_next_goes_on(house: House) -> None:
    inbox, archive = house.role("inbox"), house.role("archive")
    for _ in range(12):
        house.deliver(inbox, view_json=b"x" * (COMMAND_OCTETS_FULL // 5))
    left, carried = list(range(1, 13)), []
    while left:
        pairs = copy(house, inbox, left, archive)
        assert 1 < len(pairs) <= 5
        carried += pairs
        left = left[len(pairs) :]
    assert carried == [(uid, uid) for uid in range(1, 13)]


def test_many_are_copied_and_expunged_whatever_is_between(house: House) -> None:
    inbox, archive = house.role("inbox"), house.role("archive")
    house.checked = False
    for number in range(2 * WINDOW_EMAILS + 2):
        house.deliver(archive if number % 3 == 2 else inbox)
    asked = uids(house, inbox)[1:]
    assert [uid for uid, _ in copy(house, inbox, asked, archive)] == asked
    assert expunge(house, inbox, asked) == asked
    assert uids(house, inbox) == [1]
    copied = uids(house, archive)[-len(asked) :]
    assert expunge(house, archive, copied) == copied
    assert recount(house.engine, ALICE) == []


def saved(house: House, mailbox: MailboxId) -> list[int]:
    return [row.saved_s for _, row in messages.uid_rows(house.engine, ALICE, mailbox)]


def test_each_mailbox_knows_since_when_it_has_a_message(house: House) -> None:
    inbox, archive, trash = (house.role(role) for role in ("inbox", "archive", "trash"))
    came = house.deliver(inbox, received_ms=5)
    first = house.now_ms // 1000
    assert saved(house, inbox) == [first]
    house.now_ms += 60_000
    assert copy(house, inbox, [1], archive) == [(1, 1)]
    assert (saved(house, inbox), saved(house, archive)) == ([first], [first + 60])
    house.now_ms += 60_000
    with house.command() as plan:
        plan_mailboxes(plan, ALICE, came.id, add=[trash])
    assert (saved(house, inbox), saved(house, trash)) == ([first], [first + 120])
    house.now_ms += 60_000
    assert move(house, inbox, [1], archive) == [(1, 2)]
    assert saved(house, archive) == [first + 60, first + 180]
    assert saved(house, trash) == [first + 120]
    house.now_ms += 60_000
    assert move(house, archive, [1], archive) == [(1, 3)]
    assert saved(house, archive) == [first + 180, first + 240]


def test_other_flags_leave_the_time_a_message_was_saved(house: House) -> None:
    inbox = house.role("inbox")
    came = house.deliver(inbox)
    before = saved(house, inbox)
    house.now_ms += 60_000
    with house.command() as plan:
        plan_keywords(plan, ALICE, came.id, add=["$seen"])
    assert saved(house, inbox) == before


def test_rows_of_an_older_version_lack_the_time_and_are_whole(house: House) -> None:
    inbox, archive = house.role("inbox"), house.role("archive")
    came = house.deliver(inbox)
    as_then = {
        keys.email_meta_key(ALICE, came.id): 9,
        keys.uid_key(ALICE, inbox, 1): 5,
    }
    for key, fields in as_then.items():
        held = house.engine.get(key)
        assert held is not None
        house.engine.write(
            [(key, msgspec.msgpack.encode(msgspec.msgpack.decode(held)[:fields]))], []
        )
    assert saved(house, inbox) == [0]
    assert recount(house.engine, ALICE) == []
    with house.command() as plan:
        plan_keywords(plan, ALICE, came.id, add=["$seen"])
    assert saved(house, inbox) == [0]
    house.now_ms += 60_000
    with house.command() as plan:
        plan_mailboxes(plan, ALICE, came.id, add=[archive])
    assert (saved(house, inbox), saved(house, archive)) == ([0], [house.now_ms // 1000])


def test_a_row_that_tells_another_time_is_found(house: House) -> None:
    inbox = house.role("inbox")
    house.deliver(inbox)
    key = keys.uid_key(ALICE, inbox, 1)
    held = house.engine.get(key)
    assert held is not None
    fields = msgspec.msgpack.decode(held)
    for wrong in (msgspec.msgpack.encode([*fields[:5], fields[5] + 1]), b"\x00", held[:-2]):
        house.engine.write([(key, wrong)], [])
        assert any("UID row" in told for told in recount(house.engine, ALICE))


def test_a_copy_of_a_copy_knows_the_first(house: House) -> None:
    inbox, archive, trash = (house.role(role) for role in ("inbox", "archive", "trash"))
    first = house.deliver(inbox).id
    copy(house, inbox, [1], archive)
    copy(house, archive, [1], trash)
    move(house, trash, [1], house.role("junk"))
    for mailbox in (inbox, archive, house.role("junk")):
        [(_, row)] = messages.uid_rows(house.engine, ALICE, mailbox)
        assert row.content == first
