"""Token buckets: bursts, refills, and a bound on how many are remembered."""

import pytest

from node.limits import Buckets, network_of
from tests.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def buckets(clock: FakeClock, *, keys_max: int = 100) -> Buckets:
    return Buckets(burst=3, per_s=0.5, monotonic_s=clock.monotonic_s, keys_max=keys_max)


def test_a_burst_then_one_at_a_time(clock: FakeClock) -> None:
    limit = buckets(clock)
    assert [limit.take("a") for _ in range(5)] == [True, True, True, False, False]
    clock.pass_s(2)
    assert [limit.take("a") for _ in range(2)] == [True, False]


def test_keys_do_not_share(clock: FakeClock) -> None:
    limit = buckets(clock)
    while limit.take("a"):
        pass
    assert not limit.ready("a")
    assert limit.ready("b")


def test_asking_takes_nothing(clock: FakeClock) -> None:
    limit = buckets(clock)
    assert all(limit.ready("a") for _ in range(10))
    assert len(limit) == 0


def test_a_bucket_never_holds_more_than_its_burst(clock: FakeClock) -> None:
    limit = buckets(clock)
    limit.take("a")
    clock.pass_s(1_000_000)
    limit.put_back("a")
    assert [limit.take("a") for _ in range(4)] == [True, True, True, False]


def test_what_is_put_back_can_be_taken_again(clock: FakeClock) -> None:
    limit = buckets(clock)
    for _ in range(100):
        assert limit.take("a")
        limit.put_back("a")
    assert len(limit) == 0  # a full bucket is not kept


def test_the_longest_unused_key_is_forgotten(clock: FakeClock) -> None:
    limit = buckets(clock, keys_max=2)
    for key in ("a", "b", "a", "c"):
        limit.take(key)
    assert len(limit) == 2
    assert [limit.take("a") for _ in range(2)] == [True, False]  # b made room, not a


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("nonsense", "nonsense"),
    ],
)
def test_networks(ip: str, network: str) -> None:
    assert network_of(ip) == network
