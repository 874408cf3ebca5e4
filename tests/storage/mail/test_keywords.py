"""Keywords: their form, their limits, and what a change of them changes."""

import pytest

from storage.ids import EmailId
from storage.keys import TypeCode
from storage.mail import messages
from storage.mail.errors import (
    EmailNotFound,
    KeywordInvalid,
    MailboxNotFound,
    TooManyEmails,
    TooManyKeywords,
)
from storage.mail.keywords import (
    KEYWORD_BYTES_MAX,
    KEYWORDS_OCTETS_MAX,
    KEYWORDS_PER_EMAIL_MAX,
    canonical_keyword,
    canonical_keywords,
    plan_keywords,
    plan_store,
)
from storage.mail.ledger import COMMAND_EMAILS_MAX
from storage.mail.mailbox_rows import TOP
from tests.storage.mail.story import ALICE, House


def test_every_character_of_rfc_8621_and_no_other_is_allowed() -> None:
    banned = set('(){]%*"\\')
    for code in range(256):
        sign = chr(code)
        if 0x21 <= code <= 0x7E and sign not in banned:
            assert canonical_keyword(f"a{sign}") == f"a{sign.lower()}"
        else:
            with pytest.raises(KeywordInvalid):
                canonical_keyword(f"a{sign}")


@pytest.mark.parametrize("keyword", ["", "a b", "é", "a\n", "$Recent", "x" * 256])
def test_what_is_no_keyword_is_refused(keyword: str) -> None:
    with pytest.raises(KeywordInvalid):
        canonical_keyword(keyword)


def test_keywords_are_sorted_lower_case_and_once() -> None:
    assert canonical_keywords(["b", "$Seen", "A", "B"]) == ("$seen", "a", "b")


def test_an_email_has_so_many_keywords_and_no_more() -> None:
    assert canonical_keyword("x" * KEYWORD_BYTES_MAX)
    many = [f"k{n}" for n in range(KEYWORDS_PER_EMAIL_MAX + 1)]
    assert len(canonical_keywords(many[:-1])) == KEYWORDS_PER_EMAIL_MAX
    with pytest.raises(TooManyKeywords):
        canonical_keywords(many)
    long = [f"{n:0{KEYWORD_BYTES_MAX}}" for n in range(KEYWORDS_OCTETS_MAX // KEYWORD_BYTES_MAX)]
    canonical_keywords(long)
    with pytest.raises(TooManyKeywords):
        canonical_keywords([*long, "x" * 100])


def test_a_change_moves_the_email_and_its_uids_to_one_version(house: House) -> None:
    inbox, archive = house.role("inbox"), house.role("archive")
    came = house.deliver(inbox, archive)
    with house.command() as plan:
        meta = plan_keywords(plan, ALICE, came.id, add=["$Seen", "Work"])
    assert (meta.keywords, meta.modseq) == (("$seen", "work"), house.version)
    for box in (inbox, archive):
        row = messages.uid_row(house.engine, ALICE, box, 1)
        assert row is not None and (row.keywords, row.modseq) == (meta.keywords, meta.modseq)
        assert house.counts(box).modseq == house.version


def test_no_change_moves_nothing(house: House) -> None:
    came = house.deliver(keywords=["$seen"])
    plan = house.plan()
    with plan.command():
        meta = plan_keywords(plan, ALICE, came.id, add=["$SEEN"], remove=["none"])
    assert plan.empty and meta.modseq == came.version


def test_replace_then_remove_then_add(house: House) -> None:
    came = house.deliver(keywords=["a"])
    with house.command() as plan:
        meta = plan_keywords(plan, ALICE, came.id, replace=["B", "c"], remove=["b"], add=["d"])
    assert meta.keywords == ("c", "d")


def test_only_what_jmap_counts_is_told_of_the_mailbox(house: House) -> None:
    came = house.deliver()
    before = house.version
    with house.command() as plan:
        plan_keywords(plan, ALICE, came.id, add=["$flagged"])
    assert house.changes(TypeCode.MAILBOX, before).updated == []
    with house.command() as plan:
        plan_keywords(plan, ALICE, came.id, add=["$seen"])
    told = house.changes(TypeCode.MAILBOX, before)
    assert (told.updated, told.counts_only) == ([house.role("inbox")], True)
    assert house.changes(TypeCode.THREAD, before).updated == []
    assert house.changes(TypeCode.EMAIL, before).updated == [came.id]


def test_the_deleted_mark_hides_an_email_from_jmap_and_its_loss_shows_it(house: House) -> None:
    came = house.deliver()
    before = house.version
    with house.command() as plan:
        plan_keywords(plan, ALICE, came.id, add=["$deleted"])
    assert house.changes(TypeCode.EMAIL, before).destroyed == [came.id]
    assert house.changes(TypeCode.THREAD, before).destroyed == [came.thread]
    assert messages.visible_meta(house.engine, ALICE, came.id) is None
    assert messages.thread(house.engine, ALICE, came.thread) is None
    before = house.version
    with house.command() as plan:
        plan_keywords(plan, ALICE, came.id, add=["$flagged"])
    assert house.changes(TypeCode.EMAIL, before).destroyed == []
    with house.command() as plan:
        plan_keywords(plan, ALICE, came.id, remove=["$deleted"])
    assert house.changes(TypeCode.EMAIL, before).created == [came.id]
    shown = messages.thread(house.engine, ALICE, came.thread)
    assert shown is not None and [member.email for member in shown.members] == [came.id]


def test_store_changes_many_under_one_version(house: House) -> None:
    inbox = house.role("inbox")
    for _ in range(3):
        house.deliver(inbox)
    before = house.version
    with house.command() as plan:
        stored, modified = plan_store(plan, ALICE, inbox, [3, 1, 9, 3], add=["$seen"])
    assert ([uid for uid, _ in stored], modified) == ([1, 3], [])
    assert house.version == before + 1
    assert house.counts(inbox).unseen == 1


def test_store_leaves_alone_what_changed_since(house: House) -> None:
    inbox = house.role("inbox")
    house.deliver(inbox)
    since = house.version
    house.deliver(inbox)
    with house.command() as plan:
        stored, modified = plan_store(
            plan, ALICE, inbox, [1, 2], add=["$seen"], unchanged_since=since
        )
    assert ([uid for uid, _ in stored], modified) == ([1], [2])


def test_store_is_bounded(house: House) -> None:
    with pytest.raises(TooManyEmails), house.command() as plan:
        plan_store(plan, ALICE, house.role("inbox"), range(1, COMMAND_EMAILS_MAX + 2), add=["a"])


def test_what_is_not_there_is_not_found(house: House) -> None:
    with pytest.raises(EmailNotFound), house.command() as plan:
        plan_keywords(plan, ALICE, EmailId(9), add=["a"])
    with pytest.raises(MailboxNotFound), house.command() as plan:
        plan_store(plan, ALICE, TOP, [1], add=["a"])
