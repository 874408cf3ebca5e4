"""The IMAP stress run on a house in memory: doors that die, and clients that believe nothing else.

The same clients that work on real nodes; time jumps, so a run of minutes takes as long as its
commands do. A failure prints the last lines of whoever saw it, and the seed brings it back.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from fuzz.imap import Stress
from fuzz.imap_line import Cut
from fuzz.imap_view import Violation
from protocols.imap import ImapDoor
from protocols.imap.selected import Selected
from tests.fakes import FakeHouse, make_house
from tests.protocols.imap.stage import ALICE, SECRET

NAMES = ("n1", "n2", "n3")
RUN_S = 24.0
KILL_EVERY_S = 8.0


class MemoryTown:
    """Doors before one house. Implements World."""

    user, password = ALICE, SECRET

    def __init__(self, nursery: trio.Nursery) -> None:
        self.house: FakeHouse = make_house({ALICE: SECRET})
        self.died: Counter[str] = Counter()
        self._nursery = nursery
        self._doors = {name: ImapDoor(self.house.ports) for name in NAMES}
        self._lives = {name: trio.CancelScope() for name in NAMES}

    @property
    def names(self) -> Sequence[str]:
        return NAMES

    def deaths(self, name: str) -> int:
        return self.died[name]

    def is_dying(self, name: str) -> bool:
        return False

    async def dial(self, name: str) -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(self._serve, name, theirs)
        return ours

    async def _serve(self, name: str, stream: trio.abc.Stream) -> None:
        life = self._lives[name]
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._until_death, life, scope)
                await self._doors[name].converse(stream, "127.0.0.1", False)
                nursery.cancel_scope.cancel()
        await trio.aclose_forcefully(stream)

    async def _until_death(self, life: trio.CancelScope, scope: trio.CancelScope) -> None:
        while not life.cancel_called:
            await trio.sleep(0.05)
        scope.cancel()

    def kill(self, name: str) -> None:
        """All connections of a node are gone; it is there again at once."""
        self.died[name] += 1
        self._lives[name].cancel()
        self._lives[name] = trio.CancelScope()
        self._doors[name] = ImapDoor(self.house.ports)


@asynccontextmanager
async def stress(clients: int, seed: int) -> AsyncIterator[tuple[MemoryTown, Stress]]:
    async with trio.open_nursery() as nursery:
        town = MemoryTown(nursery)
        yield town, Stress.gather(town, clients, seed)
        nursery.cancel_scope.cancel()


async def trouble(town: MemoryTown, run: Stress) -> None:
    """Clients at work, doors that die in turn, and moments without a majority."""
    async with trio.open_nursery() as nursery:
        for client in run.clients:
            nursery.start_soon(run.run_one, client)
        for number in range(int(RUN_S / KILL_EVERY_S)):
            await trio.sleep(KILL_EVERY_S - 1)
            town.house.unavailable = True
            await trio.sleep(1)
            town.house.unavailable = False
            town.kill(NAMES[number % len(NAMES)])
        run.over = True


async def test_every_view_is_what_there_is(autojump_clock: MockClock) -> None:
    async with stress(6, 1) as (town, run):
        await trouble(town, run)
        if not run.wrong:
            await run.judge()
        assert run.wrong == [], "\n".join(line for d in run.dialogues.values() for line in d)
        did = run.counts()
        assert {
            "append",
            "store",
            "fetch",
            "search",
            "expunge",
            "move",
            "copy",
            "idle",
        } <= did.keys()
        assert did["resynchronised"] > 0 and did["unavailable"] > 0 and sum(did.values()) > 500


async def test_a_node_that_hangs_up_is_seen_unless_it_is_dying(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hang_up(stream: trio.abc.Stream, *_: object) -> None:
        await stream.aclose()

    async with stress(1, 1) as (town, run):
        monkeypatch.setattr(town._doors["n1"], "converse", hang_up)
        monkeypatch.setattr(town, "is_dying", lambda name: True)
        with pytest.raises(Cut):
            await run.clients[0].connect("n1")
        monkeypatch.setattr(town, "is_dying", lambda name: False)
        with pytest.raises(Violation, match="without a word"):
            await run.clients[0].connect("n1")


async def test_an_expunge_where_none_may_be_is_seen(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = Selected.tell

    def tell_all(selected: Selected, out: list[bytes], *, expunges: bool, **how: bool) -> None:
        tell(selected, out, expunges=True, **how)

    monkeypatch.setattr(Selected, "tell", tell_all)
    async with stress(6, 1) as (town, run):
        await trouble(town, run)
    assert "where none may be" in run.wrong[0]
    assert run.dialogues[run.wrong[0].split()[1]]


async def test_news_that_is_kept_back_is_seen(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Selected, "_tell_flags", lambda selected, out: selected._untold.clear())
    async with stress(6, 1) as (town, run):
        await trouble(town, run)
        if not run.wrong:
            await run.judge()
    assert run.wrong
