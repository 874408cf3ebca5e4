"""How far back a change log goes: so many versions, so many days, and never more than so many."""

import random

import pytest

from storage import changes, keys, trimming
from storage.batch import ProposalId
from storage.changes import TooOld
from storage.ids import AccountId, MailboxId
from storage.keys import TypeCode
from storage.memory import MemoryEngine
from storage.plan import Plan
from storage.trimming import DAY_MS, KEPT_MS, NOTE_MS, is_due, plan_keep

ALICE = AccountId(5)
BOX = MailboxId(3)
KEPT, MOST = 20, 100


class Story:
    """An account that changes, days that pass, and a job that comes by."""

    def __init__(self) -> None:
        self.engine = MemoryEngine()
        self.now_ms = 1_000 * DAY_MS
        self.batches = 0

    def _plan(self) -> Plan:
        return Plan(self.engine, now_ms=self.now_ms, chance=random.Random(1))

    def _write(self, plan: Plan) -> None:
        if not plan.empty:
            batch = plan.batch(ProposalId(1, 1, 1), 0)
            self.engine.write(batch.puts, batch.deletes)
            self.batches += 1

    def change(self, times: int) -> None:
        for _ in range(times):
            plan = self._plan()
            with plan.command():
                changes.record(plan, ALICE, TypeCode.EMAIL, created=[self.version + 1])
                changes.record_vanished(plan, ALICE, BOX, [self.version + 1])
            self._write(plan)

    def keep(self) -> bool:
        """The job comes by once; whether it says that there is more."""
        plan = self._plan()
        with plan.command():
            more = plan_keep(plan, ALICE)
        self._write(plan)
        return more

    def days(self, count: float) -> None:
        self.now_ms += int(count * DAY_MS)

    @property
    def due(self) -> bool:
        return is_due(self.engine, ALICE, self.now_ms)

    @property
    def version(self) -> int:
        return changes.newest(self.engine, ALICE)

    @property
    def horizon(self) -> int:
        return changes.horizon(self.engine, ALICE)

    @property
    def rows(self) -> int:
        logged = self.engine.scan(*keys.change_range(ALICE, TypeCode.EMAIL, -1))
        return len(logged) + len(self.engine.scan(*keys.expunged_range(ALICE, BOX, -1)))


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch) -> Story:
    monkeypatch.setattr(trimming, "CHANGES_KEPT", KEPT)
    monkeypatch.setattr(trimming, "CHANGES_MAX", MOST)
    return Story()


def test_a_short_log_is_left_alone_for_ever(story: Story) -> None:
    story.change(KEPT)
    batches = story.batches
    for _ in range(3):
        story.days(400)
        assert not story.due
        assert story.keep() is False
    assert (story.batches, story.horizon, story.rows) == (batches, 0, 2 * KEPT)


def test_what_is_young_stays_though_it_is_much(story: Story) -> None:
    story.change(KEPT + 10)
    assert story.due
    story.keep()
    assert not story.due and story.horizon == 0
    story.days(KEPT_MS / DAY_MS - 0.001)
    story.change(10)
    story.keep()
    assert story.horizon == 0


def test_what_is_old_goes_but_for_the_newest(story: Story) -> None:
    story.change(KEPT + 10)
    story.keep()
    story.days(KEPT_MS / DAY_MS)
    assert story.due
    assert story.keep() is False
    assert story.horizon == 10  # the newest stay, old as they are
    assert changes.vanished(story.engine, ALICE, BOX, 10) == list(range(11, 31))
    with pytest.raises(TooOld):
        changes.vanished(story.engine, ALICE, BOX, 9)
    with pytest.raises(TooOld):
        changes.since(story.engine, ALICE, TypeCode.EMAIL, 9)
    assert changes.since(story.engine, ALICE, TypeCode.EMAIL, 10).created == list(range(11, 31))
    assert not story.due


def test_only_what_was_there_when_it_was_noted_is_old(story: Story) -> None:
    story.change(KEPT + 10)
    story.keep()  # noted at 30
    story.days(1)
    story.change(50)
    story.keep()  # and at 80
    story.days(KEPT_MS / DAY_MS - 1)
    story.keep()
    assert story.horizon == 30  # the first note is a month old, the second is not
    story.days(1)
    story.keep()
    assert story.horizon == story.version - KEPT == 60


def test_too_much_goes_however_young(story: Story) -> None:
    story.change(MOST + 7)
    story.keep()
    assert story.horizon == 7 and story.rows == 2 * MOST


def test_the_version_is_noted_once_a_day_and_notes_are_let_go(story: Story) -> None:
    story.change(KEPT + 1)
    story.keep()
    noted = story.batches
    story.change(1)
    story.days(0.99 * NOTE_MS / DAY_MS)
    assert not story.due
    story.keep()
    assert story.batches == noted + 1  # only the change
    for _ in range(70):
        story.days(1)
        story.change(1)
        while story.keep():
            pass
    held = story.engine.get(keys.account_prefix(ALICE) + b"Z")
    assert held is not None and len(trimming._AGES.decode(held)) <= KEPT_MS // NOTE_MS + 1


def test_an_account_that_rests_is_noted_no_more(story: Story) -> None:
    story.change(KEPT + 1)
    story.keep()
    story.days(2)
    assert not story.due


def test_who_follows_goes_on_where_another_stopped(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "TRIM_ROWS_MAX", 16)
    story.change(MOST + 30)
    assert story.keep() is True
    assert story.horizon == 30 and story.rows == 2 * (MOST + 30) - 16
    with pytest.raises(TooOld):  # whoever asks meanwhile is not told half of it
        changes.since(story.engine, ALICE, TypeCode.EMAIL, 29)
    rounds = 0
    while story.due:
        story.keep()
        rounds += 1
    assert rounds == 3 and story.rows == 2 * MOST
