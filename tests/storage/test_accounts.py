"""Who is who: addresses, domains, passwords."""

import random

import pytest

from storage import accounts
from storage.accounts import (
    ALIASES_MAX,
    AccountUnknown,
    AddressTaken,
    DomainUnknown,
    TooManyAliases,
    by_address,
    get_account,
    list_accounts,
    plan_create_account,
    plan_create_domain,
    plan_set_aliases,
    plan_set_password,
)
from storage.ids import AccountId
from storage.memory import MemoryEngine
from storage.plan import Plan


@pytest.fixture
def plan() -> Plan:
    plan = Plan(MemoryEngine(), now_ms=77, chance=random.Random(1))
    plan_create_domain(plan, "Example.org")
    return plan


def test_an_account_is_found_by_its_address_in_any_case(plan: Plan) -> None:
    alice = plan_create_account(plan, "Alice@EXAMPLE.org", "phc", quota=5)
    assert alice == 1 and by_address(plan, "aLICE@example.ORG.") == alice
    held = get_account(plan, alice)
    assert held == accounts.Account("alice@example.org", "phc", (), 77, 5)
    assert list_accounts(plan) == [(alice, held)]
    assert by_address(plan, "bob@example.org") is None
    assert by_address(plan, "no address") is None


def test_an_address_is_one_accounts(plan: Plan) -> None:
    alice = plan_create_account(plan, "alice@example.org", "a", aliases=["al@example.org"])
    for taken in ("ALICE@example.org", "al@example.org"):
        with pytest.raises(AddressTaken):
            plan_create_account(plan, taken, "b")
    with pytest.raises(AddressTaken):
        plan_create_account(plan, "bob@example.org", "b", aliases=["Al@Example.org"])
    assert by_address(plan, "al@example.org") == alice


def test_aliases_are_replaced(plan: Plan) -> None:
    alice = plan_create_account(plan, "alice@example.org", "a", aliases=["al@example.org"])
    bob = plan_create_account(plan, "bob@example.org", "b")
    plan_set_aliases(plan, alice, ["Ally@example.org", "alice@example.org", "ally@example.org"])
    assert by_address(plan, "ally@example.org") == alice
    assert by_address(plan, "al@example.org") is None
    with pytest.raises(AddressTaken):
        plan_set_aliases(plan, bob, ["ally@example.org"])
    with pytest.raises(TooManyAliases):
        plan_set_aliases(plan, bob, [f"a{n}@example.org" for n in range(ALIASES_MAX + 1)])
    plan_set_aliases(plan, bob, [f"a{n}@example.org" for n in range(ALIASES_MAX)])


def test_a_domain_is_known_or_made(plan: Plan) -> None:
    with pytest.raises(DomainUnknown):
        plan_create_account(plan, "alice@other.net", "a")
    plan_create_account(plan, "alice@other.net", "a", make_domain=True)
    plan_create_domain(plan, "OTHER.net")
    assert [domain.name for domain in accounts.list_domains(plan)] == ["example.org", "other.net"]
    assert accounts.has_domain(plan, "Other.Net") and not accounts.has_domain(plan, "..")


def test_a_password_is_replaced(plan: Plan) -> None:
    alice = plan_create_account(plan, "alice@example.org", "old")
    plan_set_password(plan, alice, "new")
    held = get_account(plan, alice)
    assert held is not None and held.password == "new"
    with pytest.raises(AccountUnknown):
        plan_set_password(plan, AccountId(99), "new")
    with pytest.raises(AccountUnknown):
        plan_set_aliases(plan, AccountId(99), [])
