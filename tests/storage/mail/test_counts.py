"""How threads count in mailboxes (RFC 8621 2)."""

import pytest

from storage.ids import EmailId, MailboxId
from storage.mail.counts import thread_shares, visible_emails
from storage.mail.records import ThreadMember

INBOX, SENT, TRASH = MailboxId(1), MailboxId(2), MailboxId(3)


def member(*boxes: MailboxId, unread: bool = False, deleted: bool = False) -> ThreadMember:
    return ThreadMember(0, EmailId(1), unread, boxes, deleted)


@pytest.mark.parametrize(
    ("members", "shares"),
    [
        ([], {}),
        ([member(INBOX)], {INBOX: False}),
        ([member(INBOX, unread=True)], {INBOX: True}),
        ([member(INBOX, unread=True), member(SENT)], {INBOX: True, SENT: True}),
        ([member(TRASH, unread=True), member(INBOX)], {TRASH: True, INBOX: False}),
        ([member(TRASH), member(INBOX, unread=True)], {TRASH: False, INBOX: True}),
        (
            [member(INBOX, TRASH, unread=True), member(SENT)],
            dict.fromkeys([INBOX, SENT, TRASH], True),
        ),
        ([member(INBOX, unread=True, deleted=True)], {}),
        ([member(INBOX), member(SENT, unread=True, deleted=True)], {INBOX: False}),
    ],
)
def test_which_mailboxes_show_a_thread_and_where_it_is_unread(
    members: list[ThreadMember], shares: dict[MailboxId, bool]
) -> None:
    assert thread_shares(members, TRASH) == shares


def test_without_a_trash_all_count_alike() -> None:
    members = [member(TRASH, unread=True), member(INBOX)]
    assert thread_shares(members, None) == {TRASH: True, INBOX: True}


def test_hidden_emails_are_not_seen() -> None:
    assert visible_emails([member(INBOX, deleted=True)]) == []
    assert visible_emails([member(INBOX)]) == [1]
