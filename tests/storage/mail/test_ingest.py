"""A new email has all its rows, once, and leaves none when it is refused."""

import msgspec
import pytest

from storage.ids import EmailId, MailboxId, blob_id
from storage.keys import TypeCode
from storage.mail import messages
from storage.mail.errors import (
    KeywordInvalid,
    MailboxNotFound,
    NoMailbox,
    TooManyMailboxes,
)
from storage.mail.ingest import EMAIL_MAILBOXES_MAX, plan_ingest
from storage.mail.keywords import plan_keywords
from storage.mail.records import LIST_PROPERTIES, EmailView
from storage.mail.state import state
from tests.storage.mail.story import ALICE, PID, House, new_email


def test_a_delivery_is_found_by_id_by_uid_and_by_date(house: House) -> None:
    inbox = house.role("inbox")
    came = house.deliver(inbox, size=321, body=b"x")
    meta = messages.meta(house.engine, ALICE, came.id)
    assert meta is not None
    assert (meta.size, meta.blob, meta.mailboxes) == (321, blob_id(b"x"), ((inbox, 1),))
    assert meta.modseq == came.version == house.version
    assert [uid for uid, _ in messages.uid_rows(house.engine, ALICE, inbox)] == [1]
    for box in (inbox, messages.ALL_MAIL):
        rows = messages.by_date(house.engine, ALICE, box, newest_first=True, limit=5)
        assert rows == [(meta.received_ms, came.id, came.thread)]
    assert messages.parts(house.engine, ALICE, came.id) == b"\x90"
    assert messages.holds_blob(house.engine, ALICE, blob_id(b"x"))
    assert not messages.holds_blob(house.engine, ALICE, blob_id(b"y"))


def test_the_view_is_kept_as_it_was_rendered(house: House) -> None:
    view = EmailView(3, tuple(b"1" for _ in LIST_PROPERTIES), b"(env)", b"(body)")
    email = msgspec.structs.replace(new_email(), view=view)
    with house.command() as plan:
        came = plan_ingest(plan, ALICE, email, mailboxes=[house.role("inbox")])
    assert messages.email_view(house.engine, ALICE, came.id) == view


def test_numbers_go_up_by_one(house: House) -> None:
    first, second = house.deliver(), house.deliver()
    assert (first.id, second.id) == (1, 2)
    assert (first.thread, second.thread) == (1, 2)
    assert [first.mailboxes[0][1], second.mailboxes[0][1]] == [1, 2]
    assert second.version == first.version + 1


def test_one_email_in_two_mailboxes_has_a_uid_in_each(house: House) -> None:
    inbox, archive = house.role("inbox"), house.role("archive")
    house.deliver(inbox)
    came = house.deliver(archive, inbox, archive)
    assert came.mailboxes == ((inbox, 2), (archive, 1))
    assert state(house.engine, ALICE).emails == 2


def test_a_delivery_is_told_to_all_who_follow_changes(house: House) -> None:
    before = house.version
    came = house.deliver()
    assert house.changes(TypeCode.EMAIL, before).created == [came.id]
    assert house.changes(TypeCode.THREAD, before).created == [came.thread]
    assert house.changes(TypeCode.EMAIL_DELIVERY, before).created == [came.id]
    boxes = house.changes(TypeCode.MAILBOX, before)
    assert (boxes.updated, boxes.counts_only) == ([house.role("inbox")], True)


def test_a_delivery_announces_four_types(house: House) -> None:
    plan = house.plan()
    with plan.command():
        plan_ingest(plan, ALICE, new_email(), mailboxes=[house.role("inbox")])
    (announce,) = plan.batch(PID, 0).announces
    assert announce.types == (
        TypeCode.EMAIL.bit
        | TypeCode.MAILBOX.bit
        | TypeCode.THREAD.bit
        | TypeCode.EMAIL_DELIVERY.bit
    )


def test_what_no_reader_of_the_log_sees_is_announced_as_no_type(house: House) -> None:
    came = house.deliver(keywords=["$deleted"])
    before = house.version
    plan = house.plan()
    with plan.command():
        plan_keywords(plan, ALICE, came.id, add=["$seen"])
    (announce,) = plan.batch(PID, 0).announces
    assert announce.version == before + 1
    assert announce.types == TypeCode.HIDDEN_EMAIL.bit


def test_an_email_received_before_1970_keeps_its_date(house: House) -> None:
    came = house.deliver(received_ms=-5_000)
    meta = messages.meta(house.engine, ALICE, came.id)
    assert meta is not None and meta.received_ms == -5_000


@pytest.mark.parametrize("boxes", [[], [MailboxId(99)]])
def test_it_must_go_somewhere(house: House, boxes: list[MailboxId]) -> None:
    before = house.engine.rows()
    with pytest.raises((NoMailbox, MailboxNotFound)), house.command() as plan:
        plan_ingest(plan, ALICE, new_email(), mailboxes=boxes)
    assert house.engine.rows() == before


def test_too_many_mailboxes(house: House) -> None:
    boxes = [house.create(f"box {n}").id for n in range(EMAIL_MAILBOXES_MAX + 1)]
    house.deliver(*boxes[:-1])
    with pytest.raises(TooManyMailboxes):
        house.deliver(*boxes)


def test_a_bad_keyword_refuses_it(house: House) -> None:
    with pytest.raises(KeywordInvalid):
        house.deliver(keywords=["two words"])


def test_cost_does_not_grow_with_the_mailbox() -> None:
    house = House(checked=False).open()
    inbox = house.role("inbox")

    def rows_written() -> int:
        plan = house.plan()
        with plan.command():
            plan_ingest(plan, ALICE, new_email(ids=["a@b"], subject="s"), mailboxes=[inbox])
        return len(plan.batch(PID, 0).puts)

    first = rows_written()
    for _ in range(300):
        house.deliver(inbox)
    assert rows_written() == first <= 16
    assert messages.meta(house.engine, ALICE, EmailId(300)) is not None
