"""Who is who: addresses, domains, passwords."""

import random

import msgspec
import pytest

from storage import accounts, keys
from storage.accounts import (
    ALIASES_MAX,
    AccountUnknown,
    AddressTaken,
    DomainUnknown,
    TooManyAliases,
    by_address,
    get_account,
    is_administrator,
    list_accounts,
    plan_create_account,
    plan_create_domain,
    plan_set_administrator,
    plan_set_aliases,
    plan_set_password,
)
from storage.ids import SYSTEM_ACCOUNT, AccountId
from storage.keys import TypeCode
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


def test_who_is_an_administrator_is_said_of_him_alone(plan: Plan) -> None:
    alice = plan_create_account(plan, "alice@example.org", "a")
    root = plan_create_account(plan, "root@example.org", "r", administrator=True)
    assert (is_administrator(plan, alice), is_administrator(plan, root)) == (False, True)
    plan_set_administrator(plan, alice, True)
    plan_set_password(plan, alice, "another")
    assert is_administrator(plan, alice)
    plan_set_administrator(plan, alice, False)
    assert not is_administrator(plan, alice)
    assert not is_administrator(plan, AccountId(99))
    with pytest.raises(AccountUnknown):
        plan_set_administrator(plan, AccountId(99), True)


@pytest.mark.parametrize("fields_then", [5, 6])
def test_accounts_from_before_there_were_administrators_are_read(
    plan: Plan, fields_then: int
) -> None:
    root = plan_create_account(plan, "root@example.org", "r", quota=5, administrator=True)
    key = keys.record_key(SYSTEM_ACCOUNT, TypeCode.ACCOUNT, root)
    held = plan.get(key)
    assert held is not None
    fields = msgspec.msgpack.decode(held)
    assert len(fields) == 7
    plan.put(key, msgspec.msgpack.encode(fields[:fields_then]))
    assert not is_administrator(plan, root)
    assert get_account(plan, root) == accounts.Account("root@example.org", "r", (), 77, 5)


def test_a_node_that_knows_more_of_accounts_is_understood(plan: Plan) -> None:
    root = plan_create_account(plan, "root@example.org", "r", administrator=True)
    key = keys.record_key(SYSTEM_ACCOUNT, TypeCode.ACCOUNT, root)
    held = plan.get(key)
    assert held is not None
    plan.put(key, msgspec.msgpack.encode([*msgspec.msgpack.decode(held), "of tomorrow"]))
    assert is_administrator(plan, root)


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
