"""Whose mail an address is: folding, details, aliases, both spellings of a domain."""

import pytest

from node.directory import AccountDirectory
from storage import accounts
from storage.view import View
from tests.fakes import make_house


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
