"""A child restarts on what it names, a bounded number of times; anything else rises."""

import pytest
import trio
import trio.testing

from node.supervise import keep_running, keep_trying


class PeerLost(Exception):
    """A failure worth another try."""


class Child:
    """Fails `times` times with `error`, then ends well."""

    def __init__(self, error: Exception, times: int, runs_s: float = 0.0) -> None:
        self.error, self.times, self.runs_s, self.starts = error, times, runs_s, 0

    async def run(self) -> None:
        self.starts += 1
        await trio.sleep(self.runs_s)
        if self.starts <= self.times:
            raise self.error


async def test_a_named_error_is_tried_again(autojump_clock: trio.testing.MockClock) -> None:
    child = Child(PeerLost(), 3)
    await keep_running("child", child.run, retry_on=(PeerLost,))
    assert child.starts == 4


async def test_a_bug_rises_at_once(autojump_clock: trio.testing.MockClock) -> None:
    child = Child(KeyError("typo"), 1)
    with pytest.raises(KeyError):
        await keep_running("child", child.run, retry_on=(PeerLost,))
    assert child.starts == 1


async def test_pauses_run_out(autojump_clock: trio.testing.MockClock) -> None:
    child = Child(PeerLost(), 99)
    with pytest.raises(PeerLost):
        await keep_running("child", child.run, retry_on=(PeerLost,), pauses_s=(1.0, 2.0))
    assert child.starts == 3
    assert trio.current_time() == pytest.approx(3.0)


async def test_a_steady_child_has_its_pauses_back(autojump_clock: trio.testing.MockClock) -> None:
    child = Child(PeerLost(), 50, runs_s=100.0)
    await keep_running("child", child.run, retry_on=(PeerLost,), pauses_s=(1.0,))
    assert child.starts == 51


async def test_what_waits_for_a_cluster_tries_until_it_is_there(
    autojump_clock: trio.testing.MockClock,
) -> None:
    child = Child(PeerLost(), 500)
    await keep_trying("child", child.run, retry_on=(PeerLost,), pause_s=0.5)
    assert child.starts == 501
    with pytest.raises(KeyError):
        await keep_trying("child", Child(KeyError(), 1).run, retry_on=(PeerLost,), pause_s=0.5)
