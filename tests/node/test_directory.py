"""Whose mail an address is: folding, details, aliases, both spellings of a domain."""

from functools import partial

import pytest

from node.directory import AccountDirectory
from protocols.ports import TooManyMembers
from storage import accounts, lists
from storage.view import View
from tests.fakes import FakeHouse, make_house


@pytest.fixture
def view() -> View:
    people = ["alice@example.org", "a+b@example.org", "zoë@bücher.example", "x@xn--strae-oqa.test"]
    house = make_house(dict.fromkeys(people, "x"))
    alice = house.accounts["alice@example.org"]
    house.run(lambda plan: accounts.plan_set_aliases(plan, alice, ["sales@example.org"]))
    return house.view()


@pytest.mark.parametrize(
    ("address", "number"),
    [
        ("alice@example.org", 1),
        ("ALICE@Example.ORG", 1),
        ("alice+anything+more@example.org", 1),
        ("sales@example.org", 1),
        ("sales+x@example.org", 1),
        ("alice+" + "x" * 200 + "@example.org", 1),
        ("a+b@example.org", 2),  # an address of its own before a detail
        ("a+c@example.org", None),
        ("zoë@bücher.example", 3),
        ("ZOË@BÜCHER.example", 3),
        ("zoë+neu@xn--bcher-kva.example", 3),
        ("x@straße.test", 4),  # as IDNA 2008 has it; folding alone would find strasse
        ("x@xn--strae-oqa.test", 4),
        ("+x@example.org", None),
        ("nobody@example.org", None),
        ("alice@example.com", None),
        ("alice", None),
        ("", None),
        ("@", None),
        ("alice@", None),
        ("alice@xn--\u0001", None),
        ("alice@xn--" + "z" * 500, None),
        ("alice@" + "xn--a." * 100, None),
    ],
)
def test_resolve(view: View, address: str, number: int | None) -> None:
    assert AccountDirectory().resolve(view, address) == number
    assert AccountDirectory().is_known(view, address) == (number is not None)


# --- lists and catch-all

ALICE, BOB, CREW = "alice@example.org", "bob@example.org", "crew@example.org"


def lists_of(**members: list[str]) -> FakeHouse:
    """Alice, Bob and lists of example.org by name."""
    house = make_house(dict.fromkeys([ALICE, BOB], "x"))
    for name, some in members.items():
        address = f"{name}@example.org"
        house.run(partial(accounts.plan_create_list, address=address, members=some))
    return house


def test_a_list_leads_to_everybody_in_it_once() -> None:
    others = [BOB, "alice+crew@example.org", "out@elsewhere.example", "gone@example.org"]
    house = lists_of(crew=[ALICE, "deck@example.org", "x@elsewhere.example"], deck=others)
    route = AccountDirectory().route(house.view(), "Crew+detail@example.org")
    assert route is not None and set(route.accounts) == {1, 2} and len(route.accounts) == 2
    assert set(route.elsewhere) == {"x@elsewhere.example", "out@elsewhere.example"}
    assert route.mailing_list == CREW and "deck@example.org" in route.members
    assert AccountDirectory().resolve(house.view(), CREW) is None  # no one account


def test_lists_in_a_circle_are_walked_once() -> None:
    house = lists_of(crew=["deck@example.org", CREW, ALICE], deck=[CREW, BOB])
    for address in (CREW, "deck@example.org"):
        route = AccountDirectory().route(house.view(), address)
        assert route is not None and set(route.accounts) == {1, 2} and not route.elsewhere


def test_a_list_that_leads_to_too_many_is_not_expanded() -> None:
    house = lists_of(crew=["deck@example.org", ALICE], deck=[ALICE, BOB])
    assert AccountDirectory(addresses_max=4).route(house.view(), CREW) is not None
    with pytest.raises(TooManyMembers):
        AccountDirectory(addresses_max=3).route(house.view(), CREW)


def test_a_catch_all_has_what_nobody_has() -> None:
    house = lists_of(crew=[ALICE, BOB])
    directory = AccountDirectory()
    house.run(lambda plan: accounts.plan_set_catch_all(plan, "example.org", BOB))
    assert directory.resolve(house.view(), "nobody+x@Example.org") == 2
    assert directory.resolve(house.view(), "alice+x@example.org") == 1
    assert directory.resolve(house.view(), "nobody@elsewhere.example") is None
    assert directory.resolve(house.view(), "@example.org") is None
    house.run(lambda plan: accounts.plan_set_catch_all(plan, "example.org", CREW))
    route = directory.route(house.view(), "nobody@example.org")
    assert route is not None and set(route.accounts) == {1, 2}
    house.run(lambda plan: lists.plan_destroy(plan, CREW))
    assert directory.route(house.view(), "nobody@example.org") is None
