"""Links between real ends on loopback: calls, losses, returns."""

import pytest
import trio
import trio.testing

from node.network import TrioNetwork
from node.rpc import peers as peers_module
from node.rpc.calls import Answer, Call, GossipAnswer, GossipExchange
from node.rpc.errors import (
    CallLost,
    CallRefused,
    HandshakeFailed,
    PeerBusy,
    PeerUnreachable,
    RpcError,
)
from node.rpc.frames import PAYLOAD_BYTES_MAX, Kind
from node.rpc.handshake import Credentials, Remote, Secrets
from tests.node.rpc.town import (
    CLUSTER,
    SECRET,
    House,
    credentials,
    echo,
    eventually,
    peers_of,
    two_ends,
)


async def test_a_call_is_answered() -> None:
    async with two_ends() as (peers, house, _):
        answer = await peers.call(2, GossipExchange(b"hello"), timeout_s=5)
        assert answer == GossipAnswer(b"hello")
        assert house.visitors == [Remote(1, "n1")]


async def test_many_calls_share_a_link_and_find_their_own_answers() -> None:
    async with two_ends() as (peers, house, _):

        async def ask(n: int) -> None:
            said = b"%d" % n * 100
            assert await peers.call(2, GossipExchange(said), timeout_s=5) == GossipAnswer(said)

        async with trio.open_nursery() as nursery:
            for n in range(200):
                nursery.start_soon(ask, n)
        assert len(house.visitors) == 1


async def test_one_way_messages_keep_their_order() -> None:
    async with two_ends() as (peers, house, _):
        assert not peers.send_nowait(2, b"too early", kind=Kind.RAFT)
        assert peers.counts["dropped_no_link"] == 1
        await eventually(lambda: peers.is_up(2))
        for n in range(3000):
            assert peers.send_nowait(2, b"%d" % n, kind=Kind.RAFT)
        await eventually(lambda: len(house.heard) == 3000)
        assert house.heard == [(1, Kind.RAFT, b"%d" % n) for n in range(3000)]


async def test_too_much_at_once_is_dropped_and_counted() -> None:
    async with two_ends() as (peers, _, _nursery):
        peers.keep(2)
        await eventually(lambda: peers.is_up(2))
        fits = [peers.send_nowait(2, b"x" * 4_000_000, kind=Kind.RAFT) for _ in range(10)]
        assert fits == [True] * 8 + [False] * 2
        assert peers.counts["dropped_full"] == 2


async def test_a_slow_answer_is_given_up_and_does_not_disturb_the_next() -> None:
    release = trio.Event()

    async def slow(who: Remote, call: Call) -> Answer:
        assert isinstance(call, GossipExchange)
        if call.payload == b"slow":
            await release.wait()
        return GossipAnswer(call.payload)

    async with two_ends(on_call=slow) as (peers, _, _nursery):
        await peers.call(2, GossipExchange(b"first"), timeout_s=5)
        with pytest.raises(CallLost, match="no answer within"):
            await peers.call(2, GossipExchange(b"slow"), timeout_s=0.05)
        assert peers._peers[2].waiting == {}
        release.set()
        answer = await peers.call(2, GossipExchange(b"next"), timeout_s=5)
        assert answer == GossipAnswer(b"next")


async def test_a_refused_call_says_why() -> None:
    async def refuse(who: Remote, call: Call) -> Answer:
        raise CallRefused(f"not for {who.name}")

    async with two_ends(on_call=refuse) as (peers, house, _):
        with pytest.raises(CallRefused, match="not for n1"):
            await peers.call(2, GossipExchange(b""), timeout_s=5)
        with pytest.raises(CallRefused, match="not for n1"):
            await peers.call_at(house.address, GossipExchange(b""), timeout_s=5)


async def test_an_answer_too_large_for_a_frame_is_refused_and_the_link_lives() -> None:
    async def large(who: Remote, call: Call) -> Answer:
        assert isinstance(call, GossipExchange)
        return GossipAnswer(b"x" * PAYLOAD_BYTES_MAX if call.payload else b"")

    async with two_ends(on_call=large) as (peers, house, _):
        with pytest.raises(CallRefused, match="too large"):
            await peers.call(2, GossipExchange(b"?"), timeout_s=5)
        with pytest.raises(CallRefused, match="too large to send"):
            await peers.call(2, GossipExchange(b"x" * PAYLOAD_BYTES_MAX), timeout_s=5)
        await peers.call(2, GossipExchange(b""), timeout_s=5)
        assert len(house.visitors) == 1


