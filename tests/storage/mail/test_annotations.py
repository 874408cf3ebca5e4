"""Annotations: set, removed, bounded, and told apart by reader and mailbox."""

import pytest

from storage.ids import AccountId, MailboxId
from storage.mail import annotations as notes
from storage.mail import mailboxes
from storage.mail.errors import AnnotationTooLarge, TooManyAnnotations
from tests.storage.mail.story import ALICE, House

BOX = MailboxId(1)
OTHER = MailboxId(2)


def annotate(
    house: House,
    *,
    box: MailboxId = BOX,
    reader: AccountId = notes.SHARED,
    **values: bytes | None,
) -> None:
    entries = {f"/{name}": value for name, value in values.items()}
    with house.command() as plan:
        notes.plan_annotate(plan, ALICE, box, reader, entries)


def held(house: House, box: MailboxId = BOX, reader: AccountId = notes.SHARED) -> dict[str, bytes]:
    return notes.annotations(house.engine, ALICE, box, reader)


def changed(house: House, version: int) -> list[str]:
    return [entry for _, _, entry, _ in notes.changed_since(house.engine, ALICE, version)]


def test_readers_and_mailboxes_have_their_own(house: House) -> None:
    annotate(house, comment=b"for all")
    annotate(house, reader=ALICE, comment=b"mine")
    annotate(house, box=OTHER, comment=b"elsewhere")
    assert held(house) == {"/comment": b"for all"}
    assert held(house, reader=ALICE) == {"/comment": b"mine"}
    assert held(house, OTHER) == {"/comment": b"elsewhere"}


def test_what_changed_is_known_by_version_also_what_was_removed(house: House) -> None:
    annotate(house, a=b"1", b=b"2")
    before = notes.last_change(house.engine, ALICE)
    annotate(house, a=None, b=b"2")
    assert held(house) == {"/b": b"2"}
    assert changed(house, before) == ["/a"]
    after = notes.last_change(house.engine, ALICE)
    assert after > before
    annotate(house, a=None, b=b"2")  # nothing new
    assert notes.last_change(house.engine, ALICE) == after
    assert changed(house, after) == []


def test_a_value_may_be_so_large_and_no_larger(house: House) -> None:
    annotate(house, a=bytes(notes.VALUE_BYTES_MAX))
    with pytest.raises(AnnotationTooLarge):
        annotate(house, b=b"1", a=bytes(notes.VALUE_BYTES_MAX + 1))
    assert list(held(house)) == ["/a"]


def test_a_mailbox_has_so_many_and_no_more(house: House) -> None:
    annotate(house, **{f"e{number}": b"" for number in range(notes.ENTRIES_MAX)})
    with pytest.raises(TooManyAnnotations):
        annotate(house, one_more=b"")
    annotate(house, e0=None, one_more=b"")
    assert len(held(house)) == notes.ENTRIES_MAX


def test_an_account_holds_so_many_octets_and_no_more(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes, "ACCOUNT_BYTES_MAX", 20)
    annotate(house, a=b"12345678")
    annotate(house, box=OTHER, a=b"12345678")  # 2 octets of name, 8 of value
    with pytest.raises(TooManyAnnotations):
        annotate(house, box=OTHER, b=b"")
    annotate(house, a=b"1")
    annotate(house, box=OTHER, b=b"")


def test_names_of_what_was_removed_do_not_pile_up(house: House) -> None:
    for number in range(150):
        annotate(house, **{f"e{number}": b""})
        annotate(house, **{f"e{number}": None})
    assert len(changed(house, 0)) <= 102


def test_they_are_copied_to_a_mailbox_and_go_with_it(house: House) -> None:
    with house.command() as plan:
        box = mailboxes.plan_create(plan, ALICE, "Old").id
    annotate(house, box=BOX, a=b"1")
    annotate(house, box=BOX, reader=ALICE, b=b"2")
    with house.command() as plan:
        notes.plan_copy_annotations(plan, ALICE, BOX, box)
    assert held(house, box) == {"/a": b"1"}
    assert held(house, box, ALICE) == {"/b": b"2"}
    with house.command() as plan:
        mailboxes.plan_destroy_mailbox(plan, ALICE, box, remove_emails=True)
    assert held(house, box) == held(house, box, ALICE) == {}
    assert held(house, BOX) == {"/a": b"1"}


def test_a_guest_keeps_so_much_in_the_owners_account_and_no_more(house: House) -> None:
    guest = AccountId(ALICE + 1)
    whole = bytes(notes.VALUE_BYTES_MAX - 2)
    annotate(house, reader=guest, a=whole, b=whole)
    with pytest.raises(TooManyAnnotations, match="a guest"):
        annotate(house, reader=guest, c=b"1")
    annotate(house, reader=ALICE, a=whole, b=whole, c=whole)
