"""How long a suspect has."""

import pytest

from gossip.config import GossipConfig
from gossip.suspicion import APPEAL_INTERVALS, APPEALS, Suspicion

CONFIG = GossipConfig()


def suspicion(members: int = 10, now_ms: int = 0) -> Suspicion:
    return Suspicion(CONFIG, incarnation=1, accuser=100, members=members, now_ms=now_ms)


def test_a_lone_accuser_must_wait_the_longest() -> None:
    assert suspicion(now_ms=7).deadline_ms == 7 + CONFIG.suspicion_max_ms(10)


def test_each_further_accuser_shortens_the_wait_down_to_the_shortest() -> None:
    s = suspicion()
    deadlines = [s.deadline_ms]
    for accuser in (101, 102):
        assert s.confirm(accuser)
        deadlines.append(s.deadline_ms)
    assert deadlines == sorted(deadlines, reverse=True)
    assert deadlines[1] - deadlines[2] < deadlines[0] - deadlines[1]  # logarithmic
    assert deadlines[-1] == CONFIG.suspicion_min_ms(10)


def test_the_suspect_is_asked_before_its_time_is_over() -> None:
    s = suspicion()
    pause_ms = APPEAL_INTERVALS * CONFIG.probe_interval_ms
    for left in range(APPEALS, 0, -1):
        assert s.due_ms == s.deadline_ms - left * pause_ms
        assert not s.take_appeal(s.due_ms - 1)
        assert s.take_appeal(s.due_ms)
    assert s.due_ms == s.deadline_ms and not s.take_appeal(s.due_ms)


def test_one_whose_time_is_cut_short_is_asked_at_once() -> None:
    s = suspicion()
    now_ms = CONFIG.suspicion_min_ms(10) - 1
    assert not s.take_appeal(now_ms)
    s.confirm(101)
    s.confirm(102)
    assert [s.take_appeal(now_ms) for _ in range(3)] == [True, True, False]


def test_saying_it_twice_is_not_agreeing() -> None:
    s = suspicion()
    assert not s.confirm(100)
    assert s.deadline_ms == CONFIG.suspicion_max_ms(10)


def test_accusers_beyond_those_wanted_are_not_kept() -> None:
    s = suspicion()
    assert [s.confirm(n) for n in range(200, 210)] == [True, True] + [False] * 8


@pytest.mark.parametrize("members", [1, 2, 3])
def test_with_nobody_to_confirm_the_wait_is_short_at_once(members: int) -> None:
    assert suspicion(members).deadline_ms == CONFIG.suspicion_min_ms(members)


def test_time_we_were_not_running_does_not_count() -> None:
    s = suspicion()
    before = s.deadline_ms
    s.excuse(5_000)
    assert s.deadline_ms == before + 5_000
