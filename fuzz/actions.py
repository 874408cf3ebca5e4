"""What can be done to a real cluster, and schedules of it drawn from a seed.

An action is a pause after the one before, a kind and its arguments, plain JSON;
fuzz/performer.py does it. "leader" stands for whoever leads when it is done. Each kind says by
what means it is done: what a machine does not have is left out, and said so.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fuzz.means import CLOCKS, ISOLATED, MISSING, STRACE, Means

KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    # processes
    "kill": (),
    "kill leader": (),
    "kill all": (),
    "freeze": (),
    "freeze leader": (),
    "restart one": (),
    "restart all": (),
    # what operators ask
    "transfer leader": (),
    "cut logs": (),
    "replace member": (),
    # the network
    "split": (ISOLATED,),
    "one way": (ISOLATED,),
    "isolate leader": (ISOLATED,),
    "weather": (ISOLATED,),
    # power and disks
    "power": (ISOLATED,),
    "power leader": (ISOLATED,),
    "power all": (ISOLATED,),
    "power on slow disks": (ISOLATED, STRACE),
    "disk full": (ISOLATED,),
    "slow disk": (STRACE,),
    "slow disk leader": (STRACE,),
    "hung disk leader": (STRACE,),
    "failing disk": (STRACE,),
    "failing disk leader": (STRACE,),
    # time
    "clock jump": (CLOCKS,),
}

# Every schedule begins so, as far as it can: what is acknowledged too early is lost here, if
# anywhere, so a broken build is seen soon.
OPENING: Final = ("power on slow disks", "power on slow disks", "power all")
# Calm enough that clients get something done in between, hectic enough that faults meet.
PAUSE_S: Final = (0.5, 7.0)
DOWN_S: Final = (0.1, 4.0)
# How often an action waits until clients get something done again; others meet a cluster in need.
CALM: Final = 0.7
# A leader that is not heard for so long is long forgotten by the others when it wakes.
FREEZE_S: Final = 10.0
SLOW_MS: Final = (50, 500)
CLOCK_S: Final = (-86_400, -3_600, -30, 30, 3_600, 86_400)

Action = dict[str, Any]


def possible(means: Means) -> list[str]:
    """The kinds that can be done here."""
    return [kind for kind, needs in KINDS.items() if all(means.has(need) for need in needs)]


def left_out(means: Means) -> dict[str, str]:
    """The kinds that cannot, each with what it lacks."""
    lacking = {
        kind: [MISSING[need] for need in needs if not means.has(need)]
        for kind, needs in KINDS.items()
    }
    return {kind: "; ".join(why) for kind, why in lacking.items() if why}


def draw(seed: int, seconds: float, names: Sequence[str], kinds: Sequence[str]) -> list[Action]:
    """A schedule for at least so long; after the opening, every kind comes once before any comes
    at random."""
    chance = random.Random(f"{seed}/actions")
    first = [kind for kind in OPENING if kind in kinds] + chance.sample(kinds, len(kinds))
    actions: list[Action] = []
    at, frozen = 0.0, False
    while at < seconds:
        pause_s, opening = chance.uniform(*PAUSE_S), len(first) > len(kinds)
        kind = first.pop(0) if first else chance.choice(kinds)
        action: Action = {
            "after_s": round(pause_s, 3),
            "calm": opening or chance.random() < CALM,
            "do": kind,
            "nodes": chance.sample(list(names), len(names)),
            "count": chance.randint(1, (len(names) + 1) // 2),
            "for_s": round(chance.uniform(*DOWN_S), 3),
            "loss": chance.choice([0.01, 0.1]),
            "delay_s": chance.choice([0.0, 0.005, 0.03]),
            "slow_ms": chance.randint(*SLOW_MS),
            "clock_s": chance.choice(CLOCK_S),
        }
        if kind == "freeze leader" and (not frozen or chance.random() < 0.4):
            action["for_s"], frozen = FREEZE_S, True
        actions.append(action)
        at += pause_s
    return actions
