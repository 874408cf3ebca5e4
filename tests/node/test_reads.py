"""Read barriers: shared, never with a round that began before, and bounded in time."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from node import reads
from node.reads import READ_TIMEOUT_S, ROUND_TIMEOUT_S, Barriers
from protocols.ports import Unavailable
from storage.view import View
from tests.node.cluster_of_one import ClusterOfOne


class Story(ClusterOfOne):
    """Consensus answers a round when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.barriers = Barriers(self.machine, self, self.clock)
        self.rounds = 0
        self.answer = trio.Event()
        self.index = 0
        self.known_index: int | None = None

    async def read_index(self) -> int:
        self.rounds += 1
        await self.answer.wait()
        self.answer = trio.Event()
        return self.index

    def noop(self) -> None:
        self.waiting.append(b"")
        self.commit()


async def test_readers_share_the_round_that_begins_after_them(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    story, views = Story(), list[View]()
    nursery.start_soon(story.barriers.run)

    async def read() -> None:
        views.append(await story.barriers.view())

    nursery.start_soon(read)
    await wait_all_tasks_blocked()
    for _ in range(10):
        nursery.start_soon(read)  # these came after the first round was asked
    await wait_all_tasks_blocked()
    story.answer.set()
    await wait_all_tasks_blocked()
    assert (story.rounds, len(views)) == (2, 1)
    story.answer.set()
    await wait_all_tasks_blocked()
    assert (story.rounds, len(views)) == (2, 11)
    nursery.cancel_scope.cancel()


async def test_a_reader_waits_until_its_index_is_applied_here(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    story, views = Story(), list[View]()
    nursery.start_soon(story.barriers.run)
    story.index = 2
    story.answer.set()

    async def read() -> None:
        views.append(await story.barriers.view())

    nursery.start_soon(read)
    await wait_all_tasks_blocked()
    story.noop()
    await wait_all_tasks_blocked()
    assert not views
    story.noop()
    await wait_all_tasks_blocked()
    assert [view.index for view in views] == [2]
    nursery.cancel_scope.cancel()


async def test_no_leader_is_unavailable_in_time(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    story = Story()
    nursery.start_soon(story.barriers.run)
    start_s = trio.current_time()
    with pytest.raises(Unavailable):
        await story.barriers.view()
    assert READ_TIMEOUT_S <= trio.current_time() - start_s < READ_TIMEOUT_S + 0.2
    assert story.barriers.local().index == 0
    async with trio.open_nursery() as readers:
        readers.start_soon(story.barriers.view)
        await wait_all_tasks_blocked()
        story.answer.set()  # an old round, perhaps; the next one is this reader's
        await wait_all_tasks_blocked()
        story.answer.set()
    nursery.cancel_scope.cancel()


async def test_a_lost_round_is_asked_again(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    story = Story()
    nursery.start_soon(story.barriers.run)
    async with trio.open_nursery() as readers:
        readers.start_soon(story.barriers.view)
        await trio.sleep(ROUND_TIMEOUT_S * 1.5)
        assert story.rounds == 2
        story.answer.set()
    nursery.cancel_scope.cancel()


async def test_too_many_readers_are_refused_at_once(
    nursery: trio.Nursery, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "READERS_MAX", 3)
    story = Story()
    nursery.start_soon(story.barriers.run)
    async with trio.open_nursery() as readers:
        for _ in range(3):
            readers.start_soon(story.barriers.view)
        await wait_all_tasks_blocked()
        with pytest.raises(Unavailable):
            await story.barriers.view()
        readers.cancel_scope.cancel()
    async with trio.open_nursery() as readers:
        readers.start_soon(story.barriers.view)  # who left made room
        await wait_all_tasks_blocked()
        story.answer.set()
        await wait_all_tasks_blocked()
        story.answer.set()
    nursery.cancel_scope.cancel()


async def test_stopping_tells_those_who_wait(autojump_clock: MockClock) -> None:
    story = Story()

    async def read() -> None:
        with pytest.raises(Unavailable):
            await story.barriers.view()

    async with trio.open_nursery() as readers, trio.open_nursery() as nursery:
        nursery.start_soon(story.barriers.run)
        readers.start_soon(read)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert trio.current_time() < READ_TIMEOUT_S


async def test_where_nobody_has_to_be_asked_there_is_no_wait(autojump_clock: MockClock) -> None:
    story = Story()
    story.noop()
    story.known_index = 1
    view = await story.barriers.view()  # nothing runs that could hold a round
    assert (view.index, story.rounds) == (1, 0)


async def test_what_is_known_and_not_applied_yet_is_waited_for(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    story = Story()
    nursery.start_soon(story.barriers.run)
    story.known_index = story.index = 1
    views = list[View]()

    async def read() -> None:
        views.append(await story.barriers.view())

    nursery.start_soon(read)
    await wait_all_tasks_blocked()
    story.answer.set()
    await wait_all_tasks_blocked()
    assert not views
    story.noop()
    await wait_all_tasks_blocked()
    assert [view.index for view in views] == [1]
    nursery.cancel_scope.cancel()
