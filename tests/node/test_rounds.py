"""Proposals under way: bounded, sent again in measure, and acknowledged."""

from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from node import rounds as rounds_file
from node.rounds import RESEND_S, ROUNDS_MAX, ROUNDS_OCTETS_MAX, WINDOW_MAX, Round, Rounds
from storage.apply import Outcome
from storage.batch import Batch, ProposalId, decode_batch, encode_batch
from tests.node.cluster_of_one import ME, ClusterOfOne


class Story(ClusterOfOne):
    """Rounds over a log that a test holds in its hand."""

    def __init__(self) -> None:
        super().__init__()
        self.rounds = Rounds(self.machine, self, self.clock, self.chance, ME)
        self.told: list[tuple[int, Outcome]] = []

    def open(self, octets: int = 0) -> Round:
        sequences: list[int] = []

        def encode(pid: ProposalId, ack_below: int) -> bytes:
            sequences.append(pid.sequence)
            return encode_batch(Batch(pid, ack_below, puts=((b"\x01x", bytes(octets)),)))

        return self.rounds.open(encode, lambda outcome: self.told.append((sequences[0], outcome)))

    def acked(self, round_: Round) -> int:
        return decode_batch(round_.payload).ack_below


async def registered() -> Story:
    story = Story()
    assert story.rounds.closed, "nothing is proposed before the boot epoch is registered"
    await story.rounds.register()
    return story


async def test_an_epoch_is_above_that_of_the_process_before(autojump_clock: MockClock) -> None:
    story = Story()
    assert story.register_rival() == 1
    with trio.fail_after(5):
        await story.rounds.register()
    assert story.rounds.epoch == 2


async def test_outcomes_are_told_and_acknowledged(autojump_clock: MockClock) -> None:
    story = await registered()
    first, second = story.open(), story.open()
    assert (story.acked(first), story.acked(second)) == (1, 1)
    story.rounds.send([second])
    assert story.told == [(2, Outcome.APPLIED)]
    assert story.acked(story.open()) == 1, "the first one's outcome is still unknown"
    story.rounds.send([first])
    assert story.acked(story.open()) == 3


async def test_what_cannot_be_encoded_leaves_nothing(autojump_clock: MockClock) -> None:
    story = await registered()
    with pytest.raises(ValueError):
        story.open(10**6)
    assert len(story.rounds) == 0
    story.rounds.send([story.open()])
    assert story.told == [(1, Outcome.APPLIED)], "and wastes no number"


async def test_so_many_and_no_more(autojump_clock: MockClock) -> None:
    story = await registered()
    story.running = False
    opened = [story.open() for _ in range(ROUNDS_MAX)]
    assert story.rounds.closed
    async with trio.open_nursery() as nursery:
        nursery.start_soon(story.rounds.wait_open)
        await wait_all_tasks_blocked()
        story.rounds.send(opened[:1])
        story.commit()
    assert not story.rounds.closed


async def test_so_many_octets_and_no_more(autojump_clock: MockClock) -> None:
    story = await registered()
    story.running = False
    opened = []
    while not story.rounds.closed:
        opened.append(story.open(900_000))
    assert sum(len(round_.payload) for round_ in opened) < ROUNDS_OCTETS_MAX + 10**6
    story.rounds.send(opened[:2])
    story.commit()
    assert not story.rounds.closed


async def test_one_stuck_proposal_bounds_what_apply_remembers(autojump_clock: MockClock) -> None:
    story = await registered()
    stuck = story.open()
    for _ in range(WINDOW_MAX - 1):
        story.rounds.send([story.open()])
    assert story.rounds.closed and len(story.rounds) == 1
    story.rounds.send([stuck])
    assert not story.rounds.closed


async def test_sending_again_waits_longer_each_time(autojump_clock: MockClock) -> None:
    story = await registered()
    story.losing = True
    story.rounds.send([story.open()])
    times: list[float] = []
    proposed = story.proposed
    for _ in range(400):
        await trio.sleep(0.01)
        story.rounds.resend_due()
        if story.proposed > proposed:
            proposed = story.proposed
            times.append(trio.current_time())
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses[0] >= RESEND_S * 0.75 and max(pauses) <= rounds_file.RESEND_S_MAX + 0.02
    assert 4 <= len(times) <= 8


async def test_sending_again_is_bounded_in_octets(autojump_clock: MockClock) -> None:
    story = await registered()
    story.losing = True
    opened = [story.open(900_000) for _ in range(10)]
    story.rounds.send(opened)
    await trio.sleep(RESEND_S * 1.5)
    sizes = []
    for _ in range(4):
        before = story.proposed
        story.rounds.resend_due()
        sizes.append(story.proposed - before)
    assert sizes == [4, 4, 2, 0]
    story.losing = False
    story.rounds.send(opened)
    assert len(story.told) == 10 and len(story.rounds) == 0
