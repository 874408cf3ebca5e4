"""The cluster's key is changed: whole nodes under virtual time, killed in between."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gossip import Keyring
from node.admin import AdminRefused
from node.key_rotation import Phase
from node.keyring import Key, install, use
from node.rpc import Credentials, HandshakeFailed, Hello, HelloAnswer, Peers, Secrets
from node.rpc.link import open_link
from tests.e2e.chaos import numbered
from tests.node.test_house import START_MS, Village, village
from tests.node.test_joining import FOUNDER, ask, lend_a_machine, role
from tests.simulation.disk import SimDisk

__all__ = ["village"]

PATIENCE_S = 60.0


def secrets_held(village: Village, *names: str) -> set[tuple[bytes, ...]]:
    houses = [village.machines[name].house for name in names or village.machines]
    return {house._keys.ring.secrets for house in houses if house is not None}


async def until_done(village: Village, asked: str, key: str) -> dict[str, Any]:
    with trio.fail_after(PATIENCE_S):
        while True:
            report: dict[str, Any] = await ask(village, asked, "report-key")
            if report["done"] and report["key"] == key:
                return report
            await trio.sleep(0.1)


async def rotate(village: Village, asked: str = "n1") -> str:
    key: str = (await ask(village, asked, "rotate-key"))["key"]
    await until_done(village, asked, key)
    return key


async def answers(village: Village, name: str, secret: bytes) -> bool:
    """Whether a node lets somebody in who knows this secret."""
    house = village.machines[name].house
    assert house is not None
    stranger = Peers(
        Credentials(house._base.cluster, Secrets(secret), 99, "stranger"),
        village.network,
        locate=lambda replica: None,
        on_link=lambda replica, up: None,
        chance=random.Random(1),
        draw=random.Random(2).randbytes,
    )
    node = village.config.member(name)
    try:
        _, answer = await stranger.call_at((node.host, node.peer), Hello(), timeout_s=5)
    except HandshakeFailed:
        return False
    return isinstance(answer, HelloAnswer)


async def test_afterwards_the_old_key_opens_neither_packets_nor_links(
    village: Village, autojump_clock: MockClock
) -> None:
    ((old,),) = secrets_held(village)
    cluster = village.machines["n1"].house._base.cluster  # type: ignore[union-attr]
    assert await answers(village, "n1", old)
    await rotate(village, "n2")
    ((new,),) = secrets_held(village)
    assert new != old
    for name, machine in village.machines.items():
        assert machine.house is not None
        assert machine.house._base.cluster == cluster
        assert not await answers(village, name, old)
        assert await answers(village, name, new)
        gossip, node = machine.house._gossip, village.config.member(name)
        assert gossip is not None
        refused = gossip.statistics().get("sealed_key", 0)
        stale = Keyring(cluster, old, draw_nonce=random.Random(3).randbytes)
        endpoint = await village.network.open_udp("127.0.0.1", 30_000)
        await endpoint.send_to(stale.seal(b"", START_MS), (node.host, node.peer))
        await trio.sleep(0.2)
        assert gossip.statistics()["sealed_key"] == refused + 1
        await endpoint.aclose()
    assert (await village.deliver("n3", numbered(1))).startswith(b"250")


async def test_links_that_the_old_key_opened_are_gone_too(
    village: Village, autojump_clock: MockClock
) -> None:
    ((old,),) = secrets_held(village)
    await rotate(village)
    await trio.sleep(2)
    for machine in village.machines.values():
        assert machine.house is not None
        links = [peer.link for peer in machine.house._peers._peers.values()]
        links += machine.house._server._links
        assert len(links) == 4
        assert all(link is not None and link.secret != old for link in links)


async def test_a_link_kept_open_by_whoever_knew_the_old_key_is_ended(
    village: Village, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """No member, so nobody else's removal of the key ends it."""
    ((old,),) = secrets_held(village)
    house, node = village.machines["n1"].house, village.config.member("n1")
    assert house is not None
    stream = await village.network.dial_tcp(node.host, node.peer)
    credentials = Credentials(house._base.cluster, Secrets(old), 99, "stranger")
    link = await open_link(stream, credentials, dialer=True, draw=random.Random(4).randbytes)
    nursery.start_soon(link.run, lambda kind, payload: None)
    await rotate(village)
    await trio.sleep(2)
    assert link.lost and all(link.secret != old for link in house._server._links)


async def test_every_node_comes_back_with_the_new_key(
    village: Village, autojump_clock: MockClock
) -> None:
    await rotate(village)
    held = secrets_held(village)
    for name in village.machines:
        await village.pull_the_plug(name)
    for name in village.machines:
        await village.start(name)
    await village.wait_ready(*village.machines)
    assert secrets_held(village) == held
    assert (await ask(village, "n2", "report-key"))["number"] == 2
    assert b"* 1 EXISTS" in await village.exists("n3")


async def test_one_that_is_down_is_waited_for_and_not_locked_out(
    village: Village, autojump_clock: MockClock
) -> None:
    away = next(name for name in village.machines if name != village.leader())
    here = [name for name in village.machines if name != away]
    ((old,),) = secrets_held(village)
    await village.pull_the_plug(away)
    key = (await ask(village, here[0], "rotate-key"))["key"]
    await trio.sleep(8)
    report = await ask(village, here[0], "report-key")
    assert (report["key"], report["done"]) == (key, False)
    assert "no link" in report["waiting"][away]
    ((used, other),) = secrets_held(village, *here)
    assert used == old and other != old
    assert (await ask(village, here[1], "rotate-key"))["key"] == key  # that one goes on
    await village.start(away)
    await until_done(village, here[0], key)  # unasked
    assert secrets_held(village) == {(other,)}


