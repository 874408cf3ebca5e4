"""What is done to a real cluster: drawn from a seed, written down as it was done, done again.

An action is a moment, a name and its arguments, plain JSON. "leader" is resolved when it is done,
so the record names nodes. Who is down is started again by the runner after `down_s`.
"""

import random
import signal
from collections.abc import Sequence
from typing import Any, Final

import trio

from fuzz.town import Town

ANYWHERE: Final = ("kill", "kill leader", "freeze", "freeze leader", "stop", "kill all")
ISOLATED: Final = (
    "split",
    "one way",
    "isolate leader",
    "weather",
    "power",
    "power leader",
    "power all",
    "disk full",
)
PAUSE_S: Final = (1.0, 6.0)
DOWN_S: Final = (0.1, 4.0)

Action = dict[str, Any]


def draw(seed: int, seconds: float, names: Sequence[str], *, isolated: bool) -> list[Action]:
    """A whole schedule; every kind comes once before any comes at random."""
    chance = random.Random(f"{seed}/actions")
    kinds = [*ANYWHERE, *(ISOLATED if isolated else ())]
    first = chance.sample(kinds, len(kinds))
    actions: list[Action] = []
    at = chance.uniform(*PAUSE_S)
    while at < seconds:
        kind = first.pop() if first else chance.choice(kinds)
        actions.append(
            {
                "at_s": round(at, 3),
                "do": kind,
                "nodes": chance.sample(list(names), chance.randint(1, (len(names) + 1) // 2)),
                "for_s": round(chance.uniform(*DOWN_S), 3),
                "loss": chance.choice([0.01, 0.1]),
                "delay_s": chance.choice([0.0, 0.005, 0.03]),
            }
        )
        if "freeze" in kind and chance.random() < 0.4:
            actions[-1]["for_s"] = 10.0
        at += chance.uniform(*PAUSE_S)
    return actions


class Performer:
    """Does actions to a town and mends what they did."""

    def __init__(self, town: Town, nursery: trio.Nursery) -> None:
        self._town, self._nursery = town, nursery
        self.done: list[Action] = []
        self.down: set[str] = set()

    async def perform(self, action: Action) -> None:
        """Begin one action; its end comes by itself after `for_s`."""
        name, nodes = action["do"], list(action["nodes"])
        if name.endswith("leader"):
            leader = action.get("leader") or await trio.to_thread.run_sync(self._leader)
            if leader is None:
                return
            action = {**action, "leader": leader}
            nodes = [leader]
        self.done.append(action)
        match name:
            case "kill" | "kill leader":
                self._down(nodes[:1], action, signal.SIGKILL)
            case "kill all":
                self._down(list(self._town.names), action, signal.SIGKILL)
            case "stop":
                self._down(nodes[:1], action, signal.SIGTERM)
            case "freeze" | "freeze leader":
                self._nursery.start_soon(self._freeze, nodes[0], action["for_s"])
            case "power" | "power leader":
                await self._power(nodes[:1], action)
            case "power all":
                await self._power(list(self._town.names), action)
            case "split" | "one way" | "isolate leader":
                self._nursery.start_soon(self._part, nodes, name != "one way", action["for_s"])
            case "weather":
                self._nursery.start_soon(self._storm, action)
            case "disk full":
                self._nursery.start_soon(self._fill, nodes[0], action["for_s"])
            case _:
                raise ValueError(f"an action that nobody knows: {name}")

    def _leader(self) -> str | None:
        rows = [row for row in self._town.status() if row["up"] and row["role"] == "leader"]
        newest = max(rows, key=lambda row: row["term"], default=None)
        return None if newest is None else str(newest["name"])

    def _down(self, names: list[str], action: Action, number: int) -> None:
        for name in names:
            if name not in self.down:
                self.down.add(name)
                self._town.signal(name, number)
                self._nursery.start_soon(self._up_again, name, action["for_s"])

    async def _up_again(self, name: str, after_s: float) -> None:
        await trio.sleep(after_s)
        self.down.discard(name)

    async def _freeze(self, name: str, for_s: float) -> None:
        self._town.signal(name, signal.SIGSTOP)
        try:
            await trio.sleep(for_s)
        finally:
            self._town.signal(name, signal.SIGCONT)

    async def _power(self, names: list[str], action: Action) -> None:
        for name in names:
            if name not in self.down:
                self.down.add(name)
                await trio.to_thread.run_sync(self._town.cut_power, name)
                self._nursery.start_soon(self._up_again, name, action["for_s"])

    async def _part(self, nodes: list[str], both_ways: bool, for_s: float) -> None:
        inside = {self._town.names.index(name) for name in nodes}
        outside = set(range(len(self._town.names))) - inside
        links = [(a, b) for a in sorted(inside) for b in sorted(outside)]
        if both_ways:
            links += [(b, a) for a, b in links]
        self._town.partition(links, cut=True)
        try:
            await trio.sleep(for_s)
        finally:
            self._town.partition(links, cut=False)

    async def _storm(self, action: Action) -> None:
        self._town.set_weather(loss=action["loss"], repeat=0.05, delay_s=action["delay_s"])
        try:
            await trio.sleep(action["for_s"])
        finally:
            self._town.set_weather()

    async def _fill(self, name: str, for_s: float) -> None:
        disk = self._town.disks[name]
        await trio.to_thread.run_sync(disk.fill)
        try:
            await trio.sleep(for_s)
        finally:
            disk.empty()
