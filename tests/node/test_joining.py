"""Members come and go: whole nodes under virtual time, doors and all."""

import random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from node.admin import AdminRefused
from node.belonging import FAREWELL_S
from node.config import NodeSection
from tests.e2e.chaos import numbered
from tests.node.test_house import Machine, Village, village
from tests.simulation.disk import SimDisk

__all__ = ["village"]

FOUNDER = ("127.0.0.1", 17911)


def lend_a_machine(village: Village, name: str, base: int, role: str = "voter") -> None:
    """A machine for a node that the file does not name."""
    section = NodeSection(
        name=name,
        host="127.0.0.1",
        role="replica" if role == "replica" else "voter",
        peer=base,
        http=base + 1,
        imap=base + 2,
        lmtp=base + 3,
    )
    village.config = village.config.joined_by(section)
    village.machines[name] = Machine(SimDisk(random.Random(base)))


async def ask(village: Village, asked: str, call: str, **args: Any) -> Any:
    """An operator's call at one node."""
    house = village.machines[asked].house
    assert house is not None
    return await house._belonging.desk.calls()[f"cluster.{call}"](args)


def role(village: Village, name: str) -> str | None:
    house = village.machines[name].house
    assert house is not None
    return house.status.row().role


async def until_role(village: Village, name: str, wanted: str) -> None:
    with trio.fail_after(30):
        while role(village, name) != wanted:
            await trio.sleep(0.05)


async def test_a_fourth_node_joins_catches_up_and_serves(
    village: Village, autojump_clock: MockClock
) -> None:
    lend_a_machine(village, "n4", 20_000)
    await village.start("n4", (FOUNDER,))
    await village.wait_ready("n4")
    assert role(village, "n4") == "learner"
    assert (await village.deliver("n4", numbered(1))).startswith(b"250")
    assert b"* 2 EXISTS" in await village.exists("n4")
    members = (await ask(village, "n4", "promote", name="n4"))["members"]
    assert [row["name"] for row in members if row["votes"]] == ["n1", "n2", "n3", "n4"]
    await until_role(village, "n4", "follower")


async def test_a_learner_fills_the_place_of_a_voter_that_was_removed(
    village: Village, autojump_clock: MockClock
) -> None:
    lend_a_machine(village, "n4", 20_000)
    await village.start("n4", (FOUNDER,))
    await village.wait_ready("n4")
    leader = village.leader()
    village.machines[leader].last_words = ""
    await ask(village, "n4", "remove-node", name=leader)
    await until_role(village, "n4", "follower")
    assert (await village.deliver("n4", numbered(1))).startswith(b"250")
    with trio.fail_after(30):
        await village.machines[leader].ended.wait()
    assert "was removed from the cluster" in str(village.machines[leader].last_words)
    with pytest.raises(AdminRefused, match="no member is named"):
        await ask(village, "n4", "remove-node", name=leader)


async def test_who_was_cut_off_while_it_was_removed_asks_and_hears_of_it(
    village: Village, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    away = next(name for name in ("n1", "n2", "n3") if name != village.leader())
    machine = village.machines[away]
    assert machine.house is not None
    with monkeypatch.context() as cut:
        cut.setattr(machine.house._driver, "receive", lambda message: None)
        await ask(village, village.leader(), "remove-node", name=away)
        await trio.sleep(2 * FAREWELL_S)  # whoever says farewell has given up
    machine.last_words = ""
    with trio.fail_after(30):
        await machine.ended.wait()
    assert "was removed from the cluster" in str(machine.last_words)


async def test_a_replica_reads_and_writes_and_never_votes(
    village: Village, autojump_clock: MockClock
) -> None:
    lend_a_machine(village, "r1", 21_000, role="replica")
    await village.start("r1", (FOUNDER,))
    await village.wait_ready("r1")
    house = village.machines["r1"].house
    assert house is not None
    assert (house.status.row().role, house.status.row().standing) == ("learner", "replica")
    assert (await village.deliver("r1", numbered(1))).startswith(b"250")
    assert b"* 2 EXISTS" in await village.exists("r1")
    with pytest.raises(AdminRefused, match="never votes"):
        await ask(village, "n1", "promote", name="r1")


async def test_an_emptied_disk_comes_back_under_a_new_id(
    village: Village, autojump_clock: MockClock
) -> None:
    await village.pull_the_plug("n3")
    village.machines["n3"].disk = SimDisk(random.Random(99))
    with pytest.raises(AdminRefused, match="no member is named 'n9'"):
        await ask(village, "n1", "remove-node", name="n9")
    await ask(village, "n1", "remove-node", name="n3")
    await village.start("n3", (FOUNDER,))
    await village.wait_ready("n3")
    await until_role(village, "n3", "follower")  # two voters are left of three: promoted unasked
    assert b"* 1 EXISTS" in await village.exists("n3")


async def test_leadership_goes_where_it_is_told_to(
    village: Village, autojump_clock: MockClock
) -> None:
    other = next(name for name in ("n1", "n2", "n3") if name != village.leader())
    assert await ask(village, other, "transfer-leader", name=other) == {"leader": other}
    assert village.leader() == other
    with pytest.raises(AdminRefused, match="no member is named"):
        await ask(village, other, "transfer-leader", name="nobody")


async def test_the_log_rules_once_it_holds_the_members(
    village: Village, autojump_clock: MockClock
) -> None:
    """A file that was changed since does not change who votes."""
    lend_a_machine(village, "n4", 20_000)  # the file names a fourth voter now
    await village.pull_the_plug("n2")
    await village.start("n2")
    await village.wait_ready("n2")
    house = village.machines["n2"].house
    assert house is not None
    assert len(house._driver.status().voters) == 3
