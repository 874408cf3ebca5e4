"""IMAP's numbers: UIDs, what changed and what vanished since a MODSEQ."""

import msgspec
import pytest

from storage import changes, keys
from storage.ids import EmailId, MailboxId, Version
from storage.mail.errors import MailboxLimit
from storage.mail.keywords import plan_keywords
from storage.mail.moves import plan_expunge
from storage.mail.records import AccountState, MailboxCounts, pack
from storage.mail.uids import (
    SCAN_ROWS,
    UID_MAX,
    changed,
    draw_uidvalidity,
    uid_row,
    uid_rows,
    vanished,
)
from tests.storage.mail.story import ALICE, House


def test_rows_of_a_range_in_order(house: House) -> None:
    inbox = house.role("inbox")
    for _ in range(5):
        house.deliver(inbox)
    rows = house.engine
    assert [uid for uid, _ in uid_rows(rows, ALICE, inbox)] == [1, 2, 3, 4, 5]
    assert [uid for uid, _ in uid_rows(rows, ALICE, inbox, 2, 4)] == [2, 3, 4]
    assert [uid for uid, _ in uid_rows(rows, ALICE, inbox, 2, limit=2)] == [2, 3]
    assert uid_row(rows, ALICE, inbox, 6) is None
    assert uid_rows(rows, ALICE, house.role("sent")) == []


def test_the_last_uid_is_the_last(house: House) -> None:
    inbox = house.role("inbox")
    house.checked = False
    house.engine.write(
        [(keys.mailbox_counts_key(ALICE, inbox), pack(MailboxCounts(uidnext=UID_MAX)))]
    )
    house.checked = True
    assert house.deliver(inbox).mailboxes == ((inbox, UID_MAX),)
    assert [uid for uid, _ in changed(house.engine, ALICE, inbox, 0)] == [UID_MAX]
    with pytest.raises(MailboxLimit):
        house.deliver(inbox)


def test_uidvalidity_counts_up_from_the_first_second() -> None:
    first, after = draw_uidvalidity(AccountState(), 1_790_000_000_999)
    assert first == 1_790_000_000
    second, _ = draw_uidvalidity(msgspec.structs.replace(after, next_mailbox=2), 5)
    assert second == first + 1
    assert draw_uidvalidity(AccountState(), 0)[0] == 1


def test_what_changed_since(house: House) -> None:
    inbox, archive = house.role("inbox"), house.role("archive")
    first = house.deliver(inbox)
    house.deliver(inbox, archive)
    since = house.version
    assert changed(house.engine, ALICE, inbox, since) == []
    with house.command() as plan:
        plan_keywords(plan, ALICE, first.id, add=["$deleted"])
    with house.command() as plan:
        plan_keywords(plan, ALICE, first.id, remove=["$deleted"])
    house.deliver(archive)
    house.deliver(inbox, keywords=["$deleted"])
    rows = changed(house.engine, ALICE, inbox, since)
    assert [(uid, row.keywords) for uid, row in rows] == [(1, ()), (3, ("$deleted",))]


def test_what_changed_is_found_without_the_log_too(house: House) -> None:
    inbox = house.role("inbox")
    house.checked = False
    for _ in range(SCAN_ROWS + 2):
        house.deliver(inbox)
    since = house.version
    for uid in (SCAN_ROWS + 1, 5):
        with house.command() as plan:
            plan_keywords(plan, ALICE, house_email(house, inbox, uid), add=["$seen"])
    by_log = changed(house.engine, ALICE, inbox, since)
    with house.command() as plan:
        changes.plan_trim(plan, ALICE, Version(house.version))
    assert [uid for uid, _ in by_log] == [5, SCAN_ROWS + 1]
    assert changed(house.engine, ALICE, inbox, since) == by_log


def test_what_changed_is_the_same_by_the_log_and_by_a_walk(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox, archive = house.role("inbox"), house.role("archive")
    for number in range(12):
        house.deliver(inbox if number % 3 else archive)
    versions = [house.version]
    for uid in (3, 1, 6, 3):
        with house.command() as plan:
            plan_keywords(plan, ALICE, house_email(house, inbox, uid), add=[f"own{len(versions)}"])
        versions.append(house.version)
    told = []
    for walked in (0, 10_000):
        monkeypatch.setattr("storage.mail.uids.WALKED_ROWS", walked)
        told.append([changed(house.engine, ALICE, inbox, since) for since in versions])
    assert told[0] == told[1]
    assert [[uid for uid, _ in rows] for rows in told[0]] == [[1, 3, 6], [1, 3, 6], [3, 6], [3], []]


def house_email(house: House, mailbox: MailboxId, uid: int) -> EmailId:
    row = uid_row(house.engine, ALICE, mailbox, uid)
    assert row is not None
    return row.email


def test_what_vanished_since(house: House) -> None:
    inbox = house.role("inbox")
    for _ in range(4):
        house.deliver(inbox)
    since = house.version
    for uids in ([3], [1, 4]):
        with house.command() as plan:
            plan_expunge(plan, ALICE, inbox, uids)
    assert vanished(house.engine, ALICE, inbox, since) == [1, 3, 4]
    assert vanished(house.engine, ALICE, inbox, since + 1) == [1, 4]
    assert vanished(house.engine, ALICE, house.role("sent"), since) == []
    assert house.counts(inbox).modseq == house.version
