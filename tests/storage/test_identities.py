"""Identities come and go with addresses; what users make of them stays."""

from collections.abc import Iterator

import pytest

from storage import accounts, identities
from storage.changes import since
from storage.identities import (
    IDENTITIES_MAX,
    Identity,
    IdentityStays,
    TooManyIdentities,
    list_identities,
    number_of,
)
from storage.ids import AccountId
from storage.keys import TypeCode
from storage.mail.state import version
from tests.fakes import make_house

ALICE = "alice@example.org"


class Person:
    """Alice, with an alias."""

    def __init__(self) -> None:
        self.story = make_house()
        self.account: AccountId = self.story.run(
            lambda plan: accounts.plan_create_account(
                plan, ALICE, "x", aliases=["al@example.org"], make_domain=True
            )
        )

    def emails(self) -> list[str]:
        """The addresses of the identities there are."""
        return [held.email for _, held in list_identities(self.story.engine, self.account)]

    def set_aliases(self, *aliases: str) -> None:
        """Other aliases."""
        self.story.run(
            lambda plan: identities.plan_set_aliases(
                plan, self.account, [f"{alias}@example.org" for alias in aliases]
            )
        )

    def make(self, email: str, name: str = "") -> int:
        """Another identity."""
        wanted = Identity(email, name)
        return self.story.run(lambda plan: identities.plan_create(plan, self.account, wanted))

    def rename(self, number: int, name: str) -> None:
        """Give an identity a name."""
        held = identities.get_identity(self.story.engine, self.account, number)
        assert held is not None
        wanted = Identity(held.email, name)
        self.story.run(lambda plan: identities.plan_update(plan, self.account, number, wanted))

    def changed(self, before: int) -> tuple[list[int], list[int], list[int]]:
        """Created, updated, destroyed since a version."""
        found = since(self.story.engine, self.account, TypeCode.IDENTITY, before)
        return found.created, found.updated, found.destroyed

    @property
    def version(self) -> int:
        """The account's version now."""
        return version(self.story.engine, self.account)


@pytest.fixture
def alice() -> Iterator[Person]:
    yield Person()


def test_each_address_has_one_by_itself(alice: Person) -> None:
    assert alice.emails() == [ALICE, "al@example.org"]
    assert len({number_of(email) for email in alice.emails()}) == 2
    assert alice.version == 0  # nothing was written for it


def test_its_number_is_the_same_before_and_after_it_is_changed(alice: Person) -> None:
    number = number_of(ALICE)
    before = alice.version
    alice.rename(number, "Alice")
    alice.rename(number, "Alice A.")
    (first, _) = list_identities(alice.story.engine, alice.account)
    assert first == (number, Identity(ALICE, "Alice A."))
    assert alice.changed(before) == ([], [number], [])  # it was there before
    unchanged = alice.version
    alice.rename(number, "Alice A.")
    assert alice.version == unchanged


def test_they_come_and_go_with_aliases(alice: Person) -> None:
    kept, gone = alice.make(ALICE, "Private"), alice.make("al+news@example.org")
    alice.rename(number_of("al@example.org"), "Al")
    before = alice.version
    alice.set_aliases("ally")
    assert alice.emails() == [ALICE, "ally@example.org", ALICE]
    created, updated, destroyed = alice.changed(before)
    assert (created, updated) == ([number_of("ally@example.org")], [])
    assert destroyed == sorted([gone, number_of("al@example.org")])
    alice.set_aliases("al")
    assert [held.name for _, held in list_identities(alice.story.engine, alice.account)] == [
        "",
        "",  # what was set of the alias that went is forgotten
        "Private",
    ]
    assert identities.get_identity(alice.story.engine, alice.account, kept) is not None


def test_those_of_addresses_stay(alice: Person) -> None:
    with pytest.raises(IdentityStays):
        alice.story.run(lambda plan: identities.plan_destroy(plan, alice.account, number_of(ALICE)))
    made = alice.make(ALICE)
    alice.story.run(lambda plan: identities.plan_destroy(plan, alice.account, made))
    assert len(alice.emails()) == 2


def test_so_many_may_be_made(alice: Person) -> None:
    alice.rename(number_of(ALICE), "A")  # one that is there by itself does not count
    for _ in range(IDENTITIES_MAX):
        alice.make(ALICE)
    with pytest.raises(TooManyIdentities):
        alice.make(ALICE)
