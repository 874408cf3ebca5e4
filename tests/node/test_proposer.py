"""Commands through the proposer: grouped, ordered, exactly once, and honest about silence."""

import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from node import proposer as proposer_file
from node.freight import STAGED_LOADS_MAX
from node.proposer import (
    COMMANDS_MAX,
    CONFLICTS_MAX,
    INLINE_OCTETS_MAX,
    WRITE_TIMEOUT_S,
    Proposer,
)
from node.queues import ROUND_COMMANDS_MAX, ROUND_OCTETS_MAX
from node.rounds import RESEND_S, Fenced
from protocols.ports import Unavailable
from storage import keys
from storage.apply import Outcome
from storage.batch import (
    BATCH_BYTES_MAX,
    Announce,
    Batch,
    BatchError,
    Expect,
    ProposalId,
    encode_batch,
)
from storage.blob_links import holds, plan_link
from storage.ids import AccountId, Version, blob_id
from storage.keys import TypeCode
from storage.plan import Plan
from tests.node.cluster_of_one import ME, ClusterOfOne

ALICE, BOB = AccountId(1), AccountId(2)
COUNTER = keys.state_key(ALICE)


class Story(ClusterOfOne):
    """A cluster of one with its proposer running."""

    def __init__(self) -> None:
        super().__init__()
        self.register_rival(replica=99)
        self.unseen: list[bytes] = []  # acknowledged by another node, not applied here yet
        self.barriers = 0
        self.lacks_room = False
        self.proposer = Proposer(
            self.machine,
            self,
            self.clock,
            self.chance,
            ME,
            barrier=self.barrier,
            lacks_room=lambda: self.lacks_room,
        )

    async def barrier(self) -> None:
        """As Barriers.view."""
        await trio.lowlevel.checkpoint()
        self.barriers += 1
        unseen, self.unseen = self.unseen, []
        if unseen:
            self.waiting[:0] = unseen
            self.commit()

    def rival_puts(self, number: bytes) -> None:
        """Another node changes Alice's counter; we do not know yet."""
        plan = Plan(self.machine.view(), now_ms=0, chance=self.chance)
        with plan.command():
            plan.touch(ALICE, 1)
            plan.put(COUNTER, number)
        self.unseen.append(encode_batch(plan.batch(ProposalId(99, 1, 1), 1)))

    async def registered(self) -> None:
        """Until the proposer has its epoch."""
        while not self.machine.registered(ME.replica)[0]:
            await trio.testing.wait_all_tasks_blocked()

    def rival_touches(self, account: AccountId, sequence: int = 1) -> None:
        """A batch of another replica changes the account."""
        plan = Plan(self.machine.view(), now_ms=0, chance=self.chance)
        with plan.command():
            plan.touch(account, 1)
        self.waiting.insert(0, encode_batch(plan.batch(ProposalId(99, 1, sequence), 1)))


def count(plan: Plan) -> int:
    """Add one under the account's version, and say what it is now."""
    plan.touch(ALICE, 1)
    held = plan.get(COUNTER)
    number = 1 + (0 if held is None else int(held))
    plan.put(COUNTER, b"%d" % number)
    return number


@pytest.fixture
async def story(nursery: trio.Nursery) -> AsyncIterator[Story]:
    story = Story()
    nursery.start_soon(story.proposer.run)
    await story.registered()
    yield story
    nursery.cancel_scope.cancel()


async def test_a_command_is_applied_before_its_result_returns(
    story: Story, autojump_clock: MockClock
) -> None:
    assert await story.proposer.write(ALICE, count) == 1
    assert story.engine.get(COUNTER) == b"1"
    assert await story.proposer.write(ALICE, count) == 2


async def test_while_there_is_no_room_nothing_is_taken_and_nothing_proposed(
    story: Story, autojump_clock: MockClock
) -> None:
    assert await story.proposer.write(ALICE, count) == 1
    proposed, story.lacks_room = story.proposed, True
    with pytest.raises(Unavailable, match="nearly full"):
        await story.proposer.write(ALICE, count, blobs=[b"a message"])
    assert story.proposed == proposed
    story.lacks_room = False
    assert await story.proposer.write(ALICE, count) == 2


async def test_commands_that_wait_share_a_batch_and_not_a_version(
    story: Story, autojump_clock: MockClock
) -> None:
    results: list[int] = []

    async def write() -> None:
        results.append(await story.proposer.write(ALICE, count))

    async with trio.open_nursery() as callers:
        for _ in range(50):
            callers.start_soon(write)
    assert sorted(results) == list(range(1, 51))
    assert len(story.batches()) == 1
    assert story.batches()[0].announces[0].version == 50


