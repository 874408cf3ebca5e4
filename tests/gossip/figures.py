"""The figures of the failure detector: a hundred members, a fifth of them slow, packets lost.

    python -m tests.gossip.figures --seed 1 --crashes 200          prints them as one JSON line

False deaths: running members that some member declared dead, by probe rounds. Detection: from a
crash to the first member that declares it, and until all that run know. Convergence: from the end
of a partition of ten minutes into halves until everybody counts everybody as up again.
"""

import argparse
import json
import time
from dataclasses import dataclass, field
from random import Random
from typing import Any

from gossip.config import GossipConfig
from gossip.model import Status
from tests.gossip.village import Village

# A slow member hears and notices everything so much later, and stands still now and then.
SLOW_MS = (50, 400)
STALL_MS = 1_000
STALL_EVERY_MS = (10_000, 50_000)
PATIENCE_MS = 120_000


@dataclass
class Figures:
    """What was counted and timed."""

    size: int
    seed: int
    probe_rounds: int = 0
    false_deaths: int = 0
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    detected_ms: list[int] = field(default_factory=list)
    known_to_all_ms: list[int] = field(default_factory=list)
    converged_ms: list[int] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """As they are printed."""
        return {
            "size": self.size,
            "seed": self.seed,
            "virtual_s": round(self.virtual_s),
            "cpu_s": round(self.cpu_s, 1),
            "probe_rounds": self.probe_rounds,
            "false_deaths": self.false_deaths,
            "false_deaths_per_1e5_rounds": round(
                self.false_deaths * 1e5 / max(1, self.probe_rounds), 3
            ),
            "crashes": len(self.detected_ms),
            "detected_ms": shares(self.detected_ms),
            "known_to_all_ms": shares(self.known_to_all_ms),
            "converged_ms": self.converged_ms,
        }


def shares(times_ms: list[int]) -> dict[str, int]:
    """Median, 99th of a hundred and longest."""
    ordered = sorted(times_ms)
    if not ordered:
        return {}
    at = {"p50": 0.5, "p99": 0.99}
    found = {name: ordered[min(len(ordered) - 1, int(len(ordered) * p))] for name, p in at.items()}
    return found | {"max": ordered[-1]}


class Town:
    """A village in bad weather, and what is measured of it."""

    def __init__(self, size: int, seed: int, config: GossipConfig, *, loss: float) -> None:
        self.chance = Random(f"town {seed}")
        self.village = Village(size, seed, config=config, loss=loss, delay_ms=(1, 5), encoded=False)
        self.slow = sorted(self.chance.sample(range(1, size + 1), size // 5))
        self.figures = Figures(size, seed)
        self._away: set[int] = set()
        self._partitioned = False
        self._counted = 0
        self._probes_before: dict[int, int] = {}
        self.village.start()
        self.village.run_until(self.all_up, within_ms=PATIENCE_MS)
        self.village.slow_down(*self.slow, slow_ms=SLOW_MS)
        for n in self.slow:
            self._plan_stall(n)
        self.village.run(5_000)
        self._forget()

    def all_up(self) -> bool:
        """Whether everybody who runs counts everybody who runs as up."""
        running = set(self.village.running())
        return all(
            {m for m, status in self.village.view(n).items() if status.is_up} >= running
            for n in running
        )

    def crash_and_return(self) -> None:
        """One member dies, is found, and comes back."""
        village = self.village
        n = self.chance.choice([n for n in village.nodes if n not in self.slow])
        village.run(self.chance.randrange(2_000))
        self._count()
        village.crash(n)
        self._away.add(n)
        crashed_ms, seen = village.now_ms, len(village.deaths)

        def found() -> list[int]:
            return [at for at, _, subject, _ in village.deaths[seen:] if subject == n]

        village.run_until(lambda: bool(found()), within_ms=PATIENCE_MS)
        self.figures.detected_ms.append(found()[0] - crashed_ms)
        village.run_until(lambda: village.all_see(n, Status.DEAD), within_ms=PATIENCE_MS)
        self.figures.known_to_all_ms.append(village.now_ms - crashed_ms)
        self._count()
        self._away.discard(n)
        village.start(n)
        village.run_until(self.all_up, within_ms=PATIENCE_MS)
        self._count()

    def part_and_meet(self, *, apart_ms: int) -> None:
        """Two halves do not hear each other for a while."""
        village = self.village
        self._count()
        half = set(self.chance.sample(sorted(village.nodes), len(village.nodes) // 2))
        village.cut(half, set(village.nodes) - half)
        village.run(apart_ms)
        village.mend()
        took_ms = village.run_until(self.all_up, within_ms=PATIENCE_MS)
        self.figures.converged_ms.append(took_ms)
        self._forget()  # who was declared dead then was out of reach

    def _plan_stall(self, n: int) -> None:
        def stall() -> None:
            self.village.freeze(n)
            self.village.at(STALL_MS, lambda: self.village.thaw(n))
            self._plan_stall(n)

        self.village.at(self.chance.randint(*STALL_EVERY_MS), stall)

    def _count(self) -> None:
        """Take in what happened since it was last counted."""
        fresh = self.village.deaths[self._counted :]
        false = {(who, life) for _, _, who, life in fresh if who not in self._away}
        self._counted = len(self.village.deaths)
        self.figures.false_deaths += len(false)
        for n in self.village.running():
            counts = self.village.nodes[n].running.counts
            probes = counts["probes"]
            before = self._probes_before.get(n, 0)
            self.figures.probe_rounds += probes - before if probes >= before else probes
            self._probes_before[n] = probes

    def _forget(self) -> None:
        """What happened until now does not count."""
        self._counted = len(self.village.deaths)
        self._probes_before = {
            n: self.village.nodes[n].running.counts["probes"] for n in self.village.running()
        }


def measure(
    size: int,
    seed: int,
    *,
    crashes: int,
    apart_ms: int,
    config: GossipConfig | None = None,
    loss: float = 0.05,
) -> Figures:
    """All figures of one village."""
    began_s = time.process_time()
    town = Town(size, seed, config or GossipConfig(), loss=loss)
    for _ in range(crashes):
        town.crash_and_return()
    if apart_ms:
        town.part_and_meet(apart_ms=apart_ms)
    town.figures.virtual_s = town.village.now_ms / 1000
    town.figures.cpu_s = time.process_time() - began_s
    return town.figures


def main() -> None:
    """Print the figures of the villages asked for."""
    parser = argparse.ArgumentParser(description="Figures of the failure detector.")
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="so many villages")
    parser.add_argument("--crashes", type=int, default=200)
    parser.add_argument("--apart-s", type=int, default=600)
    parser.add_argument("--interval-ms", type=int, default=GossipConfig().probe_interval_ms)
    parser.add_argument("--mult", type=int, default=GossipConfig().suspicion_mult)
    asked = parser.parse_args()
    config = GossipConfig(
        probe_interval_ms=asked.interval_ms,
        probe_timeout_ms=asked.interval_ms // 2,
        suspicion_mult=asked.mult,
    )
    for seed in range(asked.seed, asked.seed + asked.seeds):
        figures = measure(
            asked.size,
            seed,
            crashes=asked.crashes,
            apart_ms=asked.apart_s * 1000,
            config=config,
        )
        print(json.dumps(figures.told()), flush=True)


if __name__ == "__main__":
    main()
