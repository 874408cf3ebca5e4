"""Mailing lists: addresses that are nobody else's, and who is in them."""

import random

import pytest

from storage import accounts, lists
from storage.accounts import AddressTaken, AddressUnknown, DomainUnknown, plan_create_list
from storage.addresses import AddressInvalid
from storage.lists import MEMBERS_MAX, ListUnknown, TooManyMembers
from storage.memory import MemoryEngine
from storage.plan import Plan

CREW = "crew@example.org"


@pytest.fixture
def plan() -> Plan:
    plan = Plan(MemoryEngine(), now_ms=77, chance=random.Random(1))
    accounts.plan_create_account(plan, "alice@example.org", "phc", make_domain=True)
    return plan


def test_a_list_is_found_in_any_case_with_its_members_folded_and_once(plan: Plan) -> None:
    plan_create_list(plan, "Crew@Example.org", ["Bob@B.example", "bob@b.example", "a@a.example"])
    held = lists.by_address(plan, "CREW@example.org")
    assert held is not None and held.members == ("a@a.example", "bob@b.example")
    assert held.created == 77 and lists.list_all(plan) == [held]
    assert lists.by_address(plan, "junk") is None


def test_an_address_is_an_accounts_or_a_lists(plan: Plan) -> None:
    plan_create_list(plan, CREW, [])
    with pytest.raises(AddressTaken):
        plan_create_list(plan, CREW, [])
    with pytest.raises(AddressTaken):
        plan_create_list(plan, "alice@example.org", [])
    with pytest.raises(AddressTaken):
        accounts.plan_create_account(plan, CREW, "phc")
    with pytest.raises(DomainUnknown):
        plan_create_list(plan, "crew@elsewhere.example", [])
    lists.plan_destroy(plan, CREW)
    accounts.plan_create_account(plan, CREW, "phc")


def test_members_come_and_go(plan: Plan) -> None:
    plan_create_list(plan, CREW, ["a@a.example"])
    assert lists.plan_set_members(plan, CREW, ["b@b.example"]).members == ("b@b.example",)
    with pytest.raises(AddressInvalid):
        lists.plan_set_members(plan, CREW, ["junk"])
    many = [f"m{number}@a.example" for number in range(MEMBERS_MAX + 1)]
    with pytest.raises(TooManyMembers):
        lists.plan_set_members(plan, CREW, many)
    lists.plan_set_members(plan, CREW, many[:-1])
    for command in (lists.plan_destroy, lambda p, a: lists.plan_set_members(p, a, [])):
        with pytest.raises(ListUnknown):
            command(plan, "nobody@example.org")


def test_a_domain_gives_unknown_addresses_to_somebody(plan: Plan) -> None:
    assert accounts.catch_all(plan, "example.org") == ""
    accounts.plan_set_catch_all(plan, "Example.ORG", "Alice@example.org")
    assert accounts.catch_all(plan, "EXAMPLE.org") == "alice@example.org"
    assert accounts.catch_all(plan, "elsewhere.example") == accounts.catch_all(plan, "..") == ""
    with pytest.raises(AddressUnknown):
        accounts.plan_set_catch_all(plan, "example.org", "nobody@example.org")
    with pytest.raises(DomainUnknown):
        accounts.plan_set_catch_all(plan, "elsewhere.example", "alice@example.org")
    accounts.plan_set_catch_all(plan, "example.org", "")
    assert accounts.catch_all(plan, "example.org") == ""