async def test_a_round_takes_so_many_commands_and_no_more(
    story: Story, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as callers:
        for _ in range(ROUND_COMMANDS_MAX + 1):
            callers.start_soon(story.proposer.write, ALICE, count)
    assert [batch.announces[0].version for batch in story.batches()] == [
        ROUND_COMMANDS_MAX,
        ROUND_COMMANDS_MAX + 1,
    ]


async def test_a_refused_command_leaves_its_neighbours_alone(
    story: Story, autojump_clock: MockClock
) -> None:
    def refused(plan: Plan) -> None:
        plan.put(COUNTER, b"99")
        raise KeyError("no such mailbox")

    async with trio.open_nursery() as callers:
        callers.start_soon(story.proposer.write, ALICE, count)
        with pytest.raises(KeyError):
            await story.proposer.write(ALICE, refused)
    assert story.engine.get(COUNTER) == b"1"


async def test_a_refusal_knows_what_other_nodes_acknowledged(
    story: Story, autojump_clock: MockClock
) -> None:
    def take_one(plan: Plan) -> int:
        held = int(plan.get(COUNTER) or 0)
        if held == 0:
            raise KeyError("nothing is left")
        plan.touch(ALICE, 1)
        plan.put(COUNTER, b"%d" % (held - 1))
        return held - 1

    story.rival_puts(b"5")
    assert await story.proposer.write(ALICE, take_one) == 4
    assert story.barriers == 1


async def test_a_write_is_not_left_out_because_of_what_is_no_longer_so(
    story: Story, autojump_clock: MockClock
) -> None:
    def set_to_one(plan: Plan) -> None:
        if plan.get(COUNTER) != b"1":
            plan.touch(ALICE, 1)
            plan.put(COUNTER, b"1")

    await story.proposer.write(ALICE, set_to_one)
    assert story.barriers == 0, "what apply has checked needs no barrier"
    story.rival_puts(b"2")
    await story.proposer.write(ALICE, set_to_one)
    await story.barrier()  # at the latest now the other node's change is seen here
    assert story.engine.get(COUNTER) == b"1"


async def test_a_refusal_that_nobody_confirms_is_unavailable(
    story: Story, autojump_clock: MockClock
) -> None:
    async def never() -> None:
        await trio.sleep(WRITE_TIMEOUT_S * 2)

    def refuse(plan: Plan) -> None:
        raise KeyError("no")

    story.proposer._barrier = never
    with pytest.raises(Unavailable):
        await story.proposer.write(ALICE, refuse)


async def test_a_command_without_changes_proposes_nothing(
    story: Story, autojump_clock: MockClock
) -> None:
    proposed = story.proposed
    assert await story.proposer.write(ALICE, lambda plan: plan.version(ALICE)) == 0
    assert story.proposed == proposed


async def test_accounts_are_proposed_together(story: Story, autojump_clock: MockClock) -> None:
    story.running = False
    async with trio.open_nursery() as callers:
        callers.start_soon(story.proposer.write, ALICE, count)
        callers.start_soon(story.proposer.write, BOB, lambda plan: plan.touch(BOB, 1))
        await trio.testing.wait_all_tasks_blocked()
        assert len(story.waiting) == 2
        story.commit()


async def test_a_lost_proposal_is_sent_again_under_its_id(
    story: Story, autojump_clock: MockClock
) -> None:
    story.losing = True
    async with trio.open_nursery() as callers:
        callers.start_soon(story.proposer.write, ALICE, count)
        await trio.sleep(RESEND_S / 2)
        story.losing = False
    assert len(story.batches()) == 1


async def test_a_new_leader_gets_what_the_old_one_lost(
    story: Story, autojump_clock: MockClock
) -> None:
    story.losing = True
    start_s = trio.current_time()
    async with trio.open_nursery() as callers:
        callers.start_soon(story.proposer.write, ALICE, count)
        await trio.testing.wait_all_tasks_blocked()
        story.losing = False
        story.proposer.leader_changed()
    assert trio.current_time() - start_s < RESEND_S / 2


async def test_what_the_old_leader_had_may_commit_yet_and_is_not_planned_anew(
    story: Story, autojump_clock: MockClock
) -> None:
    story.running = False
    async with trio.open_nursery() as callers:
        callers.start_soon(story.proposer.write, ALICE, count)
        await trio.testing.wait_all_tasks_blocked()
        story.proposer.leader_changed()
        await trio.sleep(RESEND_S)
        story.running = True
        story.commit()
    assert story.engine.get(COUNTER) == b"1"
    assert len({batch.pid for batch in story.batches()}) == 1


async def test_copies_of_a_proposal_count_once(story: Story, autojump_clock: MockClock) -> None:
    story.running = False
    async with trio.open_nursery() as callers:
        callers.start_soon(story.proposer.write, ALICE, count)
        await trio.testing.wait_all_tasks_blocked()
        story.commit(copies=3)
    assert story.engine.get(COUNTER) == b"1"


async def test_a_conflict_is_planned_again(story: Story, autojump_clock: MockClock) -> None:
    story.running = False
    async with trio.open_nursery() as callers:
        callers.start_soon(story.proposer.write, ALICE, count)
        await trio.testing.wait_all_tasks_blocked()
        story.rival_touches(ALICE)
        story.running = True
        story.commit()
    assert story.engine.get(COUNTER) == b"1"
    outcomes = [outcome for pid, outcome in story.outcomes if pid and pid.replica == ME.replica]
    assert outcomes[-2:] == [Outcome.CONFLICT, Outcome.APPLIED]


async def test_conflicts_without_end_are_given_up(story: Story, autojump_clock: MockClock) -> None:
    story.running = False
    rivals = 0

    async def interfere() -> None:
        nonlocal rivals
        while True:
            await trio.testing.wait_all_tasks_blocked()
            if story.waiting:
                rivals += 1
                story.rival_touches(ALICE, rivals)
                story.commit()
            await trio.sleep(0.001)

    async with trio.open_nursery() as callers:
        callers.start_soon(interfere)
        with pytest.raises(Unavailable):
            await story.proposer.write(ALICE, count)
        callers.cancel_scope.cancel()
    assert rivals == CONFLICTS_MAX
    assert story.engine.get(COUNTER) is None


async def test_silence_is_unavailable_and_the_account_waits_for_the_outcome(
    story: Story, autojump_clock: MockClock
) -> None:
    story.losing = True
    start_s = trio.current_time()
    with pytest.raises(Unavailable):
        await story.proposer.write(ALICE, count)
    assert WRITE_TIMEOUT_S <= trio.current_time() - start_s < WRITE_TIMEOUT_S + 0.2
    with pytest.raises(Unavailable):
        await story.proposer.write(ALICE, count)  # behind the first, so never even planned
    assert story.proposer.under_way == 1
    story.losing = False
    # The first one's outcome is found out before anything else of the account is planned.
    assert await story.proposer.write(ALICE, count) == 2


async def test_what_nobody_waits_for_any_more_is_not_kept_while_nothing_commits(
    story: Story, autojump_clock: MockClock
) -> None:
    story.losing = True
    seen: list[weakref.ref[Any]] = []

    async def give_up() -> None:
        class Command:
            def __call__(self, plan: Plan) -> int:
                return count(plan)

        command = Command()
        seen.append(weakref.ref(command))
        with pytest.raises(Unavailable):
            await story.proposer.write(ALICE, command, blobs=[b"%d" % len(seen)])

    for _ in range(5):
        await give_up()
    gc.collect()
    # The first is under way; the last was looked at a moment ago.
    assert [command() is not None for command in seen[:-1]] == [True, False, False, False]
    story.losing = False
    assert await story.proposer.write(ALICE, count) == 2


async def test_other_accounts_do_not_wait_for_it(story: Story, autojump_clock: MockClock) -> None:
    story.running = False
    async with trio.open_nursery() as callers:
        callers.start_soon(story.proposer.write, ALICE, count)
        await trio.testing.wait_all_tasks_blocked()
        held, story.waiting, story.running = story.waiting, [], True
        await story.proposer.write(BOB, lambda plan: plan.touch(BOB, 1))
        story.waiting = held
        story.commit()


async def test_a_caller_that_leaves_takes_its_unplanned_command_along(
    story: Story, autojump_clock: MockClock
) -> None:
    story.running = False
    async with trio.open_nursery() as callers:
        callers.start_soon(story.proposer.write, ALICE, count)
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0.1):
            await story.proposer.write(ALICE, count)
        story.running = True
        story.commit()
    await trio.testing.wait_all_tasks_blocked()
    assert story.engine.get(COUNTER) == b"1"


