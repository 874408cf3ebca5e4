"""A page of emails reads the same whether its ids lie together or far apart."""

import pytest

from storage.ids import EmailId, MailboxId
from storage.mail.mailboxes import counts, list_mailboxes
from storage.mail.messages import email_view, meta
from storage.mail.pages import (
    RANGE_ROWS_MIN,
    SPARSE_MAX,
    read_mailbox_page,
    read_metas,
    read_views,
)
from tests.protocols.jmap.desk import Desk, message


@pytest.mark.parametrize("step", [1, SPARSE_MAX, SPARSE_MAX + 1])
@pytest.mark.parametrize("count", [0, 1, RANGE_ROWS_MIN - 1, RANGE_ROWS_MIN, 12])
def test_pages_agree_with_single_reads(step: int, count: int) -> None:
    desk = Desk()
    for number in range(60):
        desk.deliver(message(number=number))
    wanted = [EmailId(1 + at * step) for at in range(count)][::-1]
    rows, account = desk.house.view(), desk.number
    metas = read_metas(rows, account, [*wanted, EmailId(10**9)])
    views = read_views(rows, account, wanted)
    assert list(metas) == list(views) == wanted
    assert all(metas[one] == meta(rows, account, one) for one in wanted)
    assert all(views[one] == email_view(rows, account, one) for one in wanted)


def test_mailboxes_come_with_their_counts() -> None:
    desk = Desk()
    desk.deliver()
    rows, account = desk.house.view(), desk.number
    held = {box.id: (box, counts(rows, account, box.id)) for box in list_mailboxes(rows, account)}
    wanted = [*held, MailboxId(99)]
    assert read_mailbox_page(rows, account, wanted) == held
    assert read_mailbox_page(rows, account, wanted[:1]) == {wanted[0]: held[wanted[0]]}


def test_what_is_not_there_is_left_out() -> None:
    desk = Desk()
    desk.deliver()
    numbers = [EmailId(n) for n in range(10)]
    assert list(read_metas(desk.house.view(), desk.number, numbers)) == [EmailId(1)]
