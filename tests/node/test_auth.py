"""Who may in: fast for owners, dear for guessers, and closed at once when a password changes."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
import trio
import trio.testing

from node.auth import (
    ACCOUNT_BURST,
    NETWORK_BURST,
    NETWORK_PER_S,
    REMEMBERED_S,
    PasswordAuth,
)
from node.passwords import Passwords
from protocols.ports import AuthBusy, AuthFailed, NotForOthers, Principal, Unavailable
from protocols.scram import ITERATIONS, parse_keys
from storage import accounts
from storage.ids import AccountId
from storage.plan import Plan
from tests.fakes import FakeHouse, make_house

T = TypeVar("T")
HOME = "192.0.2.1"
AWAY = "198.51.100.7"
ALICE = "alice@example.org"


class Door:
    """The house's auth with a count of hashes computed, and a gate before them."""

    def __init__(self, *, remembered_max: int = 100) -> None:
        self.house: FakeHouse = make_house()
        self.hashes = 0
        self.gate = trio.Event()
        self.gate.set()
        self.passwords = Passwords(
            self._run,
            random_bytes=lambda count: bytes(range(count)),
            threads=2,
            waiting_max=4,
            memory_kib=64,
        )
        self.auth = PasswordAuth(
            self.house.reader,
            self.passwords,
            self.house.clock,
            random_bytes=bytes,
            remembered_max=remembered_max,
        )

    async def _run(self, work: Callable[[], T]) -> T:
        await self.gate.wait()
        self.hashes += 1
        return work()

    async def add(self, address: str, password: str, *aliases: str) -> AccountId:
        phc = await self.passwords.hash(password)

        def make(plan: Plan) -> AccountId:
            return accounts.plan_create_account(
                plan, address, phc, aliases=aliases, make_domain=True
            )

        account = self.house.run(make)
        self.hashes = 0
        return account

    async def change(self, account: AccountId, password: str) -> None:
        phc = await self.passwords.hash(password)
        self.house.run(lambda plan: accounts.plan_set_password(plan, account, phc))
        self.hashes = 0

    async def log_in(self, username: str, password: str, remote: str = HOME) -> Principal:
        return await self.auth.password(username, password, remote=remote)

    async def fail(self, times: int, username: str = ALICE, remote: str = HOME) -> None:
        for _ in range(times):
            with pytest.raises(AuthFailed):
                await self.log_in(username, "wrong", remote)


@pytest.fixture
async def door() -> Door:
    made = Door()
    await made.add(ALICE, "secret", "al@example.org")
    return made


async def test_the_right_password_opens(door: Door) -> None:
    assert await door.log_in(ALICE, "secret") == Principal(AccountId(1), ALICE)


@pytest.mark.parametrize("name", ["ALICE@Example.org", "al@example.org"])
async def test_every_name_of_an_account_is_the_account(door: Door, name: str) -> None:
    assert await door.log_in(name, "secret") == Principal(AccountId(1), ALICE)


@pytest.mark.parametrize(
    ("name", "password"),
    [
        (ALICE, "Secret"),
        (ALICE, ""),
        ("bob@example.org", "secret"),
        ("alice", "secret"),
        ("alice+x@example.org", "secret"),
        ("", "secret"),
        ("x" * 10_000 + "@example.org", "secret"),
        (ALICE, "x" * 100_000),
        (ALICE, "\ud800"),
    ],
)
async def test_anything_else_does_not(door: Door, name: str, password: str) -> None:
    with pytest.raises(AuthFailed):
        await door.log_in(name, password)


async def test_an_unknown_name_costs_what_a_known_one_does(door: Door) -> None:
    await door.fail(1)
    assert door.hashes == 1
    await door.fail(1, "nobody@example.org")
    assert door.hashes == 2


async def test_a_verified_password_is_remembered_for_its_network(door: Door) -> None:
    for _ in range(5):
        await door.log_in(ALICE, "secret")
    assert door.hashes == 1
    await door.log_in(ALICE, "secret", AWAY)
    assert door.hashes == 2


async def test_what_is_remembered_is_forgotten_in_time(door: Door) -> None:
    await door.log_in(ALICE, "secret")
    door.house.clock.pass_s(REMEMBERED_S)
    await door.log_in(ALICE, "secret")
    assert door.hashes == 2


