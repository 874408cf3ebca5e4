"""All kinds of faults, by name, and which of them a seed has: one list for both tiers.

Which faults are on at all is drawn per seed (swarm testing): constant crashes would hide the
states that only long quiet runs reach. What a fault does is told once for cores on a heap
(tests.simulation.nemesis) and once for whole nodes (tests.simulation.whole.nemesis), in a method
of its name; both work on the same disks (tests.simulation.disk).
"""

from collections.abc import Sequence
from random import Random
from typing import Final

# How often a seed has a given fault.
ENABLED: Final = 0.4

# What happens to each message, connection or start while it is on. Which tiers know it: a, b.
WEATHER: Final = {
    "loss": "ab",
    "repeat": "ab",
    "late": "ab",
    "reorder": "a",
    "damage": "ab",
    "fragment": "b",
    "died opening": "a",
}
# What happens now and then.
ACTS: Final = {
    "split": "ab",
    "one way": "ab",
    "isolate leader": "ab",
    "slow link": "b",
    "gossip cut": "b",
    "reset": "b",
    "kill": "ab",
    "kill leader": "b",
    "power": "ab",
    "power all": "ab",
    "stop": "b",
    "fsync fails": "ab",
    "slow disk": "ab",
    "hung disk": "ab",
    "pause": "ab",
    "drift": "ab",
    "clock jump": "b",
    "handover": "ab",
    "false alarm": "ab",
    "reform": "ab",
    "compact": "ab",
    "rows lost": "ab",
}
# Drawn after all others, each from a stream of its own, which is named: seeds that do not have it
# stay what they were without it.
LATER: Final = {
    "log damaged": ("a", "later faults"),
    "head damaged": ("a", "head damaged"),
    "full disk": ("b", "full disk"),
}
NAMES: Final = (*WEATHER, *ACTS, *LATER)


def known(tier: str) -> list[str]:
    """The faults of a tier, in the order in which they are drawn."""
    return [name for name, tiers in {**WEATHER, **ACTS}.items() if tier in tiers]


class Swarm:
    """The faults of one seed, and which of them comes next."""

    def __init__(self, tier: str, random: Random, always: Sequence[str] = ()) -> None:
        """`always` names faults that are on whatever is drawn."""
        self._tier, self._random = tier, random
        drawn = [fault for fault in known(tier) if random.random() < ENABLED or fault in always]
        self.enabled = drawn
        self._acts: list[str] = []

    def draw_later(self, seed: str, always: Sequence[str] = ()) -> None:
        """The faults that are drawn after all others."""
        for fault, (tiers, stream) in LATER.items():
            is_drawn = Random(f"{seed}/{stream}").random() < ENABLED
            if self._tier in tiers and (is_drawn or fault in always):
                self.enabled.append(fault)

    def start(self) -> None:
        """From now on acts happen; what was taken out of `enabled` before never does."""
        self._acts = [fault for fault in self.enabled if fault not in WEATHER]
        if "reform" in self._acts:
            self._acts += ["reform"] * 2  # one change needs the one before: learner, then voter

    def happen(self, nemesis: object) -> None:
        """One act: the method of its name."""
        if self._acts:
            fault = self._random.choice(self._acts)
            getattr(nemesis, "_" + fault.replace(" ", "_"))()

    def stop(self) -> None:
        """No more of them."""
        self.enabled, self._acts = [], []
