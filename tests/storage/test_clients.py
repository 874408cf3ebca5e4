"""Clients that register themselves: one for what they say, bounded, and gone unless let in."""

import pytest

from storage import oauth_rows as rows_of
from storage.clients import UNPROVEN_MAX, UNPROVEN_MS, get_client, plan_register
from storage.codes import plan_expire
from storage.due import list_due
from storage.grants import Terms, plan_grant
from storage.oauth_rows import Kind
from tests.fakes import FakeHouse, make_house

TERMS = Terms(access_ms=3_600_000, refresh_ms=86_400_000)


@pytest.fixture
def house() -> FakeHouse:
    return make_house({"alice@example.org": "secret"})


def register(house: FakeHouse, name: str, more: bytes = b"") -> str:
    """Register a client of that name; a second passes."""
    client = house.run(
        lambda plan: plan_register(
            plan,
            name=name,
            uri="https://example.org/",
            redirect_uris=("org.example:/done",),
            scopes=("mail",),
            more=more,
        )
    )
    house.clock.pass_s(1)
    return client


def is_known(house: FakeHouse, client: str) -> bool:
    """Is it registered now."""
    return get_client(house.engine, client, house.clock.now_ms()) is not None


def let_in(house: FakeHouse, client: str) -> None:
    """Alice lets it in."""
    alice = house.accounts["alice@example.org"]
    house.run(
        lambda plan: plan_grant(
            plan, alice, client=client, client_name="Bird", scopes=("mail",), terms=TERMS
        )
    )


def expire(house: FakeHouse) -> None:
    """Do what is due."""
    for each, _ in list_due(house.engine, house.clock.now_ms(), limit=10_000):
        house.run(lambda plan, each=each: plan_expire(plan, each))


def rows(house: FakeHouse) -> list[int]:
    """Clients, and those that nobody has let in."""
    return [len(house.engine.scan(*rows_of.row_range(k))) for k in (Kind.CLIENT, Kind.UNPROVEN)]


def test_what_says_the_same_is_one_client(house: FakeHouse) -> None:
    bird = register(house, "Bird")
    assert register(house, "Bird") == bird and rows(house) == [1, 1]
    assert len({bird, register(house, "Cat"), register(house, "Bird", b"2")}) == 3
    held = get_client(house.engine, bird, house.clock.now_ms())
    assert held is not None and held.redirect_uris == ("org.example:/done",)


def test_a_client_that_nobody_lets_in_goes(house: FakeHouse) -> None:
    bird = register(house, "Bird")
    house.clock.pass_s(UNPROVEN_MS / 1000 / 2)
    register(house, "Bird")  # its time begins anew
    house.clock.pass_s(UNPROVEN_MS / 1000 - 2)
    expire(house)
    assert is_known(house, bird)
    house.clock.pass_s(2)
    assert not is_known(house, bird)  # before anybody has deleted it
    expire(house)
    assert rows(house) == [0, 0]


def test_a_client_that_was_let_in_is_no_stranger_and_its_time_never_gets_shorter(
    house: FakeHouse,
) -> None:
    bird = register(house, "Bird")
    let_in(house, bird)
    assert rows(house) == [1, 0]
    before = get_client(house.engine, bird, house.clock.now_ms())
    assert register(house, "Bird") == bird and rows(house) == [1, 0]
    assert get_client(house.engine, bird, house.clock.now_ms()) == before


def test_of_those_that_nobody_let_in_the_oldest_makes_room(
    house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert UNPROVEN_MAX == 2_000
    monkeypatch.setattr("storage.clients.UNPROVEN_MAX", 3)
    known = [register(house, name) for name in "abc"]
    let_in(house, known[0])
    known += [register(house, name) for name in "de"]
    assert [is_known(house, each) for each in known] == [True, False, True, True, True]
    assert rows(house) == [4, 3]
    house.clock.pass_s(UNPROVEN_MS / 1000)
    expire(house)
    assert rows(house) == [1, 0]
