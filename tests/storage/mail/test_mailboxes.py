"""Mailboxes: made, found, changed and destroyed, with what each may be refused for."""

import pytest

from storage.ids import MailboxId
from storage.keys import TypeCode
from storage.mail import mailboxes, messages
from storage.mail.errors import (
    MailboxExists,
    MailboxHasChild,
    MailboxHasEmail,
    MailboxLimit,
    MailboxNotFound,
    MailboxProtected,
    MailboxTooLarge,
    RoleInvalid,
    RoleTaken,
)
from storage.mail.keywords import plan_keywords
from storage.mail.ledger import COMMAND_EMAILS_MAX
from storage.mail.moves import plan_empty
from storage.mail.tree import MAILBOXES_MAX
from tests.storage.mail.story import ALICE, NOON_MS, House


def destroy(house: House, mailbox: int, *, remove_emails: bool = False) -> None:
    with house.command() as plan:
        mailboxes.plan_destroy_mailbox(plan, ALICE, MailboxId(mailbox), remove_emails=remove_emails)


def update(house: House, mailbox: int, **wanted: object) -> mailboxes.Mailbox:
    with house.command() as plan:
        return mailboxes.plan_update(plan, ALICE, MailboxId(mailbox), **wanted)  # type: ignore[arg-type]


def names(house: House) -> list[str]:
    return ["/".join(mailboxes.path(house.engine, ALICE, box.id)) for box in every(house)]


def every(house: House) -> list[mailboxes.Mailbox]:
    return mailboxes.list_mailboxes(house.engine, ALICE)


def test_a_new_account_has_one_mailbox_of_each_usual_role(house: House) -> None:
    assert names(house) == ["INBOX", "Drafts", "Sent", "Trash", "Junk", "Archive"]
    for box in every(house):
        assert box.role is not None
        assert mailboxes.by_role(house.engine, ALICE, box.role) == box
        assert mailboxes.get_mailbox(house.engine, ALICE, box.id) == box
        assert house.counts(box.id).emails == 0


