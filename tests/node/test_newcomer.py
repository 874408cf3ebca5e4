"""A node with an empty disk asks everybody who it was, whenever they come."""

import pytest
import trio
import trio.testing

from node.identity import IdentityError
from node.network import Address
from node.newcomer import ASKED_MAX, Newcomer
from node.rpc import Answer, Call, CallRefused, HelloAnswer, PeerUnreachable, Remote

OUR_ID, OUR_DISK, OTHER_DISK = 1, 7, 8
PLACES: dict[Address, int] = {("10.0.0.2", 1): 2, ("10.0.0.3", 1): 3}


class Town:
    """Peers that are there, or not yet, and what each says of us."""

    def __init__(self) -> None:
        self.says: dict[int, int | None] = {}  # by replica: our disk as it knows it
        self.cannot_say: set[int] = set()
        self.members: tuple[int, ...] = ()

    async def call(self, replica: int, call: Call, *, timeout_s: float) -> Answer:
        await trio.lowlevel.checkpoint()
        if replica not in self.says:
            await trio.sleep(timeout_s)
            raise PeerUnreachable("not there")
        if replica in self.cannot_say:
            raise CallRefused("not yet")
        disk = self.says[replica]
        registered = {} if disk is None else {"n1": disk}
        return HelloAnswer(f"n{replica}", replica, registered, True, self.members, False)

    async def call_at(
        self, address: Address, call: Call, *, timeout_s: float
    ) -> tuple[Remote, Answer]:
        replica = PLACES[address]
        return Remote(replica, f"n{replica}"), await self.call(replica, call, timeout_s=timeout_s)


async def test_whoever_is_there_is_asked_first(autojump_clock: trio.testing.MockClock) -> None:
    town = Town()
    town.says = {2: None}
    newcomer = Newcomer("n1", OUR_ID, OUR_DISK, town, PLACES.values())
    assert not newcomer.may_hear(2)
    await newcomer.ask_at(PLACES)
    assert newcomer.may_hear(2) and not newcomer.may_hear(3)


async def test_the_others_are_asked_until_they_can_say(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    town = Town()
    newcomer = Newcomer("n1", OUR_ID, OUR_DISK, town, PLACES.values())
    nursery.start_soon(newcomer.ask_the_rest)
    await trio.sleep(10)
    town.says, town.cannot_say = {2: OUR_DISK, 3: None}, {3}
    await trio.sleep(2)
    assert newcomer.may_hear(2) and not newcomer.may_hear(3)
    town.cannot_say.clear()
    await trio.sleep(2)
    assert newcomer.may_hear(3)


@pytest.mark.parametrize("late", [False, True])
async def test_another_disk_under_our_name_ends_it(
    late: bool, autojump_clock: trio.testing.MockClock
) -> None:
    town = Town()
    town.says = {3: OTHER_DISK}
    newcomer = Newcomer("n1", OUR_ID, OUR_DISK, town, PLACES.values())
    with pytest.RaisesGroup(IdentityError, flatten_subgroups=True) as raised:
        await (newcomer.ask_the_rest() if late else newcomer.ask_at(PLACES))
    assert "n3 knows n1 by another disk" in repr(raised.value)
    assert not newcomer.may_hear(3)


async def test_a_disk_that_remembers_asks_nobody(autojump_clock: trio.testing.MockClock) -> None:
    newcomer = Newcomer("n1", OUR_ID, OUR_DISK, Town(), None)
    await newcomer.ask_at(PLACES)
    await newcomer.ask_the_rest()
    assert newcomer.may_hear(2) and trio.current_time() == 0


async def test_a_member_that_the_file_does_not_name_is_asked_before_it_is_heard(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    town = Town()
    town.says = {2: None, 3: None, 44: None}
    newcomer = Newcomer("n1", OUR_ID, OUR_DISK, town, PLACES.values())
    nursery.start_soon(newcomer.ask_the_rest)
    await trio.sleep(1)
    assert newcomer.may_hear(2) and not newcomer.may_hear(44)
    await trio.sleep(1)
    assert newcomer.may_hear(44)


async def test_strangers_beyond_a_bound_are_not_heard(
    autojump_clock: trio.testing.MockClock,
) -> None:
    newcomer = Newcomer("n1", OUR_ID, OUR_DISK, Town(), ())
    assert not any(newcomer.may_hear(replica) for replica in range(2, 2 * ASKED_MAX))
    assert len(newcomer._to_ask) == ASKED_MAX


async def test_a_cluster_that_formed_without_us_has_to_be_joined(
    autojump_clock: trio.testing.MockClock,
) -> None:
    town = Town()
    town.says, town.members = {2: None}, (2, 3, 44)
    newcomer = Newcomer("n1", OUR_ID, OUR_DISK, town, PLACES.values())
    with pytest.RaisesGroup(IdentityError, flatten_subgroups=True) as raised:
        await newcomer.ask_at(PLACES)
    assert "has formed without n1" in repr(raised.value)
    town.members = (OUR_ID, 2, 3)
    newcomer = Newcomer("n1", OUR_ID, OUR_DISK, town, PLACES.values())
    await newcomer.ask_at(PLACES)
    assert newcomer.may_hear(2)
