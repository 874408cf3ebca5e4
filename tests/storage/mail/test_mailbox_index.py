"""The order of a mailbox's UIDs: brought forward cheaply, exact, within its bound."""

import pytest

from storage import changes
from storage.ids import MailboxId, Version
from storage.mail import mailboxes
from storage.mail.errors import MailboxNotFound
from storage.mail.ingest import plan_ingest
from storage.mail.mailbox_index import SCAN_ROWS, MailboxIndex, MailboxIndexes
from storage.mail.moves import plan_expunge, plan_move_uids
from tests.storage.mail.story import ALICE, House, new_email
from tests.storage.mail.test_search import Counted

AMPLE_BYTES = 1_000_000


def expunge(house: House, *uids: int) -> None:
    with house.command() as plan:
        plan_expunge(plan, ALICE, house.role("inbox"), uids)


def index_of(house: House, indexes: MailboxIndexes) -> MailboxIndex:
    return indexes.get(house.engine, ALICE, house.role("inbox"))


def test_it_follows_what_comes_and_goes(house: House) -> None:
    indexes = MailboxIndexes(AMPLE_BYTES)
    assert len(index_of(house, indexes)) == 0
    for _ in range(5):
        house.deliver()
    expunge(house, 2, 5)
    index = index_of(house, indexes)
    assert list(index.uids) == [1, 3, 4]
    assert index.version == house.version
    house.deliver()
    expunge(house, 1, 6)
    index = index_of(house, indexes)
    assert list(index.uids) == [3, 4]


def test_places_are_sequence_numbers_less_one(house: House) -> None:
    for _ in range(4):
        house.deliver()
    expunge(house, 2)
    index = index_of(house, MailboxIndexes(AMPLE_BYTES))
    assert [index.place(uid) for uid in (0, 1, 2, 3, 4, 5)] == [None, 0, None, 1, 2, None]


def test_an_index_somebody_holds_does_not_change(house: House) -> None:
    indexes = MailboxIndexes(AMPLE_BYTES)
    house.deliver()
    before = index_of(house, indexes)
    house.deliver()
    assert len(index_of(house, indexes)) == 2
    assert list(before.uids) == [1]


def test_bringing_it_forward_reads_what_changed() -> None:
    house = House(checked=False).open()
    for _ in range(300):
        house.deliver()
    indexes = MailboxIndexes(AMPLE_BYTES)
    index_of(house, indexes)
    expunge(house, 10, 20)
    house.deliver()
    rows = Counted(house)
    assert len(indexes.get(rows, ALICE, house.role("inbox"))) == 299
    assert rows.read <= 8
    rows.read = 0
    indexes.get(rows, ALICE, house.role("inbox"))
    assert rows.read == 1


def test_after_the_log_is_trimmed_it_is_read_anew(house: House) -> None:
    indexes = MailboxIndexes(AMPLE_BYTES)
    for _ in range(3):
        house.deliver()
    index_of(house, indexes)
    expunge(house, 2)
    with house.command() as plan:
        changes.plan_trim(plan, ALICE, Version(house.version))
    assert list(index_of(house, indexes).uids) == [1, 3]


def test_a_mailbox_longer_than_a_page_of_rows() -> None:
    house = House(checked=False).open()
    plan = house.plan()
    for _ in range(SCAN_ROWS + 1):
        with plan.command():
            plan_ingest(plan, ALICE, new_email(), mailboxes=[house.role("inbox")])
    house.apply(plan)
    index = index_of(house, MailboxIndexes(AMPLE_BYTES))
    assert list(index.uids) == list(range(1, SCAN_ROWS + 2))


def test_what_a_plan_shows_is_not_kept(house: House) -> None:
    indexes = MailboxIndexes(AMPLE_BYTES)
    inbox = house.role("inbox")
    house.deliver()
    index_of(house, indexes)
    plan = house.plan()
    with plan.command():
        plan_move_uids(plan, ALICE, inbox, [1], inbox)
        assert list(indexes.get(plan, ALICE, inbox).uids) == [2]
    assert list(index_of(house, indexes).uids) == [1]


def test_the_cache_keeps_what_was_used_last_within_its_bound(house: House) -> None:
    boxes = [house.create(f"box {n}").id for n in range(5)]
    one = MailboxIndexes(AMPLE_BYTES).get(house.engine, ALICE, boxes[0]).bytes_held
    indexes = MailboxIndexes(2 * one)
    held = [indexes.get(house.engine, ALICE, box) for box in boxes]
    assert indexes.bytes_held == 2 * one
    assert indexes.get(house.engine, ALICE, boxes[4]) is held[4]
    assert indexes.get(house.engine, ALICE, boxes[0]) is not held[0]


def test_one_too_large_for_the_cache_is_still_answered(house: House) -> None:
    house.deliver()
    indexes = MailboxIndexes(10)
    assert len(index_of(house, indexes)) == 1
    assert indexes.bytes_held == 0


def test_a_destroyed_mailbox_is_forgotten(house: House) -> None:
    indexes = MailboxIndexes(AMPLE_BYTES)
    work = house.create("work")
    indexes.get(house.engine, ALICE, work.id)
    with house.command() as plan:
        mailboxes.plan_destroy_mailbox(plan, ALICE, work.id, remove_emails=False)
    with pytest.raises(MailboxNotFound):
        indexes.get(house.engine, ALICE, work.id)
    assert indexes.bytes_held == 0
    with pytest.raises(MailboxNotFound):
        indexes.get(house.engine, ALICE, MailboxId(99))


def fill(house: House, count: int) -> None:
    plan = house.plan()
    for _ in range(count):
        with plan.command():
            plan_ingest(plan, ALICE, new_email(), mailboxes=[house.role("inbox")])
    house.apply(plan)


def test_a_large_mailbox_is_read_a_page_at_a_time_while_it_changes() -> None:
    house = House(checked=False).open()
    fill(house, SCAN_ROWS + 10)
    indexes = MailboxIndexes(AMPLE_BYTES)
    rows = Counted(house)
    steps = 0
    for _ in indexes.warm(rows, ALICE, house.role("inbox")):
        assert rows.read <= (steps + 1) * SCAN_ROWS + 1
        expunge(house, 1 + steps, SCAN_ROWS + 1 + steps)  # one that was read, one that was not
        house.deliver()
        steps += 1
    assert steps == 1
    rows.read = 0
    wanted = [uid for uid in range(1, SCAN_ROWS + 12) if uid not in (1, SCAN_ROWS + 1)]
    assert list(indexes.get(rows, ALICE, house.role("inbox")).uids) == wanted
    assert rows.read <= 8, "it was held, and only brought forward"
    assert list(indexes.warm(rows, ALICE, house.role("inbox"))) == []


def test_what_a_reader_has_brought_forward_need_not_be_read(house: House) -> None:
    for _ in range(3):
        house.deliver()
    indexes, inbox = MailboxIndexes(AMPLE_BYTES), house.role("inbox")
    mine = index_of(house, MailboxIndexes(AMPLE_BYTES))
    assert indexes.offer(ALICE, inbox, mine.version, mine.uids) is mine.uids
    rows = Counted(house)
    assert indexes.get(rows, ALICE, inbox).uids is mine.uids
    assert rows.read == 1
    same = mine.uids[:]
    assert indexes.offer(ALICE, inbox, mine.version, same) is mine.uids, "one array for all"
    house.deliver()
    newer = index_of(house, indexes)
    assert indexes.offer(ALICE, inbox, mine.version, same) is same, "who is behind keeps his own"
    assert index_of(house, indexes) is newer