@pytest.mark.parametrize("octets", [0, 10, INLINE_OCTETS_MAX, INLINE_OCTETS_MAX + 1, 5_000_000])
async def test_blobs_are_there_before_the_rows(
    story: Story, octets: int, autojump_clock: MockClock
) -> None:
    data = story.chance.randbytes(octets)
    await story.proposer.write(ALICE, count, blobs=[data])
    assert story.blobs.read(blob_id(data), 0, octets + 1) == data
    assert len(encoded := story.entries) and all(
        len(entry.payload) <= BATCH_BYTES_MAX for entry in encoded
    )


async def test_a_blob_that_is_here_does_not_travel_again(
    story: Story, autojump_clock: MockClock
) -> None:
    data = bytes(1000)
    await story.proposer.write(ALICE, count, blobs=[data])
    await story.proposer.write(ALICE, count, blobs=[data])
    first, second = story.batches()
    assert first.blobs and not second.blobs
    assert keys.blob_key(blob_id(data)) in [expect.key for expect in second.expects]


async def test_a_blob_that_is_collected_on_the_way_is_brought_after_all(
    story: Story, autojump_clock: MockClock
) -> None:
    data = bytes(1000)
    blob = blob_id(data)
    await story.proposer.write(ALICE, count, blobs=[data])
    gone = Plan(story.machine.view(), now_ms=0, chance=story.chance)
    with gone.command():
        gone.delete(keys.blob_key(blob))
    story.unseen.append(encode_batch(gone.batch(ProposalId(99, 1, 1), 1)))

    def link(plan: Plan) -> None:
        plan_link(plan, ALICE, blob, TypeCode.UPLOAD, 1)

    story.waiting, story.unseen = list(story.unseen), []  # the log has it before our batch
    await story.proposer.write(ALICE, link, blobs=[data])
    outcomes = [outcome for pid, outcome in story.outcomes if pid and pid.replica == ME.replica]
    assert outcomes[-2:] == [Outcome.CONFLICT, Outcome.APPLIED]
    assert story.blobs.size(blob) == len(data) and holds(story.engine, ALICE, blob)


