"""No blob that anything holds is ever collected, whatever comes late, dies or is sent away; and
what nothing holds comes back to the disk, on every node.
"""

import pytest
import trio
from trio.testing import MockClock

from storage import keys, local_keys, reclaim
from storage.dump import state_hash
from storage.scrub import is_named
from tests.node.collecting_world import GRACE_MS, World

SEEDS = 12
STEPS = 500


# 1060: a mark came late, and looked like the one that a link had taken away.
@pytest.mark.parametrize("seed", [*range(SEEDS), 1060])
def test_whatever_happens(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reclaim, "DEAD_BYTES_MIN", 1)
    trio.run(_live_through, seed, clock=MockClock(autojump_threshold=0))


async def _live_through(seed: int) -> None:
    world = World(seed)
    chance = world.chance
    for _ in range(STEPS):
        await _step(world, chance.random())
        world.check()
    await _settle_down(world)


async def _step(world: World, drawn: float) -> None:
    chance = world.chance
    node, blob = chance.choice(world.nodes), chance.choice(list(world.blobs))
    if drawn < 0.12:
        world.link(node, blob)
    elif drawn < 0.28:
        world.unlink(node)
    elif drawn < 0.32:
        world.copy(node)
    elif drawn < 0.35:
        world.carry(node, blob)
    elif drawn < 0.53:
        world.walk_on(node)
    elif drawn < 0.67:
        for _ in range(min(len(world.under_way), chance.randrange(1, 5))):
            world.log.append(world.under_way.pop(chance.randrange(len(world.under_way))))
        if world.under_way and chance.random() < 0.05:
            world.under_way.pop()  # lost
    elif drawn < 0.80:
        node.apply(world.log, chance.randrange(1, 20))
    elif drawn < 0.85:
        world.now_ms += chance.randrange(3 * GRACE_MS)
    elif drawn < 0.87:
        node.checkpoint()
    elif drawn < 0.95:
        await node.reclaim(world.log, dies_after=chance.choice((None, None, 1, 2, 3, 4, 5)))
    elif drawn < 0.98:
        node.end(world.log, power=chance.random() < 0.7)
        world.walks = [walked for walked in world.walks if walked[0] is not node]
    else:
        await world.give_snapshot(node, chance.choice(world.nodes))


async def _settle_down(world: World) -> None:
    """All arrives, and a leader comes by as often as it takes."""
    world.walks.clear()
    world.commit_all()
    world.follow()
    world.check()
    for _ in range(4):
        world.now_ms += GRACE_MS
        node = world.nodes[0]
        while not world.walks:
            world.walk_on(node)
        while world.walks:
            world.walk_on(node)
            if len(world.walks) > 1:
                world.walks.pop()
        world.commit_all()
        world.follow()
        world.check()
    for node in world.nodes:
        assert node.whole() == node.links()
        assert not node.engine.scan(*keys.blobs_range(b"q"))
        assert not node.engine.scan(*keys.blobs_range(b"X"))
        assert state_hash(node.engine) == state_hash(world.nodes[0].engine)
        await node.reclaim(world.log)
        await node.reclaim(world.log)
        world.check()
        places = [
            local_keys.unpack_place_key(key)
            for key, _ in node.engine.scan(*local_keys.PLACES_RANGE)
        ]
        assert all(is_named(node.engine, *place) for place in places)
        live = sum(len(world.blobs[blob]) for blob in node.whole())
        assert sum(node.state.blobs.sizes().values()) <= 2 * live
