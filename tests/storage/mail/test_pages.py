"""A page of emails reads the same whether its ids lie together or far apart."""

import pytest

from storage.ids import EmailId
from storage.mail.messages import email_view, meta
from storage.mail.pages import RANGE_EMAILS_MIN, SPARSE_MAX, read_metas, read_views
from tests.protocols.jmap.desk import Desk, message


@pytest.mark.parametrize("step", [1, SPARSE_MAX, SPARSE_MAX + 1])
@pytest.mark.parametrize("count", [0, 1, RANGE_EMAILS_MIN - 1, RANGE_EMAILS_MIN, 12])
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


def test_what_is_not_there_is_left_out() -> None:
    desk = Desk()
    desk.deliver()
    numbers = [EmailId(n) for n in range(10)]
    assert list(read_metas(desk.house.view(), desk.number, numbers)) == [EmailId(1)]
