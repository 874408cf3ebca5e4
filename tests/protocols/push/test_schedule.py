"""Which push is due when: each rule of the schedule, by a clock that is a number."""

import random
from collections.abc import Sequence

import msgspec
import pytest

from protocols.push.schedule import (
    PAUSE_S,
    PAUSE_S_MAX,
    POSTS_MAX,
    POSTS_PER_HOST_MAX,
    RETRY_S,
    RETRY_S_MAX,
    VERIFICATION_ATTEMPTS_MAX,
    VERIFICATIONS_MAX,
    VERIFICATIONS_WINDOW_S,
    Job,
    Outcome,
    Schedule,
)
from storage.ids import AccountId, Version
from storage.keys import TypeCode
from storage.subscriptions import Subscription, Watch

ANN = AccountId(7)
EMAIL, MAILBOX = TypeCode.EMAIL.bit, TypeCode.MAILBOX.bit
OPEN = Subscription("phone", "https://push.example/1", None, "c0de", True, 10**15, None, b"mark")
NEW = msgspec.structs.replace(OPEN, verified=False)


class Story:
    """A schedule and the time."""

    def __init__(self) -> None:
        self.schedule = Schedule(random.Random(1), lambda url: url.split("/")[2])
        self.now_s = 100.0

    def load(
        self,
        *found: Subscription,
        told: int = 5,
        asked: bool = True,
        missed: tuple[int, int] = (5, 0),
        account: AccountId = ANN,
    ) -> None:
        watch = Watch(Version(told), asked)
        rows = [(number, held, watch) for number, held in enumerate(found, start=1)]
        self.schedule.load(account, rows, lambda _: (Version(missed[0]), missed[1]), self.now_s)

    def note(self, version: int, types: int, account: AccountId = ANN) -> None:
        self.schedule.note(account, Version(version), types)

    def due(self) -> Sequence[Job]:
        return list(self.schedule.take_due(self.now_s))

    def done(self, job: Job, outcome: Outcome, retry_after_s: float = 0) -> bool:
        return self.schedule.done(job, outcome, self.now_s, retry_after_s)

    def only(self) -> Job:
        (job,) = self.due()
        return job


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_change_is_due_at_once_and_told_when_delivered(story: Story) -> None:
    story.load(OPEN)
    assert story.due() == []
    story.note(6, EMAIL)
    story.note(7, MAILBOX)
    job = story.only()
    assert (job.sending_version, job.sending) == (7, EMAIL | MAILBOX)
    assert story.due() == []
    assert story.done(job, Outcome.DELIVERED)
    assert job.watch == Watch(Version(7), True)
    assert story.due() == [] and story.schedule.next_s() is None


def test_what_changes_meanwhile_is_told_after_a_pause(story: Story) -> None:
    story.load(OPEN)
    story.note(6, EMAIL)
    job = story.only()
    story.note(8, MAILBOX)
    story.done(job, Outcome.DELIVERED)
    assert story.due() == [] and story.schedule.next_s() == story.now_s + PAUSE_S
    story.now_s += PAUSE_S
    assert (story.only().sending_version, job.sending) == (8, MAILBOX)


def test_only_wanted_types_count(story: Story) -> None:
    story.load(msgspec.structs.replace(OPEN, types=("Mailbox", "Nonsense")))
    story.note(6, EMAIL | TypeCode.HIDDEN_EMAIL.bit | TypeCode.PUSH_SUBSCRIPTION.bit)
    assert story.due() == []
    story.note(7, EMAIL | MAILBOX)
    assert story.only().sending == MAILBOX


def test_what_was_told_before_is_not_told_again(story: Story) -> None:
    story.load(OPEN, told=9)
    story.note(9, EMAIL)
    assert story.due() == []


def test_a_new_sender_goes_on_where_the_other_stopped(story: Story) -> None:
    story.load(OPEN, told=5, missed=(9, EMAIL))
    job = story.only()
    assert (job.sending_version, job.sending) == (9, EMAIL)


def test_failures_are_tried_again_after_pauses_that_grow_and_lose_nothing(story: Story) -> None:
    story.load(OPEN)
    story.note(6, EMAIL)
    pauses = []
    for number in range(20):
        job = story.only()
        assert job.sending & EMAIL
        outcome = (Outcome.FAILED, Outcome.UNREACHED)[number % 2]
        assert not story.done(job, outcome)
        story.note(7 + number, MAILBOX)
        assert story.due() == []
        next_s = story.schedule.next_s()
        assert next_s is not None
        pauses.append(next_s - story.now_s)
        story.now_s = next_s
    assert RETRY_S * 0.75 <= pauses[0] <= RETRY_S < pauses[2]
    assert RETRY_S_MAX * 0.75 <= pauses[-1] <= RETRY_S_MAX
    job = story.only()
    assert (job.sending_version, job.sending) == (26, EMAIL | MAILBOX)
    assert story.done(job, Outcome.DELIVERED) and job.failures == 0


