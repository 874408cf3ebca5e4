"""Which thread an email joins: a shared message id and the same base subject (RFC 8621 3)."""

from storage import keys
from storage.ids import ThreadId
from storage.keys import TypeCode
from storage.mail import messages, threads
from storage.mail.moves import plan_copy_uids, plan_destroy
from storage.mail.threads import REFERENCE_IDS_MAX, THREAD_EMAILS_MAX, hints_of, unpack_hint
from tests.storage.mail.story import ALICE, House


def members(house: House, thread: ThreadId) -> list[int]:
    found = messages.thread(house.engine, ALICE, thread)
    return [] if found is None else [member.email for member in found.members]


def test_an_answer_joins_what_it_answers(house: House) -> None:
    asked = house.deliver(ids=["q@x"], subject="lunch")
    before = house.version
    answer = house.deliver(ids=["a@x", "q@x"], subject="lunch")
    assert answer.thread == asked.thread
    assert members(house, asked.thread) == [asked.id, answer.id]
    assert house.changes(TypeCode.THREAD, before).updated == [asked.thread]


def test_another_subject_is_another_thread(house: House) -> None:
    asked = house.deliver(ids=["q@x"], subject="lunch")
    other = house.deliver(ids=["a@x", "q@x"], subject="holidays")
    assert other.thread != asked.thread


def test_one_subject_alone_joins_nothing(house: House) -> None:
    first = house.deliver(ids=["a@x"], subject="report")
    assert house.deliver(ids=["b@x"], subject="report").thread != first.thread
    assert house.deliver(subject="report").thread != house.deliver(subject="report").thread


def test_two_that_refer_to_a_third_we_never_saw_are_together(house: House) -> None:
    first = house.deliver(ids=["a@x", "lost@x"], subject="s")
    assert house.deliver(ids=["b@x", "lost@x"], subject="s").thread == first.thread


def test_threads_are_never_merged_and_the_most_telling_id_decides(house: House) -> None:
    one = house.deliver(ids=["one@x"], subject="s")
    two = house.deliver(ids=["two@x"], subject="s")
    both = house.deliver(ids=["new@x", "two@x", "one@x"], subject="s")
    assert both.thread == two.thread != one.thread
    # What was first to name an id keeps it.
    assert house.deliver(ids=["later@x", "one@x"], subject="s").thread == one.thread
    assert house.deliver(ids=["last@x", "new@x"], subject="s").thread == two.thread


def test_a_thread_is_in_order_of_receipt(house: House) -> None:
    late = house.deliver(ids=["a"], subject="s", received_ms=2_000)
    early = house.deliver(ids=["b", "a"], subject="s", received_ms=1_000)
    same = house.deliver(ids=["c", "a"], subject="s", received_ms=2_000)
    assert members(house, late.thread) == [early.id, late.id, same.id]


def test_only_so_many_ids_count(house: House) -> None:
    ids = [f"{n}@x" for n in range(REFERENCE_IDS_MAX + 1)]
    long = house.deliver(ids=ids, subject="s")
    assert house.deliver(ids=["new", ids[-2]], subject="s").thread == long.thread
    assert house.deliver(ids=["newer", ids[-1]], subject="s").thread != long.thread
    assert len(hints_of(["a", "a", "b"], "s")) == 2


def test_a_full_thread_is_followed_by_a_new_one(house: House) -> None:
    house.checked = False
    first = house.deliver(ids=["root"], subject="s")
    for n in range(THREAD_EMAILS_MAX - 1):
        assert house.deliver(ids=[f"{n}", "root"], subject="s").thread == first.thread
    house.checked = True
    assert len(members(house, first.thread)) == THREAD_EMAILS_MAX
    second = house.deliver(ids=["over", "root"], subject="s")
    assert second.thread != first.thread
    assert house.deliver(ids=["more", "root"], subject="s").thread == second.thread
    # A copy of an email of the full thread goes where the conversation goes on.
    with house.command() as plan:
        plan_copy_uids(plan, ALICE, house.role("inbox"), [1], house.role("archive"))
    row = messages.uid_row(house.engine, ALICE, house.role("archive"), 1)
    assert row is not None
    copy = messages.meta(house.engine, ALICE, row.email)
    assert copy is not None and copy.thread == second.thread


def test_a_thread_ends_with_its_last_email_and_its_id_is_not_given_again(house: House) -> None:
    only = house.deliver(ids=["a"], subject="s")
    before = house.version
    with house.command() as plan:
        plan_destroy(plan, ALICE, only.id)
    assert house.changes(TypeCode.THREAD, before).destroyed == [only.thread]
    assert house.engine.scan(*keys.thread_hint_range(ALICE)) == []
    assert house.deliver(ids=["a"], subject="s").thread == only.thread + 1


def test_a_hint_to_a_thread_that_is_gone_leads_to_the_next(house: House) -> None:
    one = house.deliver(ids=["one"], subject="s")
    two = house.deliver(ids=["two"], subject="s")
    both = house.deliver(ids=["new", "one", "two"], subject="s")
    assert both.thread == one.thread
    for email in (one.id, both.id):
        with house.command() as plan:
            plan_destroy(plan, ALICE, email)
    joined = house.deliver(ids=["last", "one", "two"], subject="s")
    assert joined.thread == two.thread
    assert house.deliver(ids=["after", "one"], subject="s").thread == two.thread


def test_hints_count_the_emails_that_name_them(house: House) -> None:
    house.deliver(ids=["a"], subject="s")
    house.deliver(ids=["b", "a"], subject="s")
    (hint,) = hints_of(["a"], "s")
    held = house.engine.get(keys.thread_hint_key(ALICE, hint))
    assert held is not None and unpack_hint(held) == (1, 2)
    assert threads.unpack_hints(threads.pack_hints([hint, hint])) == (hint, hint)