async def test_so_much_is_remembered_and_no_more() -> None:
    door = Door(remembered_max=2)
    await door.add(ALICE, "secret")
    for remote in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        await door.log_in(ALICE, "secret", remote)
    await door.log_in(ALICE, "secret", "192.0.2.3")
    assert door.hashes == 3
    await door.log_in(ALICE, "secret", "192.0.2.1")
    assert door.hashes == 4


async def test_a_changed_password_counts_at_once(door: Door) -> None:
    await door.log_in(ALICE, "secret")
    await door.change(AccountId(1), "changed")
    with pytest.raises(AuthFailed):
        await door.log_in(ALICE, "secret")
    assert await door.log_in(ALICE, "changed") == Principal(AccountId(1), ALICE)


async def test_a_password_is_not_kept_as_it_is(door: Door) -> None:
    await door.log_in(ALICE, "secret")
    assert "secret" not in repr(door.auth._remembered)


async def test_without_a_majority_only_the_remembered_get_in(door: Door) -> None:
    await door.log_in(ALICE, "secret")
    door.house.unavailable = True
    await door.log_in(ALICE, "secret")
    with pytest.raises(Unavailable):
        await door.log_in(ALICE, "secret", AWAY)


async def test_a_guessing_network_is_turned_away_before_any_hashing(door: Door) -> None:
    await door.fail(int(NETWORK_BURST), "nobody@example.org")
    hashes = door.hashes
    with pytest.raises(AuthBusy):
        await door.log_in(ALICE, "secret")
    assert door.hashes == hashes
    await door.log_in(ALICE, "secret", AWAY)
    door.house.clock.pass_s(1 / NETWORK_PER_S)
    await door.log_in(ALICE, "secret")


async def test_who_is_remembered_is_not_locked_out_by_a_neighbours_device(door: Door) -> None:
    await door.log_in(ALICE, "secret")
    await door.fail(int(NETWORK_BURST), "nobody@example.org")
    for _ in range(3):
        await door.log_in(ALICE, "secret")
    # What is guessed of her there is not free either: so many, and the right one is refused too.
    hashes = door.hashes
    for _ in range(int(NETWORK_BURST)):
        with pytest.raises(AuthBusy):
            await door.log_in(ALICE, "guess")
    with pytest.raises(AuthBusy):
        await door.log_in(ALICE, "secret")
    assert door.hashes == hashes
    assert len(door.auth._neighbours) == 1
    with pytest.raises(AuthBusy):
        await door.log_in("nobody@example.org", "guess")
    assert len(door.auth._neighbours) == 1
    door.house.clock.pass_s(1 / NETWORK_PER_S)
    await door.log_in(ALICE, "secret")


def networks() -> Iterator[str]:
    return (f"203.0.113.{number}" for number in range(250))


async def test_an_account_guessed_at_from_everywhere_is_closed_to_strangers(door: Door) -> None:
    await door.log_in(ALICE, "secret")
    for remote, _ in zip(networks(), range(int(ACCOUNT_BURST)), strict=False):
        await door.fail(1, remote=remote)
    with pytest.raises(AuthBusy):
        await door.log_in(ALICE, "secret", AWAY)
    with pytest.raises(AuthBusy):
        await door.log_in("al@example.org", "secret", AWAY)  # by no other name either
    await door.log_in(ALICE, "secret")  # and open at home


async def test_success_is_not_counted(door: Door) -> None:
    for remote in networks():
        await door.log_in(ALICE, "secret", remote)
    for _ in range(int(NETWORK_BURST) + 5):
        door.house.clock.pass_s(REMEMBERED_S)
        await door.log_in(ALICE, "secret")


async def test_attempts_at_the_same_time_do_not_outrun_the_limit(door: Door) -> None:
    """What runs and waits is bounded by the pool; what failed is counted before it is known."""
    refused, failed = [], []

    async def guess(number: int) -> None:
        try:
            await door.log_in(ALICE, f"wrong {number}")
        except AuthBusy:
            refused.append(1)
        except AuthFailed:
            failed.append(1)

    door.gate = trio.Event()
    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(guess, number)
        await trio.testing.wait_all_tasks_blocked()
        assert len(refused) >= 100 - NETWORK_BURST
        door.gate.set()
    assert len(failed) == 6  # two threads, four waiting
    # Those turned away for want of a thread are not held against anyone.
    await door.fail(int(NETWORK_BURST) - 6)