async def test_one_that_is_down_for_good_is_removed_and_the_rotation_ends(
    village: Village, autojump_clock: MockClock
) -> None:
    leader = village.leader()
    away, here = [name for name in village.machines if name != leader]
    await village.pull_the_plug(away)
    key = (await ask(village, here, "rotate-key"))["key"]
    await ask(village, here, "remove-node", name=away)
    report = await until_done(village, here, key)
    assert report["members"] == sorted([leader, here])


async def test_a_leader_that_dies_with_the_only_copy_is_followed_later(
    village: Village, autojump_clock: MockClock
) -> None:
    leader = village.leader()
    house = village.machines[leader].house
    assert house is not None
    made = Key(2, b"made by a leader that then died. ")
    await house._keys.take(install(house._keys.ring, made))
    await village.pull_the_plug(leader)
    others = [name for name in village.machines if name != leader]
    await village.wait_ready(*others)
    await trio.sleep(6)
    assert all(made.secret not in held for held in secrets_held(village, *others))
    await village.start(leader)
    await until_done(village, others[0], made.id)
    assert secrets_held(village) == {(made.secret,)}


async def test_a_new_leader_ends_what_an_old_one_began(
    village: Village, autojump_clock: MockClock
) -> None:
    made = Key(2, b"in use at one of three when it died")
    leader = village.leader()
    for machine in village.machines.values():
        assert machine.house is not None
        await machine.house._keys.take(install(machine.house._keys.ring, made))
    keys = village.machines[leader].house._keys  # type: ignore[union-attr]
    await keys.take(use(keys.ring, made.id))
    await village.pull_the_plug(leader)
    await village.start(leader)
    await until_done(village, leader, made.id)
    assert secrets_held(village) == {(made.secret,)}


async def test_who_joins_later_needs_the_key_file_and_nothing_else(
    village: Village, autojump_clock: MockClock
) -> None:
    path = village.config.secret_path
    old = path.read_bytes()
    await rotate(village)
    new = path.read_bytes()
    assert new != old and path.stat().st_mode & 0o777 == 0o600
    lend_a_machine(village, "n4", 20_000)
    path.write_bytes(old)
    await village.start("n4", (FOUNDER,))
    await trio.sleep(6)
    stranger = village.machines["n4"].house
    assert stranger is not None and stranger.status.row().standing == "joining"
    await village.pull_the_plug("n4")
    path.write_bytes(new)
    village.machines["n4"].disk = SimDisk(random.Random(4))
    await village.start("n4", (FOUNDER,))
    await village.wait_ready("n4")
    assert role(village, "n4") == "learner"
    await rotate(village, "n4")
    assert len(secrets_held(village)) == 1


async def test_who_joins_with_the_old_key_in_the_middle_is_given_the_new(
    village: Village, autojump_clock: MockClock
) -> None:
    away = next(name for name in village.machines if name != village.leader())
    await village.pull_the_plug(away)
    key = (await ask(village, village.leader(), "rotate-key"))["key"]
    lend_a_machine(village, "n4", 20_000)
    await village.start("n4", (FOUNDER,) if away != "n1" else (("127.0.0.1", 17912),))
    await village.wait_ready("n4")
    await village.start(away)
    await until_done(village, "n4", key)
    assert len(secrets_held(village)) == 1


async def test_nobody_joins_while_the_old_key_is_removed(
    village: Village, autojump_clock: MockClock
) -> None:
    leader = village.machines[village.leader()].house
    assert leader is not None
    members = leader._belonging.members
    card = {"replica": 5, "name": "n5", "host": "127.0.0.1", "port": 1}
    with members.shut_for_joiners(), pytest.raises(AdminRefused, match="try again soon"):
        await members.join(card)
    await members.join(card)


@contextmanager
def read_only(village: Village) -> Iterator[None]:
    """The key file's directory is gone, as for a node that may not write it."""
    path = village.config.secret_path
    parent = path.parent
    parent.rename(parent.with_name("elsewhere"))
    yield
    parent.with_name("elsewhere").rename(parent)


async def test_a_key_file_that_cannot_be_written_is_told_and_stops_nothing(
    village: Village, autojump_clock: MockClock
) -> None:
    with read_only(village):
        key = (await ask(village, "n1", "rotate-key"))["key"]
        report = await until_done(village, "n1", key)
    assert sorted(report["key_files"]) == ["n1", "n2", "n3"]
    assert "No such file" in report["key_files"]["n1"]


@pytest.mark.parametrize(
    ("call", "args", "said"),
    [
        ("keys.install", {}, "that is no key"),
        ("keys.install", {"number": 0, "secret": "AAAA"}, "that is no key"),
        ("keys.use", {"id": "nobody's"}, "no key nobody's is installed"),
        ("keys.remove", {"id": "nobody's"}, "is in use, not"),
    ],
)
async def test_a_step_out_of_turn_is_refused(
    village: Village, call: str, args: dict[str, Any], said: str, autojump_clock: MockClock
) -> None:
    house = village.machines["n2"].house
    assert house is not None
    before = house._keys.ring
    with pytest.raises(AdminRefused, match=said):
        await house._key_desk.calls()[call](args)
    assert house._keys.ring == before


def test_the_steps_are_named_as_the_calls_are() -> None:
    assert [f"keys.{phase}" for phase in (Phase.USE, Phase.REMOVE)] == ["keys.use", "keys.remove"]
