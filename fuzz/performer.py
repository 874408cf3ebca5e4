"""Does actions to a town, mends what they did, and keeps a record of both.

Who is down on purpose is started again after `for_s`; a node that ends by itself, as one does
whose disk fails, is started again by the runner. An action finds the town as it is: where it makes
no sense at the moment, it is passed over, and not recorded.
"""

import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from fuzz import slow_fsync
from fuzz.actions import Action
from fuzz.slow_fsync import Tracer
from fuzz.town import ASK_S, CHANGE_S, Town
from fuzz.watchers import Watchers
from node.admin import AdminRefused

# An action that needs a leader waits for one so long.
LEADER_S: Final = 30.0
# Before the power goes disks are slow for so long; each of their syncs begins so late.
SLOW_BEFORE_CUT_S: Final = 1.5
SLOW_CUT_MS: Final = 400
# If no client hears anything, the power goes after this.
CUT_S: Final = 12.0
# After a power cut on slow disks the rest waits for the others' leader, but only so long.
LATE_S: Final = 40.0
# After a removal nobody else is removed for so long: the cluster grows to its size again.
BETWEEN_CHANGES_S: Final = 10.0


class Performer:
    """One run's hand."""

    def __init__(self, town: Town, watchers: Watchers, nursery: trio.Nursery) -> None:
        self._town, self._watchers, self._nursery = town, watchers, nursery
        self.done: list[Action] = []
        self.counts: Counter[str] = Counter()
        self.down: set[str] = set()
        self._frozen: set[str] = set()
        self._tracers: dict[str, Tracer] = {}
        self._changing = False
        one_way, both_ways = self._one_way, self._both_ways
        self.deeds: dict[str, Callable[[Action, list[str]], Awaitable[None]]] = {
            "kill": self._kill,
            "kill leader": self._kill,
            "kill all": self._kill_all,
            "freeze": self._freeze,
            "freeze leader": self._freeze_leader,
            "restart one": self._restart,
            "restart all": self._restart_all,
            "transfer leader": self._transfer,
            "cut logs": self._cut_logs,
            "replace member": self._replace,
            "split": both_ways,
            "one way": one_way,
            "isolate leader": both_ways,
            "weather": self._weather,
            "power": self._power,
            "power leader": self._power,
            "power all": self._power_all,
            "power on slow disks": self._power_on_slow_disks,
            "disk full": self._fill,
            "slow disk": self._slow,
            "slow disk leader": self._slow,
            "hung disk leader": self._hang,
            "failing disk": self._fail,
            "failing disk leader": self._fail,
            "clock jump": self._jump,
        }

    async def perform(self, action: Action, now_s: float) -> bool:
        """Begin one action at `now_s` of the run; its end comes by itself. False when there was no
        leader to do it to."""
        kind = action["do"]
        nodes = sorted(action["nodes"], key=self._is_troubled)  # those that are well come first
        if "leader" in kind or kind == "power on slow disks":
            leader = await self._leader()
            if leader is None:
                return False
            nodes = [leader, *(name for name in nodes if name != leader)]
        action = {**action, "nodes": nodes, "at_s": round(now_s, 3)}
        self.done.append(action)
        self.counts[kind] += 1
        print(f"{now_s:8.1f} s  {kind}: {', '.join(nodes)}", file=sys.stderr, flush=True)
        self._nursery.start_soon(self.deeds[kind], action, nodes)
        return True

    def _is_troubled(self, name: str) -> bool:
        busy = name in self.down or name in self._frozen or name in self._tracers
        return busy or not self._town.cluster.node(name).alive

    async def keep_running(self) -> None:
        """Start again whoever ended and is not meant to be down. Until cancelled."""
        while True:
            for name in self._town.names:
                if name in self.down or self._town.cluster.node(name).alive:
                    continue
                if self._town.was_removed(name):  # by a change whose outcome was not heard
                    await self._empty(name)
                self._town.start(name)
            await trio.sleep(0.2)

    async def _empty(self, name: str) -> None:
        self.down.add(name)  # nobody else has a hand on its disk meanwhile
        try:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._town.empty, name)
            self.counts["disks emptied"] += 1
        finally:
            self.down.discard(name)

    async def _leader(self) -> str | None:
        with trio.move_on_after(LEADER_S):
            while True:
                leader = await trio.to_thread.run_sync(self._town.leader)
                if leader is not None:
                    return leader
                await trio.sleep(0.2)
        return None

    # --- processes

    async def _down(self, names: list[str], number: int, pauses_s: list[float]) -> None:
        """Signal these nodes at once; each is started again after its pause."""
        for name, pause_s in zip(names, pauses_s, strict=True):
            if name not in self.down:
                self.down.add(name)
                self._town.signal(name, number)
                self._nursery.start_soon(self._up_again, name, pause_s)

    async def _up_again(self, name: str, after_s: float) -> None:
        try:
            with trio.move_on_after(after_s):
                while name in self.down:  # or it may come back earlier
                    await trio.sleep(0.05)
        finally:
            self.down.discard(name)

    async def _kill(self, action: Action, nodes: list[str]) -> None:
        await self._down(nodes[:1], signal.SIGKILL, [action["for_s"]])

    async def _kill_all(self, action: Action, nodes: list[str]) -> None:
        await self._down(nodes, signal.SIGKILL, [action["for_s"]] * len(nodes))

    async def _restart(self, action: Action, nodes: list[str]) -> None:
        await self._down(nodes[:1], signal.SIGTERM, [action["for_s"]])

    async def _restart_all(self, action: Action, nodes: list[str]) -> None:
        pauses_s = [action["for_s"] * (1 + number / 2) for number in range(len(nodes))]
        await self._down(nodes, signal.SIGTERM, pauses_s)

    def _stop(self, name: str) -> None:
        self._frozen.add(name)
        self._town.signal(name, signal.SIGSTOP)

    def _go_on(self, name: str) -> None:
        self._frozen.discard(name)
        self._town.signal(name, signal.SIGCONT)

    async def _freeze(self, action: Action, nodes: list[str]) -> None:
        if nodes[0] not in self._frozen:
            self._stop(nodes[0])
            try:
                await trio.sleep(action["for_s"])
            finally:
                self._go_on(nodes[0])

    async def _freeze_leader(self, action: Action, nodes: list[str]) -> None:
        name = nodes[0]
        if name not in self._frozen:
            await self._watchers.around(
                name, action["for_s"], lambda: self._stop(name), lambda: self._go_on(name)
            )

    # --- what operators ask

    async def _asked(self, what: str, node: str, call: str, timeout_s: float, **args: str) -> bool:
        def ask() -> bool:
            try:
                self._town.ask(node, call, args, timeout_s)
            except (OSError, AdminRefused):
                return False
            return True

        # The answer may take its time while the run ends.
        answered = await trio.to_thread.run_sync(ask, abandon_on_cancel=True)
        self.counts[f"{what}: {'done' if answered else 'refused'}"] += 1
        return answered

    async def _transfer(self, action: Action, nodes: list[str]) -> None:
        call = "cluster.transfer-leader"
        await self._asked("transfers", nodes[0], call, CHANGE_S, name=nodes[1])

    async def _cut_logs(self, action: Action, nodes: list[str]) -> None:
        for name in nodes:
            await self._asked("log cuts", name, "node.cut-log", ASK_S)

    async def _replace(self, action: Action, nodes: list[str]) -> None:
        """Remove a member for good, and let one with an empty disk take its place."""
        if self._changing:
            return
        self._changing = True
        name = nodes[0]
        try:
            removed = await self._asked(
                "removals", nodes[1], "cluster.remove-node", CHANGE_S, name=name
            )
            if removed:  # it is told, ends, and comes back with an empty disk: keep_running
                await trio.sleep(BETWEEN_CHANGES_S)
        finally:
            self._changing = False

    # --- the network

    async def _both_ways(self, action: Action, nodes: list[str]) -> None:
        count = 1 if action["do"] == "isolate leader" else action["count"]
        await self._part(nodes[:count], action["for_s"], both_ways=True)

    async def _one_way(self, action: Action, nodes: list[str]) -> None:
        await self._part(nodes[: action["count"]], action["for_s"], both_ways=False)

    async def _part(self, nodes: list[str], for_s: float, *, both_ways: bool) -> None:
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

    async def _weather(self, action: Action, nodes: list[str]) -> None:
        self._town.set_weather(loss=action["loss"], repeat=0.05, delay_s=action["delay_s"])
        try:
            await trio.sleep(action["for_s"])
        finally:
            self._town.set_weather()

    # --- power and disks

    async def _cut(self, names: list[str], pauses_s: list[float]) -> None:
        up = [(name, s) for name, s in zip(names, pauses_s, strict=True) if name not in self.down]
        self.down |= {name for name, _ in up}
        await trio.to_thread.run_sync(self._town.cut_power, [name for name, _ in up])
        for name, pause_s in up:
            self._nursery.start_soon(self._up_again, name, pause_s)

    async def _power(self, action: Action, nodes: list[str]) -> None:
        await self._cut(nodes[:1], [action["for_s"]])

    async def _power_all(self, action: Action, nodes: list[str]) -> None:
        await self._cut(nodes, [action["for_s"]] * len(nodes))

    async def _power_on_slow_disks(self, action: Action, nodes: list[str]) -> None:
        """The leader and others, a majority, sync late. Right after a client of the rest was told
        that its message is safe the power goes everywhere, and the rest stays off until the others
        have elected a leader: what only the rest had on its disks was no majority's."""
        majority = len(nodes) // 2 + 1
        slow, fast = nodes[:majority], nodes[majority:]
        async with trio.open_nursery() as nursery:
            for name in slow:
                nursery.start_soon(self._trace, name, slow_fsync.slow(SLOW_CUT_MS), CUT_S)
            with trio.move_on_after(CUT_S):
                await self._watchers.write_until_heard(fast, SLOW_BEFORE_CUT_S)
            await self._cut([*slow, *fast], [action["for_s"]] * len(slow) + [LATE_S] * len(fast))
            nursery.cancel_scope.cancel()
        with trio.move_on_after(LATE_S):
            while await trio.to_thread.run_sync(self._town.leader) is None:
                await trio.sleep(0.2)
            self.down -= set(fast)

    async def _fill(self, action: Action, nodes: list[str]) -> None:
        disk = self._town.disks[nodes[0]]
        await trio.to_thread.run_sync(disk.fill)
        try:
            await trio.sleep(action["for_s"])
        finally:
            disk.empty()

    async def _trace(self, name: str, trouble: str, for_s: float) -> None:
        process = self._town.cluster.node(name).process
        if name in self._tracers or process is None or process.poll() is not None:
            return
        with trio.CancelScope(shield=True):
            tracer = await trio.to_thread.run_sync(Tracer, process.pid, trouble)
        self._tracers[name] = tracer
        try:
            await trio.sleep(for_s)
        finally:
            del self._tracers[name]
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(tracer.release)

    async def _slow(self, action: Action, nodes: list[str]) -> None:
        await self._trace(nodes[0], slow_fsync.slow(action["slow_ms"]), action["for_s"])

    async def _hang(self, action: Action, nodes: list[str]) -> None:
        await self._trace(nodes[0], slow_fsync.slow(60_000), action["for_s"] + 1)

    async def _fail(self, action: Action, nodes: list[str]) -> None:
        await self._trace(nodes[0], slow_fsync.FAILING, action["for_s"])

    # --- time

    async def _jump(self, action: Action, nodes: list[str]) -> None:
        clock = self._town.clocks[nodes[0]]
        clock.set(action["clock_s"])
        try:
            await trio.sleep(action["for_s"])
        finally:
            clock.set(0)
