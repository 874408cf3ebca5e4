"""Mending in stories: replicas that have, or have not, what another's log lost."""

from random import Random
from typing import Final, Protocol

from raft.config import RaftConfig
from raft.configs import Configs
from raft.core import Core
from raft.damage import DamagedLog, LogDamaged
from raft.log import RaftLog
from raft.mending import Repair
from raft.model import Index, Membership
from raft.repair import LogAnswer, LogAsk, Mender, answer, answer_damaged
from raft.stable import DurableLog, open_log
from tests.raft.story import CLUSTER, LogStory

ROUNDS_MAX: Final = 50


class Source(Protocol):
    """Whoever is asked."""

    def answer(self, ask: LogAsk) -> LogAnswer: ...


class Whole:
    """A replica that takes part; its log is that of a story."""

    def __init__(self, story: LogStory, *, start: Index = 0) -> None:
        log = story.log
        self.entries = log.read(log.start + 1, log.last, 1 << 30)
        self.core = Core(
            config=RaftConfig(),
            replica=8,
            configs=Configs(Membership(frozenset({7, 8, 9}))),
            log=RaftLog(
                log,
                last=log.last,
                term_runs=runs_of(story),
                window_bytes_max=1,
                start=log.start,
            ),
            hard_state=log.hard_state,
            applied=log.last,
            random=Random(1),
            now_ms=0,
        )
        if start > log.start:
            self.core.compact(start)

    def answer(self, ask: LogAsk) -> LogAnswer:
        return answer(self.core.state, ask)


class Damaged:
    """A replica that is being mended itself."""

    def __init__(self, log: DamagedLog) -> None:
        self.log = log

    def answer(self, ask: LogAsk) -> LogAnswer:
        return answer_damaged(self.log, ask)


def runs_of(story: LogStory) -> list[tuple[Index, int]]:
    log = story.log
    runs = [] if log.snapshot is None else [(log.start, log.snapshot.term)]
    for one in log.read(log.start + 1, log.last, 1 << 30):
        if not runs or runs[-1][1] != one.term:
            runs.append((one.index, one.term))
    return runs


def reopen(story: LogStory, repair: Repair | None = None) -> DurableLog:
    """The next boot of a replica that has others to learn from."""
    story.boots += 1
    story.log = open_log(
        story.disk,
        "wal",
        cluster=CLUSTER,
        replica=7,
        random=Random(story.boots),
        segment_bytes=story.segment_bytes,
        head_may_be_lost=True,
        repair=repair,
    )
    return story.log


def damaged(story: LogStory) -> DamagedLog:
    """The log of a story, which must have gaps."""
    try:
        reopen(story)
    except LogDamaged as error:
        return error.log
    raise AssertionError("nothing is missing")


def repair_from(log: DamagedLog, *sources: Source) -> Repair | None:
    """Ask all of them, round after round; None when nobody can help."""
    mender = Mender(log)
    for _ in range(ROUNDS_MAX):
        moved = False
        for source in sources:
            while (ask := mender.ask) is not None and mender.hear(source.answer(ask)):
                moved = True
        if mender.ask is None:
            return mender.repair
        if not moved and not mender.end_round(len(sources)):
            return None
    raise AssertionError("it asks for ever")


def mended(story: LogStory, *sources: Source) -> str:
    """Open it, with help if need be, and once more, since what was mended is durable."""
    outcome = "whole"
    try:
        reopen(story)
    except LogDamaged as error:
        repair = repair_from(error.log, *sources)
        if repair is None:
            return "stuck"
        reopen(story, repair)
        outcome = "mended"
    story.disk.cut_power()
    last = story.log.last
    assert reopen(story).last == last
    return "doubt" if story.log.head_in_doubt else outcome
