"""Reading emails: by UID, by date from any place, by thread."""

from storage.ids import EmailId, ThreadId
from storage.mail import messages
from storage.mail.keywords import plan_keywords
from storage.mail.messages import SPARSE_MAX
from storage.mail.moves import plan_expunge
from tests.storage.mail.story import ALICE, House


def test_emails_of_uids_close_together_and_far_apart(house: House) -> None:
    inbox = house.role("inbox")
    house.checked = False
    last = 3 * SPARSE_MAX
    for _ in range(last):
        house.deliver(inbox)
    with house.command() as plan:
        plan_expunge(plan, ALICE, inbox, [2])
    for asked, answered in (
        ([3, 1, 2, 3], [1, 3]),
        ([last, 1], [1, last]),
        ([2], []),
        ([last + 1, last], [last]),
        ([], []),
    ):
        found = messages.metas_at(house.engine, ALICE, inbox, asked)
        assert [(uid, meta.id) for uid, meta in found] == [(uid, uid) for uid in answered]


def test_by_date_goes_on_behind_any_place(house: House) -> None:
    inbox = house.role("inbox")
    for received_ms in (30, 10, 20, 20):
        house.deliver(inbox, received_ms=received_ms)
    up = messages.by_date(house.engine, ALICE, inbox, newest_first=False, limit=None)
    assert [(at, email) for at, email, _ in up] == [(10, 2), (20, 3), (20, 4), (30, 1)]
    down = messages.by_date(house.engine, ALICE, inbox, newest_first=True, limit=None)
    assert down == up[::-1]
    for newest_first, order in ((False, up), (True, down)):
        for at, row in enumerate(order):
            rest = messages.by_date(
                house.engine, ALICE, inbox, newest_first=newest_first, after=row[:2], limit=2
            )
            assert rest == order[at + 1 : at + 3]


def test_what_is_not_there(house: House) -> None:
    assert messages.meta(house.engine, ALICE, EmailId(1)) is None
    assert messages.visible_meta(house.engine, ALICE, EmailId(1)) is None
    assert messages.email_view(house.engine, ALICE, EmailId(1)) is None
    assert messages.parts(house.engine, ALICE, EmailId(1)) is None
    assert messages.thread(house.engine, ALICE, ThreadId(1)) is None


def test_a_thread_shows_what_is_not_hidden(house: House) -> None:
    first = house.deliver(ids=["a"], subject="s")
    second = house.deliver(ids=["b", "a"], subject="s", keywords=["$deleted"])
    shown = messages.thread(house.engine, ALICE, first.thread)
    assert shown is not None and [member.email for member in shown.members] == [first.id]
    with house.command() as plan:
        plan_keywords(plan, ALICE, second.id, remove=["$deleted"])
    shown = messages.thread(house.engine, ALICE, first.thread)
    assert shown is not None and len(shown.members) == 2
