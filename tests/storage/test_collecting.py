"""When a blob is marked, unmarked and forgotten, and what a link meanwhile does to that."""

import random
from collections.abc import Callable, Collection
from typing import Any

import pytest

from storage import blob_links, collecting, keys
from storage.apply import Applier, Outcome
from storage.batch import (
    Batch,
    BlobPart,
    ProposalId,
    Registration,
    encode_batch,
    encode_registration,
)
from storage.blobs import BlobStore, cut_blob
from storage.collecting import Found, collected, plan_guard, plan_settle, portions, walk
from storage.ids import AccountId, BlobId, blob_id
from storage.keys import TypeCode
from storage.memory import MemoryEngine
from storage.plan import Plan
from storage.segments import MemoryFiles
from storage.slices import at_once
from tests.storage.story import bytes_of

ALICE, BOB = AccountId(7), AccountId(8)
MEMBERS = (1, 2)
GRACE_MS = 1_000
PART = 256 * 1024


class Story:
    """One node's rows, commands that are applied at once or later, and a collector in words."""

    def __init__(self) -> None:
        self.engine = MemoryEngine()
        self.applier = Applier(self.engine, BlobStore(self.engine, MemoryFiles()))
        self.now_ms = 5_000
        self.chance = random.Random(1)
        self.sequence = 0
        for replica in MEMBERS:
            self.register(replica, 1)
            self.run(lambda plan, replica=replica: plan_guard(plan, replica))

    def register(self, replica: int, epoch: int) -> None:
        named = Registration(replica, epoch, "n", b"uuid", b"%d" % epoch)
        self._apply(encode_registration(named))

    def plan(self, command: Callable[[Plan], Any], parts: Collection[BlobPart] = ()) -> Batch:
        plan = Plan(self.engine, now_ms=self.now_ms, chance=self.chance)
        with plan.command():
            command(plan)
        self.sequence += 1
        return plan.batch(ProposalId(1, 1, self.sequence), 0, tuple(parts))

    def apply(self, batch: Batch) -> Outcome:
        return self._apply(encode_batch(batch))

    def _apply(self, payload: bytes) -> Outcome:
        return self.applier.apply([(self.applier.index + 1, 1, payload)])[0].outcome

    def run(self, command: Callable[[Plan], Any], parts: Collection[BlobPart] = ()) -> None:
        assert self.apply(self.plan(command, parts)) is Outcome.APPLIED

    def bring(self, data: bytes, parts: int | None = None) -> BlobId:
        name = blob_id(data)
        self.run(lambda plan: None, list(cut_blob(name, data))[:parts])
        return name

    def link(self, blob: BlobId, account: AccountId = ALICE) -> Batch:
        return self.plan(lambda plan: blob_links.plan_link(plan, account, blob, TypeCode.UPLOAD, 1))

    def unlink(self, blob: BlobId, account: AccountId = ALICE) -> None:
        self.run(lambda plan: blob_links.plan_unlink(plan, account, blob, TypeCode.UPLOAD, 1))

    def look(self) -> list[Found]:
        return at_once(walk(self.engine, None))[0]

    def settling(self, found: list[Found], members: Collection[int] = MEMBERS) -> Batch:
        return self.plan(lambda plan: plan_settle(plan, found, members, GRACE_MS))

    def collect(self) -> None:
        """A leader comes by."""
        found = self.look()
        if found:
            assert self.apply(self.settling(found)) is Outcome.APPLIED

    def pass_grace(self) -> None:
        self.now_ms += GRACE_MS

    def is_here(self, blob: BlobId) -> bool:
        return self.engine.get(keys.blob_key(blob)) is not None

    def is_marked(self, blob: BlobId) -> bool:
        return self.engine.get(keys.lone_blob_key(blob)) is not None


@pytest.fixture
def story() -> Story:
    return Story()


def test_what_nothing_holds_is_marked_and_after_the_grace_forgotten(story: Story) -> None:
    held, lone = story.bring(b"held"), story.bring(b"nobody's")
    story.apply(story.link(held))
    story.collect()
    assert story.is_marked(lone) and not story.is_marked(held)
    story.now_ms += GRACE_MS - 1
    story.collect()
    assert story.is_here(lone)
    story.now_ms += 1
    story.collect()
    assert not story.is_here(lone) and not story.is_marked(lone) and story.is_here(held)
    assert collected(story.engine) == (1, len(b"nobody's"))
    assert story.look() == []


def test_a_blob_is_held_by_the_last_of_its_holders(story: Story) -> None:
    blob = story.bring(b"shared")
    for account in (ALICE, BOB):
        story.apply(story.link(blob, account))
    story.unlink(blob)
    assert story.look() == []
    story.unlink(blob, BOB)
    assert [found.blob for found in story.look()] == [blob]


