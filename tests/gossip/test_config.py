"""Formulas and refusals of the configuration."""

import pytest

from gossip.config import GossipConfig


@pytest.mark.parametrize(
    ("members", "times"), [(1, 4), (3, 4), (9, 4), (10, 8), (99, 8), (100, 12)]
)
def test_news_is_told_k_log_n_times(members: int, times: int) -> None:
    assert GossipConfig().retransmits(members) == times


@pytest.mark.parametrize(("members", "ms"), [(1, 1_000), (10, 1_000), (100, 2_000)])
def test_suspicion_grows_with_the_cluster(members: int, ms: int) -> None:
    assert GossipConfig().suspicion_min_ms(members) == ms


@pytest.mark.parametrize(("members", "ms"), [(3, 30_000), (32, 30_000), (33, 60_000), (64, 60_000)])
def test_large_clusters_compare_tables_less_often(members: int, ms: int) -> None:
    assert GossipConfig().push_pull_ms(members) == ms


@pytest.mark.parametrize(
    "wrong",
    [
        {"probe_interval_ms": 0},
        {"probe_timeout_ms": 300},
        {"packet_bytes_max": 1_000},
        {"packet_bytes_max": 70_000},
        {"members_max": -1},
    ],
)
def test_a_detector_that_cannot_work_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="gossip"):
        GossipConfig(**wrong)