def test_a_busy_service_is_left_alone_as_long_as_it_says_and_pushed_to_less_often(
    story: Story,
) -> None:
    story.load(OPEN)
    story.note(6, EMAIL)
    job = story.only()
    story.done(job, Outcome.BUSY, retry_after_s=333)
    assert story.schedule.next_s() == story.now_s + 333
    story.now_s += 333
    story.done(story.only(), Outcome.DELIVERED)
    story.note(7, EMAIL)
    assert story.schedule.next_s() == story.now_s + 2 * PAUSE_S
    for version in range(8, 30):
        story.now_s += 10_000
        story.done(story.only(), Outcome.BUSY)
        story.note(version, EMAIL)
    assert job.pause_s == PAUSE_S_MAX


def test_a_verification_is_sent_once_whatever_is_answered(story: Story) -> None:
    for outcome in (Outcome.DELIVERED, Outcome.FAILED, Outcome.BUSY, Outcome.GONE):
        fresh = Story()
        fresh.load(NEW, asked=False)
        job = fresh.only()
        assert fresh.done(job, outcome) and job.watch.asked
        fresh.now_s += 10 * RETRY_S_MAX
        fresh.note(9, EMAIL)
        assert fresh.due() == []


def test_a_verification_that_reached_nobody_is_tried_again_a_few_times(story: Story) -> None:
    story.load(NEW, asked=False)
    for attempt in range(VERIFICATION_ATTEMPTS_MAX):
        job = story.only()
        given_up = story.done(job, Outcome.UNREACHED)
        assert given_up == (attempt == VERIFICATION_ATTEMPTS_MAX - 1)
        story.now_s += 2 * RETRY_S_MAX
    assert story.due() == [] and job.watch.asked


def test_once_verified_changes_from_then_on_are_told(story: Story) -> None:
    story.load(NEW, told=5, asked=False)
    job = story.only()
    story.note(6, EMAIL)
    story.load(OPEN, told=7, missed=(7, 0))
    assert story.due() == []
    story.done(job, Outcome.DELIVERED)
    story.note(8, EMAIL)
    assert story.due() == []  # the pause after the verification
    story.now_s += PAUSE_S
    assert story.only().sending_version == 8


def test_verifying_after_a_failed_verification_ends_its_rest(story: Story) -> None:
    story.load(NEW, asked=False)
    story.done(story.only(), Outcome.UNREACHED)
    story.load(OPEN, told=7, missed=(7, 0))
    story.note(8, EMAIL)
    assert story.only().sending_version == 8


def test_verifications_of_an_account_are_rationed(story: Story) -> None:
    wishes = [msgspec.structs.replace(NEW, url=f"https://h{n}.example/") for n in range(30)]
    story.load(*wishes, asked=False)
    assert len(story.due()) == VERIFICATIONS_MAX
    assert story.due() == []
    assert story.schedule.next_s() == story.now_s + VERIFICATIONS_WINDOW_S
    story.load(NEW, asked=False, account=AccountId(8))
    assert len(story.due()) == 1
    story.now_s += VERIFICATIONS_WINDOW_S
    assert len(story.due()) == 30 - VERIFICATIONS_MAX
    story.now_s += VERIFICATIONS_WINDOW_S
    story.schedule.forget_old_verifications(story.now_s)
    assert story.schedule._verified_at == {}


def test_pushes_under_way_are_bounded_in_all_and_by_host(story: Story) -> None:
    for number in range(100):
        held = msgspec.structs.replace(OPEN, url=f"https://h{number % 3}.example/")
        story.load(held, missed=(6, EMAIL), account=AccountId(number + 1))
    jobs = story.due()
    assert len(jobs) == 3 * POSTS_PER_HOST_MAX
    for number in range(100):
        held = msgspec.structs.replace(OPEN, url=f"https://g{number}.example/")
        story.load(held, missed=(6, EMAIL), account=AccountId(number + 1000))
    assert len(story.due()) == POSTS_MAX - len(jobs)
    assert story.due() == []
    story.done(jobs[0], Outcome.DELIVERED)
    assert len(story.due()) == 1


def test_one_that_is_gone_is_sent_nothing_more(story: Story) -> None:
    story.load(OPEN, missed=(6, EMAIL))
    job = story.only()
    story.load()
    assert not story.done(job, Outcome.DELIVERED)
    story.note(9, EMAIL)
    assert story.due() == [] and list(story.schedule.accounts) == []
    story.load(OPEN, missed=(6, EMAIL))
    story.load()
    assert story.due() == []
