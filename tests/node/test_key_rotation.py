"""Which step is next, for every state that crashes and silences can leave the members in."""

from dataclasses import dataclass, field
from random import Random

import pytest

from node.key_rotation import Phase, Step, next_step
from node.keyring import (
    Key,
    Ring,
    RingRefused,
    RingView,
    first_ring,
    install,
    next_key,
    remove_before,
    use,
)

CLUSTER = bytes(16)
OLD, NEW = Key(1, b"the old secret 1" * 2), Key(2, b"the new secret 2" * 2)
BEFORE = first_ring(CLUSTER, OLD)
INSTALLED = install(BEFORE, NEW)
USED = use(INSTALLED, NEW.id)
AFTER = remove_before(USED, NEW.id)


def step(*rings: Ring | None) -> Step:
    return next_step({n: ring and ring.view() for n, ring in enumerate(rings, 1)})


@pytest.mark.parametrize(
    ("rings", "phase", "ask"),
    [
        ((BEFORE, BEFORE, BEFORE), Phase.DONE, ()),
        ((INSTALLED, BEFORE, BEFORE), Phase.INSTALL, (2, 3)),
        ((INSTALLED, BEFORE, INSTALLED), Phase.INSTALL, (2,)),
        ((INSTALLED, INSTALLED, INSTALLED), Phase.USE, (1, 2, 3)),
        ((USED, INSTALLED, USED), Phase.USE, (2,)),
        ((USED, USED, USED), Phase.REMOVE, (1, 2, 3)),
        ((AFTER, USED, AFTER), Phase.REMOVE, (2,)),
        ((AFTER, AFTER, AFTER), Phase.DONE, ()),
        ((USED, USED, BEFORE), Phase.INSTALL, (3,)),  # came in late, with the old key
    ],
)
def test_the_next_step(rings: tuple[Ring, ...], phase: Phase, ask: tuple[int, ...]) -> None:
    found = step(*rings)
    assert (found.phase, found.ask, found.silent) == (phase, ask, ())


def test_one_that_is_silent_still_lets_the_others_install() -> None:
    assert step(INSTALLED, BEFORE, None).ask == (2,)


@pytest.mark.parametrize("ring", [INSTALLED, USED])
def test_nothing_is_used_or_removed_while_one_is_silent(ring: Ring) -> None:
    found = step(ring, ring, None)
    assert found.phase is not Phase.DONE
    assert (found.ask, found.silent) == ((), (3,))


@dataclass
class Town:
    """Members whose rings change as they are asked to; some are down, leaders come and go."""

    chance: Random
    rings: dict[int, Ring] = field(default_factory=lambda: dict.fromkeys(range(1, 6), BEFORE))
    down: set[int] = field(default_factory=set)

    def look(self) -> dict[int, RingView | None]:
        return {n: None if n in self.down else ring.view() for n, ring in self.rings.items()}

    def begin(self) -> None:
        n = self.chance.choice([n for n in self.rings if n not in self.down])
        key = next_key(self.rings[n], self.chance.randbytes(32))
        self.rings[n] = install(self.rings[n], key)

    def take(self, step: Step, *, some: bool) -> None:
        """Have members take a step that was decided on before, perhaps long ago."""
        target = next(
            key for ring in self.rings.values() for key in ring.keys if key.name == step.target
        )
        for n in step.ask:
            if n in self.down or (some and self.chance.random() < 0.5):
                continue
            try:
                match step.phase:
                    case Phase.INSTALL:
                        self.rings[n] = install(self.rings[n], target)
                    case Phase.USE:
                        self.rings[n] = use(self.rings[n], target.id)
                    case Phase.REMOVE:
                        self.rings[n] = remove_before(self.rings[n], target.id)
            except RingRefused:
                pass

    def deaf(self) -> list[tuple[int, int]]:
        """Pairs of which one does not open what the other seals."""
        return [
            (a, b)
            for a, one in self.rings.items()
            for b, other in self.rings.items()
            if other.in_use not in one.keys
        ]


@pytest.mark.parametrize("seed", range(200))
def test_everybody_always_opens_what_anybody_seals(seed: int) -> None:
    """Two leaders at once, steps that come late, members that come and go, rotations anew."""
    chance = Random(seed)
    town = Town(chance)
    late: list[Step] = []
    for _ in range(60):
        match chance.randrange(5):
            case 0 if len(town.down) < len(town.rings) - 1:
                town.down.add(chance.choice(sorted(town.rings)))
            case 1:
                town.down.clear()
            case 2 if next_step(town.look()).phase is Phase.DONE or chance.random() < 0.1:
                town.begin()
            case _:
                late.append(next_step(town.look()))
                town.take(late[-1], some=True)
                if len(late) > 1 and chance.random() < 0.3:
                    town.take(late[-2], some=True)
        assert town.deaf() == []
        if any(len(ring.keys) >= 7 for ring in town.rings.values()):
            break
    town.down.clear()
    for _ in range(4 * 8):
        town.take(next_step(town.look()), some=False)
    assert len(set(town.rings.values())) == 1
    assert len(town.rings[1].keys) == 1
