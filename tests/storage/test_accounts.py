"""Who is who: addresses, domains, passwords."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import accounts
from storage.accounts import (
    ALIASES_MAX,
    AccountUnknown,
    AddressInvalid,
    AddressTaken,
    DomainUnknown,
    TooManyAliases,
    by_address,
    fold_address,
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


@pytest.mark.parametrize(
    "address",
    [
        "a.b-c+d@x.example.org",
        "grå@exämple.org",
        "用户@例子.广告",
        "!#$%&'*/=?^_`{|}~@example.org",
        "a@localhost",
        "x" * 64 + "@example.org",
    ],
)
def test_addresses(address: str) -> None:
    assert fold_address(address) == address


@pytest.mark.parametrize(
    "text",
    [
        "", "@", "a", "a@", "@b", "a b@c", "a@b c", ".a@b", "a.@b", "a..b@c", "a@b@c", 'a"@b',
        '"a b"@c', "a@.b", "a@b..c", "a@-b", "a@b-", "a@b_c!", "a\n@b", "a@b\n", "a\0@b",
        "a@[1.2.3.4]",
        "x" * 65 + "@b", "a@" + "x" * 64, "a@" + "b." * 127 + "cc", "é" * 33 + "@b",
    ],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(AddressInvalid):
        fold_address(text)


def test_one_address_has_one_form() -> None:
    assert fold_address("Ame\u0301lie@Example.ORG.") == fold_address("am\u00e9lie@example.org")


@given(st.text(max_size=80))
def test_folding_any_text(text: str) -> None:
    try:
        folded = fold_address(text)
    except AddressInvalid:
        return
    assert fold_address(folded) == folded


def test_folding_long_text_is_quick() -> None:
    for text in ("a." * 500_000 + "@b", "a@" + "b-" * 500_000, "a" * 10**6 + "@" + "b" * 10**6):
        with pytest.raises(AddressInvalid):
            fold_address(text)
