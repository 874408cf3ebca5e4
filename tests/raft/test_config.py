"""Settings that contradict each other are refused when they are built."""

import pytest

from raft.config import BadConfig, RaftConfig


def test_the_defaults_agree_with_each_other() -> None:
    RaftConfig()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"heartbeat_ms": 0}, "heartbeat_ms"),
        ({"heartbeat_ms": 300}, "two heartbeats"),
        ({"election_ms_min": 800}, "two heartbeats"),
        ({"tick_ms": 100}, "tick_ms"),
        ({"uncommitted_bytes_max": 10}, "uncommitted"),
        ({"inbox_bytes_max": 10}, "inbox"),
    ],
)
def test_a_contradiction_is_named(settings: dict[str, int], said: str) -> None:
    with pytest.raises(BadConfig, match=said):
        RaftConfig(**settings)