def test_a_link_takes_the_mark_away(story: Story) -> None:
    blob = story.bring(b"wanted again")
    story.collect()
    story.pass_grace()
    forgetting = story.settling(story.look())
    assert story.apply(story.link(blob)) is Outcome.APPLIED
    assert not story.is_marked(blob)
    assert story.apply(forgetting) is Outcome.CONFLICT
    assert story.is_here(blob)


def test_a_link_that_was_planned_before_the_mark_is_planned_again(story: Story) -> None:
    blob = story.bring(b"wanted all along")
    linking = story.link(blob)
    story.collect()
    assert story.apply(linking) is Outcome.CONFLICT
    assert story.apply(story.link(blob)) is Outcome.APPLIED
    story.pass_grace()
    story.collect()
    assert story.is_here(blob) and not story.is_marked(blob)


def test_who_looked_before_the_mark_may_not_forget(story: Story) -> None:
    blob = story.bring(b"data")
    steps = walk(story.engine, None)
    next(steps)  # the blobs are read ...
    next(steps)  # ... and the marks, and the links of the first account
    story.collect()
    story.pass_grace()
    found: list[Found] = []
    try:
        while True:
            next(steps)
    except StopIteration as end:
        found = end.value[0]
    assert [(each.blob, each.mark) for each in found] == [(blob, None)]
    story.apply(story.settling(found))
    assert story.is_here(blob)


def test_a_mark_that_comes_late_is_not_the_one_that_a_link_took_away(story: Story) -> None:
    blob = story.bring(b"data")
    one, other = (story.settling(story.look()) for _ in range(2))
    assert story.apply(one) is Outcome.APPLIED
    story.pass_grace()
    forgetting = story.settling(story.look())
    assert story.apply(story.link(blob)) is Outcome.APPLIED
    assert story.apply(other) is Outcome.APPLIED and story.is_marked(blob)
    assert story.apply(forgetting) is Outcome.CONFLICT
    assert story.is_here(blob)


def test_a_mark_on_what_is_held_goes(story: Story) -> None:
    """Its batch was late: a link came between the look and it."""
    blob = story.bring(b"data")
    marking = story.settling(story.look())
    story.apply(story.link(blob))
    assert story.apply(marking) is Outcome.APPLIED and story.is_marked(blob)
    story.pass_grace()
    story.collect()
    assert story.is_here(blob) and not story.is_marked(blob)


def test_half_an_upload_is_forgotten_when_nothing_comes_any_more(story: Story) -> None:
    data = bytes_of(3 * PART)
    blob = story.bring(data, 1)
    story.collect()
    story.pass_grace()
    story.bring(data, 2)  # it goes on
    story.collect()
    story.pass_grace()
    assert story.engine.get(keys.blob_part_key(blob, 0)) is not None
    story.collect()
    assert not story.engine.scan(*keys.blobs_range(b"q")) and not story.is_marked(blob)
    assert story.bring(data) == blob and story.is_here(blob)


def test_the_last_part_may_come_while_the_others_are_about_to_go(story: Story) -> None:
    data = bytes_of(2 * PART)
    blob = story.bring(data, 1)
    story.collect()
    story.pass_grace()
    forgetting = story.settling(story.look())
    story.bring(data)
    assert story.apply(forgetting) is Outcome.CONFLICT
    assert story.is_here(blob)


def test_beside_a_process_that_knows_no_marks_nothing_is_forgotten(story: Story) -> None:
    blob = story.bring(b"data")
    story.collect()
    story.pass_grace()
    forgetting = story.settling(story.look())
    story.register(2, 2)  # it began anew, as an older version perhaps
    assert story.apply(forgetting) is Outcome.CONFLICT
    story.collect()
    assert story.is_here(blob)
    story.apply(story.settling(story.look(), members=(1,)))  # it is no member any more
    assert not story.is_here(blob)


def test_who_has_never_registered_proposes_nothing(story: Story) -> None:
    blob = story.bring(b"data")
    story.collect()
    story.pass_grace()
    story.apply(story.settling(story.look(), members=(1, 2, 99)))
    assert not story.is_here(blob)


def test_many_blobs_are_looked_for_a_walk_at_a_time(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "WALK_BLOBS_MAX", 256)
    blobs = {story.bring(b"%d" % number) for number in range(700)}
    held = set(sorted(blobs)[::7])
    for blob in sorted(held):
        story.apply(story.link(blob))
    found: list[BlobId] = []
    after, walks = None, 0
    while walks == 0 or after is not None:
        page, after = at_once(walk(story.engine, after))
        found += [each.blob for each in page]
        walks += 1
    assert walks == 3 and found == sorted(blobs - held)


def test_a_batch_settles_so_many_rows() -> None:
    small = Found(BlobId(bytes(32)), 1, (), None, False)
    large = Found(BlobId(bytes(32)), None, tuple(range(2_000)), None, False)
    sizes = [len(portion) for portion in portions([small] * 1_000 + [large, large, small])]
    assert sizes == [512, 488, 1, 1, 1]
