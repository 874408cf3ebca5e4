"""A few short seeds with every commit; `make sim` runs many long ones."""

import pytest

from tests.simulation.run import run_seed


@pytest.mark.parametrize("seed", [str(number) for number in range(1, 13)])
def test_nothing_goes_wrong_under_faults(seed: str) -> None:
    report = run_seed(seed, 8)
    assert report.counts["entries committed"] > 0


@pytest.mark.parametrize("seed", [str(number) for number in range(1, 7)])
def test_members_come_and_go_under_faults(seed: str) -> None:
    assert run_seed(f"reform {seed}", 10, always=["reform"]).counts["entries committed"] > 0


def test_a_seed_is_the_same_run_every_time() -> None:
    one, other = run_seed("again", 6), run_seed("again", 6)
    assert one.digest == other.digest != run_seed("again", 7).digest
    assert (one.events, one.counts, one.faults) == (other.events, other.counts, other.faults)