def test_uidvalidity_is_unique_and_starts_with_the_clock(house: House) -> None:
    drawn = [box.uidvalidity for box in every(house)]
    assert drawn == list(range(NOON_MS // 1000, NOON_MS // 1000 + 6))
    later = House()
    later.now_ms += 60_000
    assert every(later.open())[0].uidvalidity > drawn[-1]


def test_a_mailbox_made_anew_is_another(house: House) -> None:
    first = house.create("work")
    house.deliver(first.id)
    destroy(house, first.id, remove_emails=True)
    second = house.create("work")
    assert second.id > first.id and second.uidvalidity > first.uidvalidity
    assert house.deliver(second.id).mailboxes == ((second.id, 1),)


def test_a_path_leads_there_and_back(house: House) -> None:
    year = house.create("2026", parent=house.create("Work").id)
    below = house.create("lists", parent=house.role("inbox"))
    for box, path in ((year, ("Work", "2026")), (below, ("INBOX", "lists"))):
        assert mailboxes.path(house.engine, ALICE, box.id) == path
        assert mailboxes.by_path(house.engine, ALICE, path) == box
    assert mailboxes.by_path(house.engine, ALICE, ("inBox", "lists")) == below
    for nowhere in ((), ("work",), ("Work", "INBOX"), ("Work", "2026", "x"), ("\ud800",)):
        assert mailboxes.by_path(house.engine, ALICE, nowhere) is None


def test_the_inbox_stays_inbox_whatever_it_is_called(house: House) -> None:
    inbox = house.role("inbox")
    update(house, inbox, name="Posteingang")
    assert mailboxes.path(house.engine, ALICE, inbox) == ("INBOX",)
    found = mailboxes.by_path(house.engine, ALICE, ("INBOX",))
    assert found is not None and (found.id, found.name) == (inbox, "Posteingang")
    for name in ("INBOX", "inbox", "Inbox"):
        with pytest.raises(MailboxExists):
            house.create(name)
    house.create("inbox", parent=house.role("archive"))


@pytest.mark.parametrize("wanted", [{"role": None}, {"role": "all"}, {"parent": 2}])
def test_the_inbox_keeps_its_role_and_place(house: House, wanted: dict[str, object]) -> None:
    with pytest.raises(MailboxProtected):
        update(house, house.role("inbox"), **wanted)
    with pytest.raises(MailboxProtected):
        destroy(house, house.role("inbox"), remove_emails=True)


def test_an_inbox_made_by_hand_is_at_the_top() -> None:
    house = House()
    with pytest.raises(MailboxProtected):
        house.create("in", parent=house.create("top").id, role="inbox")
    house.create("INBOX", role="inbox")


def test_siblings_have_different_names(house: House) -> None:
    work = house.create("work")
    house.create("Work")
    house.create("work", parent=work.id)
    with pytest.raises(MailboxExists):
        house.create("work")
    with pytest.raises(MailboxExists):
        update(house, house.create("other").id, name="work")


def test_a_role_is_one_mailboxs_and_one_of_those_known(house: House) -> None:
    with pytest.raises(RoleTaken):
        house.create("bin", role="trash")
    with pytest.raises(RoleInvalid):
        house.create("bin", role="dustbin")
    update(house, house.role("trash"), role=None)
    bin_ = house.create("bin", role="trash")
    assert house.role("trash") == bin_.id


def test_an_update_is_told_and_no_change_is_not(house: House) -> None:
    before = house.version
    work = house.create("work")
    assert update(house, work.id, name="work") == work
    assert house.version == before + 1
    now = update(house, work.id, name="jobs", subscribed=False, sort_order=7)
    assert (now.name, now.subscribed, now.sort_order) == ("jobs", False, 7)
    told = house.changes(TypeCode.MAILBOX, before + 1)
    assert (told.updated, told.counts_only) == ([work.id], False)


def test_a_mailbox_moves_with_all_below_it(house: House) -> None:
    work, home = house.create("work"), house.create("home")
    year = house.create("2026", parent=work.id)
    update(house, work.id, parent=home.id, name="job")
    assert mailboxes.path(house.engine, ALICE, year.id) == ("home", "job", "2026")


def test_a_mailbox_with_children_stays_and_so_does_its_mail(house: House) -> None:
    work = house.create("work")
    child = house.create("2026", parent=work.id)
    house.deliver(work.id)
    with pytest.raises(MailboxHasChild):
        destroy(house, work.id, remove_emails=True)
    assert house.counts(work.id).emails == 1
    destroy(house, child.id)


def test_a_mailbox_with_email_goes_only_when_asked_to(house: House) -> None:
    work, archive = house.create("work"), house.role("archive")
    only, both = house.deliver(work.id), house.deliver(work.id, archive)
    with pytest.raises(MailboxHasEmail):
        destroy(house, work.id)
    before = house.version
    destroy(house, work.id, remove_emails=True)
    assert house.version == before + 1
    assert house.changes(TypeCode.MAILBOX, before).destroyed == [work.id]
    told = house.changes(TypeCode.EMAIL, before)
    assert (told.destroyed, told.updated) == ([only.id], [both.id])
    kept = messages.meta(house.engine, ALICE, both.id)
    assert kept is not None and kept.mailboxes == ((archive, 1),)
    with pytest.raises(MailboxNotFound):
        house.counts(work.id)


def test_messages_marked_deleted_do_not_keep_a_mailbox(house: House) -> None:
    work, archive = house.create("work"), house.role("archive")
    both = house.deliver(work.id, archive, keywords=["$deleted"])
    destroy(house, work.id)
    kept = messages.meta(house.engine, ALICE, both.id)
    assert kept is not None and kept.keywords == ("$deleted",)


def test_a_large_mailbox_is_emptied_first() -> None:
    house = House(checked=False).open()
    work = house.create("work")
    for _ in range(COMMAND_EMAILS_MAX + 1):
        house.deliver(work.id)
    with pytest.raises(MailboxTooLarge):
        destroy(house, work.id, remove_emails=True)
    with house.command() as plan:
        assert plan_empty(plan, ALICE, work.id) == 1
    house.checked = True
    destroy(house, work.id, remove_emails=True)


def test_an_account_has_so_many_mailboxes_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAILBOXES_MAX == 10_000
    monkeypatch.setattr(mailboxes, "MAILBOXES_MAX", 7)
    house = House().open()
    last = house.create("last")
    with pytest.raises(MailboxLimit):
        house.create("one more")
    destroy(house, last.id)
    house.create("in its place")


def test_what_is_not_there_is_not_found(house: House) -> None:
    with pytest.raises(MailboxNotFound):
        update(house, 99, name="x")
    with pytest.raises(MailboxNotFound):
        destroy(house, 99)
    with pytest.raises(MailboxNotFound):
        house.create("x", parent=99)
    assert mailboxes.get_mailbox(house.engine, ALICE, MailboxId(99)) is None
    assert mailboxes.by_role(house.engine, ALICE, "all") is None


def test_hidden_mail_does_not_count_as_jmap_counts(house: House) -> None:
    came = house.deliver()
    with house.command() as plan:
        plan_keywords(plan, ALICE, came.id, add=["$deleted"])
    counts = house.counts(house.role("inbox"))
    assert (counts.emails, counts.deleted, counts.unseen) == (1, 1, 1)
    assert (counts.unread, counts.threads, counts.unread_threads) == (0, 0, 0)
