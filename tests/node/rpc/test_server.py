"""The listening end: bounds on strangers, links and calls, and who is shown the door."""

from collections.abc import Callable

import pytest
import trio

from node.network import TrioNetwork
from node.rpc import server as server_module
from node.rpc.calls import Answer, Call, GossipAnswer, GossipExchange
from node.rpc.errors import LinkLost, PeerBusy, PeerUnreachable, RpcError
from node.rpc.frames import Kind
from node.rpc.handshake import Remote
from tests.node.rpc.town import House, credentials, eventually, peers_of, two_ends


async def test_strangers_are_few_and_soon_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "STRANGERS_MAX", 2)
    async with two_ends() as (peers, house, _):
        silent = [await TrioNetwork().dial_tcp(*house.address)]
        await eventually(lambda: len(house.server._strangers) == 1)
        silent += [await TrioNetwork().dial_tcp(*house.address) for _ in range(2)]
        heard = b""
        while data := await silent[0].receive_some(100):
            heard += data
        assert len(heard) == 4 + 46  # our hello; then it made room for the third
        assert house.server.counts["strangers_displaced"] == 1
        # Silent strangers in every place do not keep out who knows the key.
        await peers.call(2, GossipExchange(b""), timeout_s=5)
        for stream in silent:
            await stream.aclose()
        await eventually(lambda: not house.server._strangers)


async def test_garbage_closes_the_connection_and_harms_nobody() -> None:
    async with two_ends() as (peers, house, _):
        await peers.call(2, GossipExchange(b""), timeout_s=5)
        stream = await TrioNetwork().dial_tcp(*house.address)
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        heard = b""
        while data := await stream.receive_some(4096):
            heard += data
        assert len(heard) <= 4 + 46  # our hello, and not a byte more
        await peers.call(2, GossipExchange(b""), timeout_s=5)
        assert len(house.visitors) == 1


async def test_links_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "LINKS_MAX", 1)
    async with two_ends() as (peers, house, nursery):
        await peers.call(2, GossipExchange(b""), timeout_s=5)
        other = peers_of(credentials(3), {2: house.address})
        nursery.start_soon(other.run)
        with pytest.raises(PeerUnreachable):
            await other.call(2, GossipExchange(b""), timeout_s=0.2)
        assert house.server.counts["refused_full"] > 0


async def test_calls_under_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "CALLS_PER_LINK_MAX", 2)
    release = trio.Event()

    async def wait(who: Remote, call: Call) -> Answer:
        await release.wait()
        return GossipAnswer(b"done")

    async with two_ends(on_call=wait) as (peers, _, _nursery):
        answers: list[Answer] = []
        peers.keep(2)
        await eventually(lambda: peers.is_up(2))

        async def ask() -> None:
            answers.append(await peers.call(2, GossipExchange(b""), timeout_s=5))

        async with trio.open_nursery() as callers:
            callers.start_soon(ask)
            callers.start_soon(ask)
            await eventually(lambda: len(peers._peers[2].waiting) == 2)
            with pytest.raises(PeerBusy):
                await peers.call(2, GossipExchange(b""), timeout_s=5)
            release.set()
        assert answers == [GossipAnswer(b"done")] * 2
        for _ in range(5):  # what is answered is under way no more
            await peers.call(2, GossipExchange(b""), timeout_s=5)


async def test_a_message_the_house_does_not_bear_costs_the_link() -> None:
    def shocked(who: Remote, kind: int, payload: bytes) -> None:
        raise LinkLost("not a raft message")

    async with two_ends() as (peers, house, _):
        house.server._on_message = shocked
        peers.keep(2)
        await eventually(lambda: peers.is_up(2))
        peers.send_nowait(2, b"??", kind=Kind.RAFT)
        await eventually(lambda: "closed" in peers.failures.get(2, ""))
        await eventually(lambda: peers.is_up(2))


async def test_an_answer_nobody_asked_for_costs_the_link() -> None:
    async with two_ends() as (peers, house, _):
        peers.keep(2)
        await eventually(lambda: peers.is_up(2))
        peers.send_nowait(2, b"12345678", kind=Kind.ANSWER)
        await eventually(lambda: len(house.visitors) == 2)


async def test_a_caller_that_goes_away_takes_its_calls_along() -> None:
    ended: list[str] = []

    async def wait(who: Remote, call: Call) -> Answer:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(who.name)

    async with trio.open_nursery() as nursery:
        house = House(2, on_call=wait)
        await house.open(nursery)
        peers = peers_of(credentials(1), {2: house.address})
        with pytest.raises(RpcError):
            await peers.call_at(house.address, GossipExchange(b""), timeout_s=0.2)
        await eventually(lambda: ended == ["n1"])
        nursery.cancel_scope.cancel()


async def test_a_bug_in_a_call_handler_stops_the_node() -> None:
    async def broken(who: Remote, call: Call) -> Answer:
        raise KeyError("bug")

    with pytest.raises(BaseExceptionGroup) as caught:
        async with two_ends(on_call=broken) as (peers, _, _nursery):
            await peers.call(2, GossipExchange(b""), timeout_s=5)
    assert _holds(caught.value, lambda error: isinstance(error, KeyError))


def _holds(group: BaseException, fact: Callable[[BaseException], bool]) -> bool:
    if isinstance(group, BaseExceptionGroup):
        return any(_holds(inner, fact) for inner in group.exceptions)
    return fact(group)
