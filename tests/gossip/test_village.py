"""Whole villages under loss, delay, cuts, crashes and freezes: what the protocol promises."""

from dataclasses import replace
from random import Random

import pytest

from gossip.config import GossipConfig
from gossip.identity import Identity
from gossip.model import Change, Status
from tests.gossip.village import Village, Villager

SEEDS = range(12)

# Probing in a shuffled round finds a death within 2n - 1 intervals at worst; then a suspicion.
INTERVAL_MS = GossipConfig().probe_interval_ms


def detect_ms_max(config: GossipConfig, size: int) -> int:
    return (2 * size + 1) * config.probe_interval_ms * 2 + config.suspicion_max_ms(size)


def settled(size: int, seed: int, **world: object) -> Village:
    village = Village(size, seed, **world)  # type: ignore[arg-type]
    village.start()
    village.run_until(village.agreed, within_ms=20_000)
    return village


@pytest.mark.parametrize("seed", SEEDS)
def test_strangers_meet_through_their_seeds(seed: int) -> None:
    village = Village(5, seed)
    village.start()
    assert village.run_until(village.agreed, within_ms=10_000) < 10_000


@pytest.mark.parametrize("seed", SEEDS)
def test_a_calm_village_accuses_nobody_and_says_little(seed: int) -> None:
    village = settled(5, seed)
    village.run(30_000)
    before = village.packets
    village.run(60_000)
    assert not any(village.changes(n, Change.SUSPECTED) for n in village.nodes)
    # A ping and an ack each interval and node, and nothing else when there is no news.
    assert village.packets - before <= 5 * (60_000 // INTERVAL_MS) * 2 + 20


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", [2, 3, 7])
def test_a_crash_is_seen_by_all_in_bounded_time(size: int, seed: int) -> None:
    village = settled(size, seed, loss=0.05)
    village.crash(1)
    village.run_until(
        lambda: village.all_see(1, Status.DEAD), within_ms=detect_ms_max(village.config, size)
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_loss_and_doubling_kill_nobody(seed: int) -> None:
    village = settled(6, seed, loss=0.15, doubling=0.1, delay_ms=(1, 60))
    village.run(120_000)
    assert not any(village.changes(n, Change.DIED) for n in village.nodes)


@pytest.mark.parametrize("seed", SEEDS)
def test_both_halves_of_a_cut_find_each_other_again(seed: int) -> None:
    village = settled(6, seed)
    village.cut({1, 2, 3}, {4, 5, 6})
    village.run(120_000)
    assert village.view(1)[4] is Status.DEAD
    assert village.view(4)[1] is Status.DEAD
    village.heal()
    assert village.run_until(village.agreed, within_ms=10_000) <= 10_000


@pytest.mark.parametrize("seed", SEEDS)
def test_deafness_in_one_direction_is_healed_too(seed: int) -> None:
    village = settled(4, seed)
    village.cut({1}, {2, 3, 4}, one_way=True)
    village.run(60_000)
    village.heal()
    village.run_until(village.agreed, within_ms=15_000)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_dead_path_between_two_is_bridged_by_the_third(seed: int) -> None:
    village = settled(3, seed)
    village.cut({1}, {2})
    village.run(60_000)
    assert village.agreed()
    assert not any(village.changes(n, Change.SUSPECTED) for n in village.nodes)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_firewall_that_stops_datagrams_kills_nobody(seed: int) -> None:
    village = settled(4, seed)
    village.packets_blocked = {1}
    village.run(60_000)
    assert village.agreed()
    assert not any(village.changes(n, Change.SUSPECTED) for n in village.nodes)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_restarted_rejoin_at_once(seed: int) -> None:
    village = settled(4, seed)
    village.crash(2)
    village.run_until(lambda: village.all_see(2, Status.DEAD), within_ms=60_000)
    village.start(2)
    village.run_until(village.agreed, within_ms=5_000)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("downtime_ms", [500, 40_000])
def test_a_lost_clock_does_not_keep_anyone_dead(seed: int, downtime_ms: int) -> None:
    """Restarted in 1970 without its store: all it says is stale, until it hears why."""
    village = settled(4, seed)
    village.crash(3)
    village.run(downtime_ms)
    village.start(3, incarnation=1)
    village.run_until(village.agreed, within_ms=10_000)


@pytest.mark.parametrize("seed", SEEDS)
def test_all_restart_together(seed: int) -> None:
    village = settled(5, seed)
    village.crash(*village.nodes)
    village.run(5_000)
    village.start()
    village.run_until(village.agreed, within_ms=10_000)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_that_left_stays_left_and_is_never_called_dead(seed: int) -> None:
    village = settled(4, seed)
    village.leave(4)
    village.run(2_000)
    village.crash(4)
    assert village.all_see(4, Status.LEFT)
    village.run(60_000)
    assert village.all_see(4, Status.LEFT)
    assert not any(village.changes(n, Change.DIED) for n in village.running())
    village.start(4)
    village.run_until(village.agreed, within_ms=5_000)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_frozen_node_that_thaws_buries_nobody(seed: int) -> None:
    village = settled(4, seed)
    village.freeze(1)
    village.run(45_000)
    assert village.view(2)[1] is Status.DEAD
    village.thaw(1)
    village.run_until(village.agreed, within_ms=15_000)
    assert village.changes(1, Change.DIED) == []


def test_a_new_disk_under_an_old_name_takes_over_once_the_old_is_dead() -> None:
    village = settled(4, seed=1)
    village.crash(4)
    old = village.nodes[4].identity
    village.nodes[9] = Villager(Identity(9, old.name, old.host, old.port))
    village.start(9)
    village.run(1_000)
    assert 9 not in village.view(1)
    assert 9 in village.changes(1, Change.CONFLICT)
    village.run_until(village.agreed, within_ms=60_000)
    assert 4 not in village.view(1)


def test_two_living_under_one_name_are_refused_and_reported() -> None:
    village = settled(3, seed=1)
    village.nodes[8] = Villager(Identity(8, "n2", "10.0.0.1", 1008))
    village.start(8)
    village.run(60_000)
    assert village.view(1)[2] is Status.ALIVE
    assert 8 not in village.view(1)
    assert {8} == set(village.changes(1, Change.CONFLICT))


def test_meta_reaches_everyone() -> None:
    village = settled(5, seed=3)
    village.nodes[2].running.set_meta(b"disk=bad")
    village.run(3_000)
    for n in village.nodes:
        metas = {m.replica: m.meta for m in village.nodes[n].running.members(village.now_ms)}
        assert metas[2] == b"disk=bad"


def test_a_slow_node_does_not_bury_the_quick() -> None:
    """Lifeguard's case: one node reads its packets late, again and again."""
    village = settled(6, seed=5)
    for _ in range(30):
        village.freeze(6)
        village.run(1_200)
        village.thaw(6)
        village.run(300)
    assert village.changes(6, Change.DIED) == []
    village.run_until(village.agreed, within_ms=20_000)


def chaos(seed: int, *, size: int = 6, rounds: int = 25) -> Village:
    """Random trouble, then peace."""
    luck = Random(f"chaos {seed}")
    village = Village(size, seed, loss=luck.choice([0, 0.05, 0.2]), doubling=0.05)
    village.start()
    for _ in range(rounds):
        village.run(luck.randint(100, 15_000))
        n = luck.randint(1, size)
        match luck.randint(0, 4):
            case 0 if village.nodes[n].core:
                village.crash(n)
            case 1 if village.nodes[n].core is None:
                village.start(n, incarnation=luck.choice([None, None, 1, 10**12]))
            case 2:
                some = set(luck.sample(range(1, size + 1), luck.randint(1, size - 1)))
                one_way = luck.random() < 0.5
                village.cut(some, set(village.nodes) - some, one_way=one_way)
            case 3:
                village.heal()
            case 4 if village.nodes[n].core and not village.nodes[n].frozen:
                village.freeze(n)
                village.run(luck.randint(100, 20_000))
                village.thaw(n)
            case _:
                pass
    village.heal()
    return village


@pytest.mark.parametrize("seed", range(40))
def test_after_any_trouble_no_living_node_stays_dead(seed: int) -> None:
    village = chaos(seed)
    village.run_until(village.agreed, within_ms=detect_ms_max(village.config, 6))


def test_the_same_seed_tells_the_same_story() -> None:
    first, second = chaos(7), chaos(7)
    assert first.trace == second.trace
    assert first.packets == second.packets
    assert first.trace != chaos(8).trace


def test_a_hundred_meet_and_lose_one() -> None:
    config = replace(GossipConfig(), seed_retry_ms=5_000)
    village = Village(100, 1, config=config, loss=0.02)
    village.start()
    village.run_until(village.agreed, within_ms=30_000)
    village.crash(50)
    took = village.run_until(lambda: village.all_see(50, Status.DEAD), within_ms=60_000)
    assert took < 30_000