async def test_only_so_many_loads_are_under_way(story: Story, autojump_clock: MockClock) -> None:
    story.running = False
    data = bytes(40 * 256 * 1024)
    async with trio.open_nursery() as callers:
        callers.start_soon(lambda: story.proposer.write(ALICE, count, blobs=[data]))
        await trio.testing.wait_all_tasks_blocked()
        assert story.proposer.under_way == STAGED_LOADS_MAX
        story.running = True
        story.commit()
    assert story.blobs.size(blob_id(data)) == len(data)


async def test_a_large_blob_in_a_dead_cluster_is_unavailable(
    story: Story, autojump_clock: MockClock
) -> None:
    story.losing = True
    with pytest.raises(Unavailable):
        await story.proposer.write(ALICE, count, blobs=[bytes(20 * 1024 * 1024)])
    story.losing = False
    await story.proposer.write(ALICE, count, blobs=[bytes(20 * 1024 * 1024)])


async def test_big_commands_go_in_batches_of_their_own(
    story: Story, autojump_clock: MockClock
) -> None:
    def big(plan: Plan) -> None:
        plan.touch(ALICE, 1)
        key = keys.record_key(ALICE, 1, story.chance.getrandbits(60))
        plan.put(key, bytes(ROUND_OCTETS_MAX // 2))

    async with trio.open_nursery() as callers:
        for _ in range(3):
            callers.start_soon(story.proposer.write, ALICE, big)
    assert [batch.announces[0].version for batch in story.batches()] == [1, 2, 3]


async def test_a_command_over_the_limit_is_refused(story: Story, autojump_clock: MockClock) -> None:
    def huge(plan: Plan) -> None:
        plan.touch(ALICE, 1)
        plan.put(COUNTER, bytes(BATCH_BYTES_MAX))

    with pytest.raises(BatchError):
        await story.proposer.write(ALICE, huge)
    assert await story.proposer.write(ALICE, lambda plan: plan.touch(ALICE, 1)) == 1


async def test_too_many_callers_are_refused_at_once(
    story: Story, autojump_clock: MockClock
) -> None:
    story.losing = True
    async with trio.open_nursery() as callers:
        for _ in range(COMMANDS_MAX):
            callers.start_soon(_quietly, story)
        await trio.testing.wait_all_tasks_blocked()
        start_s = trio.current_time()
        with pytest.raises(Unavailable):
            await story.proposer.write(ALICE, count)
        assert trio.current_time() == start_s
        callers.cancel_scope.cancel()


async def test_too_many_blob_octets_are_refused_at_once(
    story: Story, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proposer_file, "COMMAND_OCTETS_MAX", 1000)
    await story.proposer.write(ALICE, count, blobs=[bytes(500), bytes(500)])
    with pytest.raises(Unavailable):
        await story.proposer.write(ALICE, count, blobs=[bytes(500), bytes(501)])
    assert await story.proposer.write(ALICE, count) == 2, "what ended gave its room back"


async def _quietly(story: Story) -> None:
    with pytest.raises(Unavailable):
        await story.proposer.write(ALICE, count)


async def test_a_second_process_of_our_identity_stops_us(
    autojump_clock: MockClock,
) -> None:
    story = Story()
    with pytest.raises(ExceptionGroup) as raised, trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(story.proposer.run)
            await story.registered()
            await story.proposer.write(ALICE, count)
            story.register_rival()
    assert raised.group_contains(Fenced)


async def test_an_older_process_is_fenced(autojump_clock: MockClock) -> None:
    story = Story()
    assert story.register_rival() == 1
    late = Plan(story.machine.view(), now_ms=0, chance=story.chance)
    with late.command():
        count(late)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(story.proposer.run)
        while story.machine.registered(ME.replica)[0] != 2:
            await trio.testing.wait_all_tasks_blocked()
        story.propose([encode_batch(late.batch(ProposalId(ME.replica, 1, 1), 1))])
        assert story.outcomes[-1][1] is Outcome.FENCED
        assert await story.proposer.write(ALICE, count) == 1
        nursery.cancel_scope.cancel()


async def test_registration_is_repeated_until_it_works(
    autojump_clock: MockClock,
) -> None:
    story = Story()
    story.losing = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(story.proposer.run)
        nursery.start_soon(story.proposer.write, ALICE, count)
        await trio.sleep(3)
        story.losing = False
        await trio.sleep(1)
        assert story.engine.get(COUNTER) == b"1"
        nursery.cancel_scope.cancel()


async def test_stopping_tells_those_who_wait(autojump_clock: MockClock) -> None:
    story = Story()
    story.losing = True
    async with trio.open_nursery() as callers, trio.open_nursery() as nursery:
        nursery.start_soon(story.proposer.run)
        callers.start_soon(_quietly, story)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert trio.current_time() < WRITE_TIMEOUT_S


async def test_another_node_that_met_a_conflict_goes_first(
    story: Story, autojump_clock: MockClock
) -> None:
    await story.registered()
    await story.proposer.write(ALICE, count)
    stale = Plan(story.machine.view(), now_ms=0, chance=story.chance)
    with stale.command():
        stale.touch(ALICE, 1)
    await story.proposer.write(ALICE, count)
    story.waiting.append(encode_batch(stale.batch(ProposalId(99, 1, 1), 1)))
    story.commit()
    assert story.outcomes[-1] == (ProposalId(99, 1, 1), Outcome.CONFLICT)
    proposed = story.proposed

    async with trio.open_nursery() as callers:
        callers.start_soon(story.proposer.write, ALICE, count)
        await trio.testing.wait_all_tasks_blocked()
        assert story.proposed == proposed  # it waits
        story.rival_touches(ALICE, sequence=2)
        story.commit()

    assert story.engine.get(COUNTER) == b"3"
    assert [outcome for _, outcome in story.outcomes[-2:]] == [Outcome.APPLIED, Outcome.APPLIED]


async def test_turns_that_were_not_taken_hold_up_nobody_who_comes_later(
    story: Story, autojump_clock: MockClock
) -> None:
    for rival in (97, 98):
        story.register_rival(replica=rival)
        stale = encode_batch(
            Batch(
                ProposalId(rival, 1, 1),
                1,
                expects=(Expect(COUNTER, b"never"),),
                announces=(Announce(ALICE, Version(1), 1),),
            )
        )
        story.waiting.append(stale)
    story.commit()
    assert [outcome for _, outcome in story.outcomes[-2:]] == [Outcome.CONFLICT] * 2
    await trio.sleep(10)
    before = trio.current_time()
    await story.proposer.write(ALICE, count)
    assert trio.current_time() == before