async def test_nobody_there_is_told_in_time() -> None:
    async with trio.open_nursery() as nursery:
        peers = peers_of(credentials(1), {2: ("127.0.0.1", 1)})
        nursery.start_soon(peers.run)
        with pytest.raises(PeerUnreachable):
            await peers.call(2, GossipExchange(b""), timeout_s=0.2)
        with pytest.raises(PeerUnreachable):
            await peers.call(3, GossipExchange(b""), timeout_s=0.05)
        with pytest.raises(PeerUnreachable):
            await peers.call_at(("127.0.0.1", 1), GossipExchange(b""), timeout_s=1)
        assert peers.counts["dials_failed"] >= 1
        assert "address is not known" in peers.failures[3]
        nursery.cancel_scope.cancel()


async def test_a_lost_link_ends_calls_with_an_unknown_outcome_and_comes_back() -> None:
    begun = trio.Event()

    async def never(who: Remote, call: Call) -> Answer:
        begun.set()
        if call == GossipExchange(b"wait"):
            await trio.sleep_forever()
        return GossipAnswer(b"")

    ups: list[tuple[int, bool]] = []
    async with trio.open_nursery() as nursery:
        house = House(2, on_call=never)
        await house.open(nursery)
        peers = peers_of(
            credentials(1), {2: house.address}, on_link=lambda r, up: ups.append((r, up))
        )
        nursery.start_soon(peers.run)

        async def cut() -> None:
            await begun.wait()
            house.shut()

        nursery.start_soon(cut)
        with pytest.raises(CallLost):
            await peers.call(2, GossipExchange(b"wait"), timeout_s=5)
        assert not peers.is_up(2)
        await house.open(nursery)
        assert await peers.call(2, GossipExchange(b""), timeout_s=5) == GossipAnswer(b"")
        assert ups == [(2, True), (2, False), (2, True)]
        nursery.cancel_scope.cancel()


async def test_a_nudge_dials_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers_module, "RETRY_S_FIRST", 60.0)
    monkeypatch.setattr(peers_module, "RETRY_S_LAST", 60.0)
    async with trio.open_nursery() as nursery:
        house = House(2)
        where: dict[int, tuple[str, int]] = {}
        peers = peers_of(credentials(1), where)
        nursery.start_soon(peers.run)
        peers.keep(2)
        await eventually(lambda: 2 in peers.failures)
        await house.open(nursery)
        where[2] = house.address
        peers.nudge(2)
        await eventually(lambda: peers.is_up(2))
        nursery.cancel_scope.cancel()


async def test_a_forgotten_peer_is_left_alone() -> None:
    async with two_ends() as (peers, house, _):
        peers.keep(2)
        await eventually(lambda: peers.is_up(2))
        assert len(house.server._links) == 1
        peers.forget(2)
        assert not peers.is_up(2)
        await trio.testing.wait_all_tasks_blocked()
        assert peers.failures == {}
        await eventually(lambda: not house.server._links)


async def test_nobody_keeps_a_link_to_itself() -> None:
    peers = peers_of(credentials(1), {1: ("127.0.0.1", 1)})
    peers.keep(1)
    assert peers._peers == {}


async def test_a_wrong_key_gets_no_link() -> None:
    async with trio.open_nursery() as nursery:
        house = House(2)
        await house.open(nursery)
        thief = peers_of(credentials(1, secret=b"wrong" * 8), {2: house.address})
        nursery.start_soon(thief.run)
        thief.keep(2)
        await eventually(lambda: thief.counts["handshakes_failed"] > 0)
        assert not thief.is_up(2)
        assert house.visitors == []
        assert house.server.counts["refused_strangers"] > 0
        with pytest.raises(HandshakeFailed):
            await thief.call_at(house.address, GossipExchange(b""), timeout_s=5)
        nursery.cancel_scope.cancel()


async def test_an_address_that_changed_hands_gets_no_link() -> None:
    async with trio.open_nursery() as nursery:
        house = House(3)
        await house.open(nursery)
        peers = peers_of(credentials(1), {2: house.address})
        nursery.start_soon(peers.run)
        peers.keep(2)
        await eventually(lambda: "another replica" in peers.failures.get(2, ""))
        assert not peers.is_up(2)
        nursery.cancel_scope.cancel()


