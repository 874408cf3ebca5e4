"""Faults for whole nodes: which kinds are on at all is drawn per seed, then they come and go.

Constant crashes would hide what only long quiet runs reach (swarm testing). A fault of the network
or of a disk mends itself after a while; a node that is down is started again.
"""

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Final

import trio

from node.admin import AdminRefused
from tests.simulation.disk import Crashed
from tests.simulation.faults import WEATHER, Swarm
from tests.simulation.trace import Trace
from tests.simulation.whole import scheduling
from tests.simulation.whole.machine import AMPLE_BYTES, FREE_BYTES_MIN, SYNC_S_MAX, Machine
from tests.simulation.whole.network import SimNetwork, Weather

# Operators wait for an answer so long.
ORDER_S_MAX: Final = 10.0
# A removal that is under way when all is healed is over by then, and its node has heard of it.
FAREWELL_S: Final = 9.0
MEND_S_MAX: Final = 4.0
BOOT_S_MAX: Final = (3.0, 3.0, 15.0)  # away for long, a node may need another's snapshot


class Nemesis:
    """Draws faults until told to heal."""

    def __init__(
        self,
        machines: Sequence[Machine],
        network: SimNetwork,
        chance: Random,
        trace: Trace,
        boot: Callable[[Machine], None],
        always: Sequence[str] = (),
        seed: str = "",
    ) -> None:
        self._machines, self._network = machines, network
        self._chance, self._trace, self._boot = chance, trace, boot
        self._swarm = Swarm("b", chance, always)
        self._swarm.draw_later(seed, always)
        self.enabled = list(self._swarm.enabled)
        self._pause_s_max = chance.choice([2.0, 5.0, 12.0])
        self._healed = self._asked_to_leave = False

    def _weather(self) -> Weather:
        on, chance = self.enabled, self._chance
        return Weather(
            loss=chance.choice([0.002, 0.02, 0.1]) if "loss" in on else 0.0,
            repeat=0.1 if "repeat" in on else 0.0,
            late=chance.choice([0.01, 0.1]) if "late" in on else 0.0,
            damage=0.02 if "damage" in on else 0.0,
            fragment=chance.choice([0.05, 0.2]) if "fragment" in on else 0.0,
            delay_s=chance.choice([0.0003, 0.002, 0.01]),
        )

    async def run(self) -> None:
        """One fault after another, until cancelled."""
        self._network.weather = self._weather()
        for fault in [one for one in WEATHER if one in self.enabled]:
            self._trace.faults[f"weather: {fault}"] += 1
        if "full disk" in self.enabled:
            for machine in self._machines:
                machine.leave_free(AMPLE_BYTES)
        self._swarm.start()
        while True:
            await trio.sleep(self._chance.uniform(0.05, self._pause_s_max))
            self._swarm.happen(self)

    async def keep_running(self) -> None:
        """Whatever is down is started again after a while, healed or not; and orders are given."""
        async with trio.open_nursery() as nursery:
            self._orders = nursery
            for machine in self._machines:
                nursery.start_soon(self._revive, machine)

    async def _revive(self, machine: Machine) -> None:
        while True:
            await machine.ended.wait()
            await trio.sleep(0.01 if self._healed else self._down_s())
            self._network.dark.discard(machine.host)
            self._boot(machine)

    def _down_s(self) -> float:
        return self._chance.uniform(0.01, self._chance.choice(BOOT_S_MAX))

    def heal(self) -> None:
        """All faults are over; `run` must have been cancelled."""
        self._healed = True
        network = self._network
        network.weather = Weather()
        network.cut.clear()
        network.deaf.clear()
        network.slow.clear()
        for machine in self._machines:
            scheduling.thaw(machine.name)
            machine.disk.fail_next_sync = machine.is_hung = False
            machine.sync_s_max = SYNC_S_MAX
            if machine.free_bytes is not None:
                machine.leave_free(AMPLE_BYTES)
        self._trace("healed")

    async def last_orders(self) -> None:
        """After healing: what operators asked has happened, or will not."""
        if self._asked_to_leave:
            await trio.sleep(FAREWELL_S)

    # --- the faults ---

    def _later(self, mend: Callable[[], None]) -> None:
        self._network.clock.call_later(self._chance.uniform(0.1, MEND_S_MAX), mend)

    def _up(self) -> list[Machine]:
        return [machine for machine in self._machines if machine.is_up]

    def _leader(self) -> Machine | None:
        for machine in self._up():
            if machine.house is not None and machine.house.status.row().role == "leader":
                return machine
        return None

    def _part(self, one: Sequence[Machine], *, both_ways: bool, fault: str) -> None:
        cut = {(a.host, b.host) for a in one for b in self._machines if b not in one}
        if both_ways:
            cut |= {(b, a) for a, b in cut}
        self._network.cut |= cut
        self._trace.fault(fault, *(machine.name for machine in one))
        self._later(lambda: self._network.cut.difference_update(cut))

    def _some(self) -> list[Machine]:
        return self._chance.sample(self._machines, self._chance.randint(1, len(self._machines) - 1))

    def _split(self) -> None:
        self._part(self._some(), both_ways=True, fault="split")

    def _one_way(self) -> None:
        self._part(self._some(), both_ways=False, fault="one way")

    def _isolate_leader(self) -> None:
        leader = self._leader()
        if leader is not None:
            self._part([leader], both_ways=self._chance.random() < 0.6, fault="isolate leader")

    def _slow_link(self) -> None:
        one, other = self._chance.sample(self._machines, 2)
        link = (one.host, other.host)
        self._network.slow[link] = self._chance.choice([0.02, 0.1, 0.6])
        self._trace.fault("slow link", one.name, other.name)

        def mend() -> None:
            self._network.slow.pop(link, None)

        self._later(mend)

    def _reset(self) -> None:
        machine = self._chance.choice(self._machines)
        if machine.process is not None:
            for stream in list(machine.process.streams):
                if self._chance.random() < 0.5:
                    stream.break_off()
                    stream.peer.break_off()
            self._trace.fault("reset", machine.name)

    def _kill(self) -> None:
        self._end(self._up(), power=False)

    def _kill_leader(self) -> None:
        leader = self._leader()
        if leader is not None:
            leader.kill(power=self._chance.random() < 0.3)

    def _power(self) -> None:
        self._end(self._up(), power=True)

    def _power_all(self) -> None:
        for machine in self._up():
            machine.kill(power=True)

    def _end(self, candidates: list[Machine], *, power: bool) -> None:
        if candidates:
            self._chance.choice(candidates).kill(power=power)

    def _stop(self) -> None:
        machine = self._chance.choice(self._machines)
        if machine.is_up and machine.house is not None:
            self._trace.fault("orderly stop", machine.name)
            machine.stopping.set()

    def _fsync_fails(self) -> None:
        machine = self._chance.choice(self._machines)
        machine.disk.fail_next_sync = True
        self._trace.fault("fsync fails", machine.name)

    def _full_disk(self) -> None:
        """Nearly full, so that it stands aside; too full for its reserve; or full."""
        machine = self._chance.choice(self._machines)
        octets = self._chance.choice([FREE_BYTES_MIN - 1, FREE_BYTES_MIN // 4, 0])
        machine.leave_free(octets)
        self._trace.fault("full disk", machine.name, octets)
        self._later(partial(machine.leave_free, AMPLE_BYTES))

    def _slow_disk(self) -> None:
        machine = self._chance.choice(self._machines)
        machine.sync_s_max = self._chance.choice([0.02, 0.1, 0.5])
        self._trace.fault("slow disk", machine.name)

        def mend() -> None:
            machine.sync_s_max = SYNC_S_MAX

        self._later(mend)

    def _hung_disk(self) -> None:
        machine = self._chance.choice(self._machines)
        machine.is_hung = True
        self._trace.fault("hung disk", machine.name)

        def mend() -> None:
            machine.is_hung = False

        self._later(mend)

    def _pause(self) -> None:
        """Frozen, as by SIGSTOP: its sockets fill, its deadlines pass, and it knows nothing."""
        leader, up = self._leader(), self._up()
        if leader is not None and self._chance.random() < 0.5:
            up = [leader]
        if up:
            machine = self._chance.choice(up)
            scheduling.freeze(machine.name)
            self._trace.fault("pause", machine.name)
            self._later(lambda: scheduling.thaw(machine.name))

    def _drift(self) -> None:
        machine = self._chance.choice(self._machines)
        machine.wall.drift(self._chance.choice([0.7, 0.95, 1.0, 1.05, 1.5]))
        self._trace.fault("drift", machine.name, machine.wall.rate)

    def _gossip_cut(self) -> None:
        one = self._some()
        deaf = {(a.host, b.host) for a in one for b in self._machines if b not in one}
        if self._chance.random() < 0.5:
            deaf |= {(b, a) for a, b in deaf}
        self._network.deaf |= deaf
        self._trace.fault("gossip cut", *(machine.name for machine in one))
        self._later(lambda: self._network.deaf.difference_update(deaf))

    def _false_alarm(self) -> None:
        leader, machine = self._leader(), self._chance.choice(self._machines)
        if leader is not None and machine.is_up and machine.house is not None:
            machine.house._unreachable(leader.replica)
            self._trace.fault("false alarm", machine.name)

    def _rows_lost(self) -> None:
        """Somebody else must have a whole state: all others have."""
        machine = self._chance.choice(self._machines)
        others = [one for one in self._machines if one is not machine]
        whole = [one.is_up and one.house is not None and one.house.ready() for one in others]
        if machine.is_up and all(whole) and not any(one.loses_rows for one in self._machines):
            machine.loses_rows = True
            self._trace.fault("rows lost", machine.name)
            machine.kill(power=False)

    # --- what operators ask

    def _order(self, fault: str, call: str, **args: object) -> None:
        """At whichever node; what it says is only noted."""
        up = [
            machine
            for machine in self._up()
            if machine.house is not None and not scheduling.is_frozen(machine.name)
        ]
        if up:
            self._trace.fault(fault, *args.values())
            self._orders.start_soon(self._ask, self._chance.choice(up), call, args)

    async def _ask(self, machine: Machine, call: str, args: dict[str, object]) -> None:
        house = machine.house
        assert house is not None
        calls = house._belonging.desk.calls() | house._snapshots.calls()
        try:
            with trio.move_on_after(ORDER_S_MAX):
                await calls[call](args)
                self._trace("order carried out", machine.name, call)
        except (AdminRefused, OSError, trio.BrokenResourceError) as error:
            self._trace("order refused", machine.name, call, error)
        except Crashed:
            self._trace("order died with its node", machine.name, call)

    def _handover(self) -> None:
        self._order("handover", "cluster.transfer-leader")

    def _compact(self) -> None:
        self._order("compact", "node.cut-log")

    def _reform(self) -> None:
        """A node is removed; when it hears that, it comes back with an empty disk, as a learner
        that the leader promotes."""
        machine = self._chance.choice(self._machines)
        others = [other for other in self._machines if other is not machine]
        if all(other.is_settled for other in others):
            machine.may_be_removed = self._asked_to_leave = True
            self._order("reform", "cluster.remove-node", name=machine.name)

    def _clock_jump(self) -> None:
        machine = self._chance.choice(self._machines)
        machine.wall.ahead_ms += self._chance.choice([-3_600_000, -500, 500, 3_600_000])
        self._trace.fault("clock jump", machine.name, machine.wall.ahead_ms)