async def test_a_client_that_opens_many_connections_is_hashed_once(door: Door) -> None:
    principals = []

    async def log_in() -> None:
        principals.append(await door.log_in(ALICE, "secret"))

    door.gate = trio.Event()
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(log_in)
        await trio.testing.wait_all_tasks_blocked()
        door.gate.set()
    assert principals == [Principal(AccountId(1), ALICE)] * 50
    assert door.hashes == 1


async def test_one_wrong_password_sent_at_once_fails_once(door: Door) -> None:
    door.gate = trio.Event()
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(door.fail, 1)
        await trio.testing.wait_all_tasks_blocked()
        door.gate.set()
    assert door.hashes == 1
    await door.fail(int(NETWORK_BURST) - 1)


async def test_those_who_wait_for_an_attempt_outlive_it(door: Door) -> None:
    """The first connection goes away in the midst of it: the others may try again."""
    door.gate = trio.Event()
    first = trio.CancelScope()
    busy = []

    async def log_in_first() -> None:
        with first:
            await door.log_in(ALICE, "secret")

    async def log_in() -> None:
        try:
            await door.log_in(ALICE, "secret")
        except AuthBusy:
            busy.append(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(log_in_first)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(log_in)
        await trio.testing.wait_all_tasks_blocked()
        first.cancel()
    assert busy == [1]
    door.gate.set()
    await door.log_in(ALICE, "secret")


async def test_scram_opens_by_the_keys_kept_and_counts_failures(door: Door) -> None:
    kept = await door.passwords.scram("secret")
    phc = await door.passwords.hash("secret")
    account = AccountId(1)
    door.house.run(lambda plan: accounts.plan_set_password(plan, account, phc, scram=kept))
    attempt = await door.auth.scram(ALICE, remote=HOME)
    assert attempt.keys == parse_keys(kept)
    assert attempt.prove(lambda: b"v=x") == (Principal(account, ALICE), b"v=x")
    for _ in range(int(NETWORK_BURST)):
        attempt = await door.auth.scram(ALICE, remote=AWAY)
        with pytest.raises(AuthFailed):
            attempt.prove(lambda: None)
    with pytest.raises(AuthBusy):
        attempt.prove(lambda: b"v=x")  # begun before, and no better for it
    with pytest.raises(AuthBusy):
        await door.auth.scram(ALICE, remote=AWAY)
    door.house.run(lambda plan: accounts.plan_set_password(plan, account, phc))
    attempt = await door.auth.scram(ALICE, remote=HOME)
    assert attempt.keys != parse_keys(kept)  # a changed password takes its keys along


async def test_to_scram_nobody_has_a_salt_that_stays(door: Door) -> None:
    one, two = [await door.auth.scram("nobody@example.org", remote=HOME) for _ in range(2)]
    other = await door.auth.scram("other@example.org", remote=HOME)
    assert one.keys.salt == two.keys.salt != other.keys.salt
    assert one.keys.iterations == ITERATIONS


async def test_a_certificate_opens_one_account_and_failures_are_counted() -> None:
    door = Door()
    account = await door.add(ALICE, "secret", "a.smith@example.org")
    await door.add("bob@example.org", "secret")

    async def show(*addresses: str, authzid: str = "") -> Principal:
        return await door.auth.certificate(addresses, authzid=authzid, remote=HOME)

    alice = Principal(account, ALICE)
    for _ in range(int(NETWORK_BURST) + 1):  # success costs nothing
        assert await show("A.Smith@Example.org", ALICE, "alice@elsewhere.example") == alice
    assert await show(ALICE, authzid="a.smith@example.org") == alice
    for addresses in (("nobody@example.org",), (ALICE, "bob@example.org"), ()):
        with pytest.raises(AuthFailed):
            await show(*addresses)
    for other in ("bob@example.org", "nobody@example.org", "a" * 400):
        with pytest.raises(NotForOthers):
            await show(ALICE, authzid=other)
    door.house.unavailable = True
    for _ in range(int(NETWORK_BURST) + 1):  # not decided, so held against nobody
        with pytest.raises(Unavailable):
            await show(ALICE)
    door.house.unavailable = False
    for _ in range(int(NETWORK_BURST) - 6):
        with pytest.raises(AuthFailed):
            await show("nobody@example.org")
    with pytest.raises(AuthBusy):
        await show(ALICE)