async def test_asking_an_address_says_who_lives_there() -> None:
    async with two_ends() as (peers, house, _):
        who, answer = await peers.call_at(house.address, GossipExchange(b"hi"), timeout_s=5)
        assert (who, answer) == (Remote(2, "n2"), GossipAnswer(b"hi"))


async def test_an_address_that_accepts_and_says_nothing_is_given_up() -> None:
    async with trio.open_nursery() as nursery:
        listeners = await TrioNetwork().listen_tcp("127.0.0.1", 0)
        address = listeners[0].socket.getsockname()[:2]  # type: ignore[attr-defined]

        async def say_nothing(_: trio.abc.Stream) -> None:
            await trio.sleep_forever()

        nursery.start_soon(trio.serve_listeners, say_nothing, list(listeners))
        peers = peers_of(credentials(1), {})
        with pytest.raises(PeerUnreachable):
            await peers.call_at(address, GossipExchange(b""), timeout_s=0.1)
        nursery.cancel_scope.cancel()


async def test_more_calls_than_a_peer_may_have_are_refused_as_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peers_module, "CALLS_MAX", 3)

    async def never(who: Remote, call: Call) -> Answer:
        await trio.sleep_forever()
        return await echo(who, call)

    async with two_ends(on_call=never) as (peers, _, _nursery):

        async def ask() -> None:
            with pytest.raises(RpcError):
                await peers.call(2, GossipExchange(b""), timeout_s=0.3)

        peers.keep(2)
        await eventually(lambda: peers.is_up(2))
        async with trio.open_nursery() as callers:
            for _ in range(3):
                callers.start_soon(ask)
            await trio.sleep(0.05)
            with pytest.raises(PeerBusy):
                await peers.call(2, GossipExchange(b""), timeout_s=5)


NEXT = b"the next key of this cluster...."


def knowing(*secrets: bytes) -> Credentials:
    return Credentials(CLUSTER, Secrets(*secrets), 1, "n1")


async def test_who_uses_a_key_that_is_not_known_there_yet_tries_the_others() -> None:
    async with trio.open_nursery() as nursery:
        house = House(2)
        await house.open(nursery)
        peers = peers_of(knowing(NEXT, SECRET), {2: house.address})
        nursery.start_soon(peers.run)
        assert await peers.call(2, GossipExchange(b"x"), timeout_s=5) == GossipAnswer(b"x")
        assert peers.counts["handshakes_failed"] == 1
        _, answer = await peers.call_at(house.address, GossipExchange(b"y"), timeout_s=5)
        assert answer == GossipAnswer(b"y")
        nursery.cancel_scope.cancel()


async def test_links_of_a_removed_key_end_at_both_ends_and_the_new_one_opens_others() -> None:
    async with trio.open_nursery() as nursery:
        house = House(2)
        own, theirs = knowing(SECRET), house.server._credentials.secrets
        await house.open(nursery)
        peers = peers_of(own, {2: house.address})
        nursery.start_soon(peers.run)
        await peers.call(2, GossipExchange(b"x"), timeout_s=5)
        for secrets in (own.secrets, theirs):
            secrets.replace(NEXT, SECRET)
        peers.end_removed()
        house.server.end_removed()
        assert peers.counts["links"] == 1 and peers.is_up(2)  # both keys are good
        theirs.replace(NEXT)
        house.server.end_removed()
        # Until then a call would go by the old link, and nobody would know of it.
        await eventually(lambda: peers.counts["links"] == 2 and peers.is_up(2))
        await peers.call(2, GossipExchange(b"x"), timeout_s=5)
        link = peers._peers[2].link
        assert link is not None and link.secret == NEXT
        own.secrets.replace(NEXT)
        peers.end_removed()
        assert peers.is_up(2) and peers.counts["links"] == 2
        own.secrets.replace(SECRET)  # and at the dialing end
        peers.end_removed()
        await eventually(lambda: not peers.is_up(2))
        nursery.cancel_scope.cancel()


async def test_a_peer_that_refuses_all_our_keys_can_be_told() -> None:
    async with trio.open_nursery() as nursery:
        house = House(2)
        await house.open(nursery)
        stale = peers_of(knowing(NEXT), {2: house.address})
        nursery.start_soon(stale.run)
        stale.keep(2)
        await eventually(lambda: stale.refusing(2) == {2})
        stale._credentials.secrets.replace(SECRET)
        await eventually(lambda: stale.is_up(2))
        assert stale.refusing(1) == frozenset()
        nursery.cancel_scope.cancel()
