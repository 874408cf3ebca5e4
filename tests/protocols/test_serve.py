"""Every conversation ends, with the right last words."""

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from protocols.errors import LimitExceeded, RemoteProtocolError
from protocols.serve import (
    COMMAND_S,
    UNAUTHENTICATED_S,
    Closing,
    Fault,
    OpeningHours,
    Patience,
    run_connection,
)
from protocols.stream import DoorStream, PeerGone, PeerSlow

Run = Callable[[DoorStream, Patience], Awaitable[None]]


class Door:
    """A session of one function; its farewell names the fault."""

    def __init__(self, stream: DoorStream, run: Run) -> None:
        self.stream = stream
        self._run = run

    async def run(self, patience: Patience) -> None:
        await self._run(self.stream, patience)

    def farewell(self, fault: Fault) -> bytes:
        return type(fault).__name__.encode()


async def heard_from(run: Run) -> bytes:
    """All that a peer hears of a connection served by `run`."""
    ours, theirs = trio.testing.memory_stream_pair()
    stream = DoorStream(ours)
    await run_connection(stream, Door(stream, run), OpeningHours())
    heard = b""
    while piece := await theirs.receive_some():
        heard += piece
    return heard


async def test_a_session_that_returns_is_closed_without_more_words(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def polite(stream: DoorStream, patience: Patience) -> None:
        await stream.send_all(b"bye")

    assert await heard_from(polite) == b"bye"


@pytest.mark.parametrize(
    "error", [RemoteProtocolError("no"), LimitExceeded("LINE", "no"), PeerSlow("no")]
)
async def test_a_fault_of_the_peer_is_told_it(
    error: Exception, autojump_clock: trio.testing.MockClock
) -> None:
    async def broken(stream: DoorStream, patience: Patience) -> None:
        raise error

    assert await heard_from(broken) == type(error).__name__.encode()


async def test_a_fault_in_a_task_of_the_session_is_told_too(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def fail() -> None:
        raise RemoteProtocolError("no")

    async def broken(stream: DoorStream, patience: Patience) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            nursery.start_soon(trio.sleep_forever)

    assert await heard_from(broken) == b"RemoteProtocolError"


async def test_nobody_is_told_when_the_peer_is_gone(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def abandoned(stream: DoorStream, patience: Patience) -> None:
        raise PeerGone("reset")

    assert await heard_from(abandoned) == b""


async def test_a_bug_rises(autojump_clock: trio.testing.MockClock) -> None:
    async def buggy(stream: DoorStream, patience: Patience) -> None:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        await heard_from(buggy)


async def test_an_idle_stranger_is_sent_away(autojump_clock: trio.testing.MockClock) -> None:
    async def idle(stream: DoorStream, patience: Patience) -> None:
        patience.allow(30 * 60)
        await stream.receive_some(100)

    assert await heard_from(idle) == b"PeerSlow"
    assert trio.current_time() < UNAUTHENTICATED_S + 10


async def test_finishing_commands_does_not_buy_a_stranger_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def busy(stream: DoorStream, patience: Patience) -> None:
        while True:
            patience.allow(COMMAND_S)
            await trio.sleep(5)
            patience.lift()

    assert await heard_from(busy) == b"PeerSlow"
    assert trio.current_time() < UNAUTHENTICATED_S + 10


async def test_a_trusted_peer_may_idle_as_long_as_allowed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def idle(stream: DoorStream, patience: Patience) -> None:
        patience.trust()
        patience.allow(30 * 60)
        await stream.receive_some(100)

    assert await heard_from(idle) == b"PeerSlow"
    assert trio.current_time() == pytest.approx(30 * 60, abs=10)


async def test_our_own_work_is_not_held_against_the_peer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def slow(stream: DoorStream, patience: Patience) -> None:
        patience.trust()
        patience.allow(COMMAND_S)
        patience.lift()
        await trio.sleep(10 * COMMAND_S)
        await stream.send_all(b"done")

    assert await heard_from(slow) == b"done"


async def test_a_drip_of_octets_does_not_stretch_a_command(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def read_line(stream: DoorStream, patience: Patience) -> None:
        patience.trust()
        patience.allow(COMMAND_S)
        while b"\n" not in await stream.receive_some(100):
            pass

    ours, theirs = trio.testing.memory_stream_pair()
    stream = DoorStream(ours)

    async def drip() -> None:
        for _ in range(int(COMMAND_S) + 1):  # the last falls on the linger after our last words
            await theirs.send_all(b"x")
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drip)
        await run_connection(stream, Door(stream, read_line), OpeningHours())
        nursery.cancel_scope.cancel()
    assert COMMAND_S <= trio.current_time() < COMMAND_S + 10


async def test_a_stopping_node_says_so(autojump_clock: trio.testing.MockClock) -> None:
    async def idle(stream: DoorStream, patience: Patience) -> None:
        patience.trust()
        patience.lift()
        await trio.sleep_forever()

    ours, theirs = trio.testing.memory_stream_pair()
    stream = DoorStream(ours)
    with trio.move_on_after(1):
        await run_connection(stream, Door(stream, idle), OpeningHours())
    assert await theirs.receive_some() == Closing.__name__.encode()


async def test_a_stopping_node_does_not_wait_for_one_that_will_not_read(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def talk(stream: DoorStream, patience: Patience) -> None:
        await stream.send_all(b"x" * 1000)

    ours, _theirs = trio.testing.lockstep_stream_pair()
    stream = DoorStream(ours)
    with trio.move_on_after(1):
        await run_connection(stream, Door(stream, talk), OpeningHours())
    assert trio.current_time() < 10


async def test_a_door_that_closes_sends_away_who_rests_and_lets_others_end(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    hours, ended = OpeningHours(), []

    async def talk(stream: DoorStream, patience: Patience) -> None:
        patience.trust()
        while True:
            with patience.rest():
                said = await stream.receive_some(100)
            await trio.sleep(len(said))  # a second of work for each octet
            ended.append(said)

    ends = []
    for _ in range(2):
        ours, theirs = trio.testing.memory_stream_pair()
        stream = DoorStream(ours)
        nursery.start_soon(run_connection, stream, Door(stream, talk), hours)
        ends.append(theirs)
    resting, busy = ends
    await busy.send_all(b"abc")
    await trio.sleep(1)
    hours.close()
    assert await resting.receive_some() == b"Closing" and trio.current_time() == 1
    assert await busy.receive_some() == b"Closing" and trio.current_time() == 3
    assert ended == [b"abc"] and not hours.resting


async def test_a_door_that_closes_lets_end_what_goes_on_beside_a_rest(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    hours = OpeningHours()

    async def work(stream: DoorStream, patience: Patience) -> None:
        patience.trust()
        patience.hold()

        async def end() -> None:
            await trio.sleep(5)
            await stream.send_all(b"done ")
            patience.let_go()

        async with trio.open_nursery() as inner:
            inner.start_soon(end)
            with patience.rest():
                await stream.receive_some(100)

    ours, theirs = trio.testing.memory_stream_pair()
    stream = DoorStream(ours)
    nursery.start_soon(run_connection, stream, Door(stream, work), hours)
    await trio.sleep(1)
    hours.close()
    assert await theirs.receive_some() == b"done " and trio.current_time() == 5
    assert await theirs.receive_some() == b"Closing" and trio.current_time() == 5
