"""The change log: what happened since, folded as RFC 8620 5.2 asks."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import changes, keys
from storage.batch import ProposalId
from storage.changes import Changes, TooOld
from storage.ids import AccountId, MailboxId, Version
from storage.keys import TypeCode
from storage.memory import MemoryEngine
from storage.plan import Plan

ALICE = AccountId(1)
_PID = ProposalId(1, 1, 1)
EMAIL, MAILBOX = TypeCode.EMAIL, TypeCode.MAILBOX


class Story:
    """An account whose changes are told in words."""

    def __init__(self) -> None:
        self.engine = MemoryEngine()

    def plan(self) -> Plan:
        return Plan(self.engine, now_ms=0, chance=random.Random(1))

    def write(self, plan: Plan) -> None:
        batch = plan.batch(_PID, 0)
        self.engine.write(batch.puts, batch.deletes)

    def change(
        self,
        created: Sequence[int] = (),
        updated: Sequence[int] = (),
        destroyed: Sequence[int] = (),
        *,
        counts_only: bool = False,
        kind: TypeCode = EMAIL,
    ) -> Version:
        plan = self.plan()
        with plan.command():
            version = changes.record(
                plan,
                ALICE,
                kind,
                created=created,
                updated=updated,
                destroyed=destroyed,
                counts_only=counts_only,
            )
        self.write(plan)
        return version

    def since(
        self,
        version: int,
        limit: int | None = None,
        *,
        kind: TypeCode = EMAIL,
        skip: int | None = None,
    ) -> Changes:
        return changes.since(self.engine, ALICE, kind, version, limit, skip=skip)


@pytest.fixture
def story() -> Story:
    return Story()


def lists(told: Changes) -> tuple[list[int], list[int], list[int]]:
    return told.created, told.updated, told.destroyed


def test_nothing_has_changed_yet(story: Story) -> None:
    assert story.since(0) == Changes([], [], [], Version(0), False, False)


def test_ids_are_told_in_one_list(story: Story) -> None:
    story.change(created=[1, 2, 3])
    story.change(updated=[1, 2])
    story.change(destroyed=[2], created=[4])
    assert lists(story.since(0)) == ([1, 3, 4], [], [])
    assert lists(story.since(1)) == ([4], [1], [2])
    assert lists(story.since(2)) == ([4], [], [2])
    assert story.since(3) == Changes([], [], [], Version(3), False, False)


def test_gone_and_made_again_is_updated(story: Story) -> None:
    story.change(created=[1])
    story.change(destroyed=[1])
    story.change(created=[1])
    assert lists(story.since(1)) == ([], [1], [])
    assert lists(story.since(2)) == ([1], [], [])


def test_types_do_not_mix_but_share_versions(story: Story) -> None:
    story.change(created=[1])
    story.change(created=[7], kind=MAILBOX)
    assert lists(story.since(0)) == ([1], [], [])
    told = story.since(0, kind=MAILBOX)
    assert lists(told) == ([7], [], []) and told.new_version == 2


def test_calls_of_one_command_share_a_row(story: Story) -> None:
    plan = story.plan()
    with plan.command():
        changes.record(plan, ALICE, EMAIL, created=[1])
        changes.record(plan, ALICE, EMAIL, updated=[1, 2])
        changes.record(plan, ALICE, EMAIL, destroyed=[2])
    story.write(plan)
    assert lists(story.since(0)) == ([1], [], [2])
    assert len(story.engine.scan(*keys.change_log_range(ALICE))) == 1


def test_counts_only_holds_as_long_as_nothing_else_changed(story: Story) -> None:
    story.change(updated=[1, 2], counts_only=True, kind=MAILBOX)
    assert story.since(0, kind=MAILBOX).counts_only
    story.change(updated=[2], kind=MAILBOX)
    assert not story.since(0, kind=MAILBOX).counts_only
    story.change(updated=[2], counts_only=True, kind=MAILBOX)
    assert not story.since(0, kind=MAILBOX).counts_only
    assert story.since(2, kind=MAILBOX).counts_only
    story.change(created=[3], kind=MAILBOX)
    assert story.since(2, kind=MAILBOX).counts_only, "it speaks of what is updated"


def test_a_limit_stops_between_versions(story: Story) -> None:
    for number in range(1, 6):
        story.change(created=[2 * number, 2 * number + 1])
    told = story.since(0, 5)
    assert (told.created, told.new_version, told.has_more) == ([2, 3, 4, 5], 2, True)
    told = story.since(told.new_version, 5)
    assert (told.created, told.new_version, told.has_more) == ([6, 7, 8, 9], 4, True)
    told = story.since(told.new_version, 5)
    assert (told.created, told.new_version, told.has_more) == ([10, 11], 5, False)


def test_a_version_larger_than_the_limit(story: Story) -> None:
    story.change(created=range(1, 8), destroyed=[8])
    with pytest.raises(TooOld):
        story.since(0, 3)
    told = story.since(0, 3, skip=0)
    assert (told.created, told.new_version, told.new_skip, told.has_more) == ([1, 2, 3], 0, 3, True)
    told = story.since(0, 3, skip=3)
    assert (told.created, told.new_skip) == ([4, 5, 6], 6)
    told = story.since(0, 3, skip=6)
    assert (told.created, told.destroyed) == ([7], [8])
    assert (told.new_version, told.new_skip, told.has_more) == (1, 0, False)


def test_versions_the_log_does_not_reach(story: Story) -> None:
    story.change(created=[1])
    for version in (-1, 2):
        with pytest.raises(TooOld):
            story.since(version)


def test_a_trimmed_log_says_so(story: Story) -> None:
    for number in range(5):
        story.change(created=[number])
        plan = story.plan()
        with plan.command():
            changes.record_vanished(plan, ALICE, MailboxId(number % 2), [number])
        story.write(plan)
    plan = story.plan()
    assert not changes.plan_trim(plan, ALICE, Version(6))
    story.write(plan)
    with pytest.raises(TooOld):
        story.since(5)
    with pytest.raises(TooOld):
        changes.vanished(story.engine, ALICE, MailboxId(0), 5)
    assert lists(story.since(6)) == ([3, 4], [], [])
    assert changes.vanished(story.engine, ALICE, MailboxId(0), 6) == [4]
    assert changes.vanished(story.engine, ALICE, MailboxId(1), 6) == [3]
    left = story.engine.scan(*keys.change_range(ALICE, EMAIL, -1))
    assert [keys.unpack_change_key(key)[1] for key, _ in left] == [7, 9]


def test_a_type_stands_where_it_last_changed(story: Story) -> None:
    assert changes.changed_at(story.engine, ALICE, EMAIL) == 0
    story.change(created=[1])
    story.change(updated=[1])
    story.change(created=[1], kind=MAILBOX)
    assert changes.changed_at(story.engine, ALICE, EMAIL) == 2
    assert changes.changed_at(story.engine, ALICE, MAILBOX) == 3
    assert changes.changed_at(story.engine, ALICE, EMAIL, Version(1)) == 1
    assert changes.changed_at(story.engine, ALICE, MAILBOX, Version(2)) == 0
    plan = story.plan()
    with plan.command():
        changes.record(plan, ALICE, EMAIL, destroyed=[1])
        assert changes.changed_at(plan, ALICE, EMAIL) == 4
        assert changes.changed_at(plan, ALICE, MAILBOX) == 3


def test_a_type_that_rests_outlasts_trimming(story: Story) -> None:
    for number in (1, 2):
        story.change(created=[number], kind=MAILBOX)
    for number in range(5):
        story.change(created=[number])
    plan = story.plan()
    assert not changes.plan_trim(plan, ALICE, Version(6))
    story.write(plan)
    assert changes.changed_at(story.engine, ALICE, MAILBOX) == 2
    for version in (2, 4, 6):
        assert lists(story.since(version, kind=MAILBOX)) == ([], [], [])
    with pytest.raises(TooOld):
        story.since(1, kind=MAILBOX)
    story.change(destroyed=[1], kind=MAILBOX)
    with pytest.raises(TooOld):
        story.since(2, kind=MAILBOX)  # whether there was another between, nobody can tell


def test_a_type_of_which_nothing_is_left_stands_where_the_log_begins(story: Story) -> None:
    story.change(created=[1], kind=MAILBOX)
    story.change(created=[1])
    plan = story.plan()
    changes.plan_trim(plan, ALICE, Version(2))
    plan.delete(keys.change_key(ALICE, MAILBOX, 1))  # as nodes of an older version trim
    story.write(plan)
    assert changes.changed_at(story.engine, ALICE, MAILBOX) == 2
    assert changes.changed_at(story.engine, ALICE, MAILBOX, Version(1)) == 1
    assert lists(story.since(2, kind=MAILBOX)) == ([], [], [])
    with pytest.raises(TooOld):
        story.since(1, kind=MAILBOX)


def test_trimming_is_cut_into_batches(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "TRIM_ROWS_MAX", 4)
    for number in range(10):
        story.change(created=[number])
    rounds = 0
    more = True
    while more:
        plan = story.plan()
        more = changes.plan_trim(plan, ALICE, Version(9))
        assert len(plan.batch(_PID, 0).deletes) <= 4
        story.write(plan)
        with pytest.raises(TooOld):
            story.since(8)
        rounds += 1
    assert rounds == 3 and lists(story.since(9)) == ([9], [], [])


def test_vanished_uids(story: Story) -> None:
    box, other = MailboxId(3), MailboxId(4)
    for uids in ([5, 1], [2]):
        plan = story.plan()
        with plan.command():
            changes.record_vanished(plan, ALICE, box, uids)
            changes.record_vanished(plan, ALICE, box, [uids[0] + 10])
            changes.record_vanished(plan, ALICE, other, [99])
        story.write(plan)
    assert changes.vanished(story.engine, ALICE, box, 0) == [1, 2, 5, 12, 15]
    assert changes.vanished(story.engine, ALICE, box, 1) == [2, 12]
    assert changes.vanished(story.engine, ALICE, box, 2) == []


STEP = st.tuples(st.sampled_from(["create", "update", "count", "destroy"]), st.integers(1, 6))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(STEP, max_size=6), max_size=8), st.integers(1, 6))
def test_a_client_that_follows_knows_what_is_there(
    versions: list[list[tuple[str, int]]], limit: int
) -> None:
    """From every version on, in pages of any size, a client ends with the ids that exist."""
    story, existing = Story(), set[int]()
    known: list[set[int]] = [set()]
    for steps in versions:
        plan = story.plan()
        with plan.command():
            plan.touch(ALICE, 0)
            for verb, number in steps:
                if verb == "create" and number not in existing:
                    changes.record(plan, ALICE, EMAIL, created=[number])
                    existing.add(number)
                elif verb == "destroy" and number in existing:
                    changes.record(plan, ALICE, EMAIL, destroyed=[number])
                    existing.remove(number)
                elif verb in ("update", "count") and number in existing:
                    counts = verb == "count"
                    changes.record(plan, ALICE, EMAIL, updated=[number], counts_only=counts)
        story.write(plan)
        known.append(set(existing))
    for version, has in enumerate(known):
        at, skip, more, ids = Version(version), 0, True, set(has)
        while more:
            told = story.since(at, limit, skip=skip)
            assert len(told.created) + len(told.updated) + len(told.destroyed) <= limit
            assert not set(told.created) & ids or skip
            ids = (ids | set(told.created) | set(told.updated)) - set(told.destroyed)
            assert (told.new_version, told.new_skip) > (at, skip) or not told.has_more
            at, skip, more = told.new_version, told.new_skip, told.has_more
        assert ids == existing and at == len(versions)
