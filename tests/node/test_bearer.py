"""Who may in by a token: proved against the newest state each time, guesses bounded."""

from functools import partial

import pytest
import trio

from node.auth import NETWORK_BURST, PasswordAuth
from node.bearer import BearerAuth
from node.limits import Buckets
from node.passwords import Passwords
from protocols.ports import AuthBusy, AuthFailed, NotForOthers, ScopeMissing, Unavailable
from storage import grants
from storage.accounts import plan_set_password
from storage.view import View
from tests.fakes import FakeHouse, make_house
from tests.tokens import HOUR_MS, TERMS, let_in

HOME, AWAY = "192.0.2.1", "198.51.100.7"
ALICE, BOB = "alice@example.org", "bob@example.org"


class Door:
    """The house's tokens, with few networks' limits."""

    def __init__(self) -> None:
        self.house: FakeHouse = make_house({ALICE: "a", BOB: "b"})
        self.alice = self.house.accounts[ALICE]
        clock = self.house.clock
        self.networks = Buckets(burst=NETWORK_BURST, per_s=1 / 12, monotonic_s=clock.monotonic_s)
        self.bearers = BearerAuth(self.house.reader, clock, self.networks)

    async def log_in(self, token: str, remote: str = HOME, authzid: str = "") -> str:
        return (await self.bearers.prove(token, authzid, remote)).address

    async def fail(self, times: int, remote: str = HOME) -> None:
        for number in range(times):
            with pytest.raises(AuthFailed):
                await self.log_in(f"guess {number}", remote)


async def test_a_token_opens_its_account_for_its_time() -> None:
    door = Door()
    issued = let_in(door.house, door.alice)
    principal = await door.bearers.prove(issued.access_token, "", HOME)
    assert (principal.account, principal.address) == (door.alice, ALICE)
    assert principal.access is not None and principal.access.grant == issued.grant
    for none in ("", "x", issued.refresh_token, issued.access_token[:-1], "\ud800" * 9):
        with pytest.raises(AuthFailed):
            await door.log_in(none)
    door.house.clock.pass_s(HOUR_MS / 1000)
    with pytest.raises(AuthFailed):
        await door.log_in(issued.access_token)


async def test_what_is_taken_back_opens_nothing_though_it_was_good_a_moment_ago() -> None:
    door = Door()
    by_grant, by_token, by_password = (let_in(door.house, door.alice) for _ in range(3))
    tokens = [each.access_token for each in (by_grant, by_token, by_password)]
    for token in tokens:
        assert await door.log_in(token) == ALICE
    house = door.house
    house.run(lambda plan: grants.plan_revoke(plan, door.alice, by_grant.grant))
    house.run(lambda plan: grants.plan_revoke_token(plan, tokens[1], client="c"))
    for gone in tokens[:2]:
        with pytest.raises(AuthFailed):
            await door.log_in(gone)
    assert await door.log_in(tokens[2]) == ALICE
    house.run(lambda plan: plan_set_password(plan, door.alice, "another"))
    with pytest.raises(AuthFailed):
        await door.log_in(tokens[2])


async def test_every_attempt_asks_for_the_newest_state() -> None:
    door = Door()
    token = let_in(door.house, door.alice).access_token
    before = door.house.reader.barriers
    for _ in range(3):
        await door.log_in(token)
    assert door.house.reader.barriers - before == 3
    door.house.unavailable = True
    for _ in range(2 * int(NETWORK_BURST)):  # held against nobody
        with pytest.raises(Unavailable):
            await door.log_in(token)


async def test_guesses_are_bounded_before_they_are_looked_at() -> None:
    door = Door()
    issued = let_in(door.house, door.alice)
    await door.fail(int(NETWORK_BURST))
    barriers = door.house.reader.barriers
    with pytest.raises(AuthBusy):
        await door.log_in("guess")
    # one that was good once and that nobody can have guessed, but of a grant that is gone
    door.house.run(lambda plan: grants.plan_revoke(plan, door.alice, issued.grant))
    with pytest.raises(AuthBusy):
        await door.log_in(issued.access_token)
    assert door.house.reader.barriers == barriers
    door.house.clock.pass_s(12)
    with pytest.raises(AuthFailed):
        await door.log_in("guess")


async def test_a_token_gets_in_from_a_network_that_is_over_its_limit() -> None:
    door = Door()
    await door.fail(int(NETWORK_BURST))
    token = let_in(door.house, door.alice).access_token
    assert await door.log_in(token) == await door.log_in(token, AWAY) == ALICE


async def test_a_client_that_comes_by_many_connections_at_once_is_no_guesser() -> None:
    door = Door()
    issued = let_in(door.house, door.alice)
    door.house.clock.pass_s(HOUR_MS / 1000)
    refresh = partial(grants.plan_refresh, client="c", scopes=(), terms=TERMS)
    again = door.house.run(lambda plan: refresh(plan, issued.refresh_token))
    assert again is not None
    heard: list[str] = []

    async def come(token: str) -> None:
        try:
            heard.append(await door.log_in(token))
        except AuthFailed:
            heard.append("none any more")

    times = 2 * int(NETWORK_BURST)
    for token in (issued.access_token, again.access_token):  # the grant has forgotten the first
        async with trio.open_nursery() as nursery:
            for _ in range(times):
                nursery.start_soon(come, token)
    assert heard == ["none any more"] * times + [ALICE] * times
    assert all(door.networks.take(HOME) for _ in range(int(NETWORK_BURST)))


async def test_a_node_that_lags_lets_a_new_token_in_at_nobodys_cost() -> None:
    door = Door()
    token = let_in(door.house, door.alice).access_token
    local, door.house.reader.local = door.house.reader.local, make_house().reader.local  # type: ignore[method-assign]

    async def newest() -> View:
        return local()

    door.house.reader.view = newest  # type: ignore[method-assign]
    for _ in range(2 * int(NETWORK_BURST)):
        assert await door.log_in(token) == ALICE
    await door.fail(int(NETWORK_BURST))
    with pytest.raises(AuthBusy):
        await door.log_in(token)


async def test_an_expired_token_is_no_guess() -> None:
    door = Door()
    token = let_in(door.house, door.alice).access_token
    door.house.clock.pass_s(HOUR_MS / 1000)
    for _ in range(2 * int(NETWORK_BURST)):
        with pytest.raises(AuthFailed):
            await door.log_in(token)
    assert door.networks.ready(HOME)


async def test_a_token_is_for_one_account_and_for_what_it_says() -> None:
    door = Door()
    token = let_in(door.house, door.alice).access_token
    assert await door.log_in(token, authzid="ALICE@example.org") == ALICE
    for other in (BOB, "nobody@example.org", "no address"):
        with pytest.raises(NotForOthers):
            await door.log_in(token, authzid=other)
    with pytest.raises(ScopeMissing):
        await door.log_in(let_in(door.house, door.alice, scopes=("calendars",)).access_token)


async def test_passwords_and_tokens_have_one_limit() -> None:
    house = make_house()
    auth = PasswordAuth(
        house.reader,
        Passwords(None, random_bytes=bytes, threads=1, waiting_max=1, memory_kib=64),  # type: ignore[arg-type]
        house.clock,
        random_bytes=bytes,
    )
    for number in range(int(NETWORK_BURST)):
        with pytest.raises(AuthFailed):
            await auth.bearer(f"guess {number}", remote=HOME)
    with pytest.raises(AuthBusy):
        await auth.password(ALICE, "secret", remote=HOME)
