"""Mailing lists: addresses whose mail goes on to others. Rows of the system account.

A member is any address: an account's or an alias, another list's, or one elsewhere. Who that comes
to is found when mail comes (node/directory.py), so a list follows its members' accounts, and lists
that name each other in a circle are no harm. That an address is nobody else's is checked by
storage/accounts.py, which makes lists.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from storage.addresses import AddressInvalid, fold_address
from storage.collection import Collection
from storage.engine import Rows
from storage.ids import SYSTEM_ACCOUNT
from storage.indexes import Index
from storage.keys import TypeCode
from storage.plan import Plan

# One row holds them all: 1,000 addresses are some 30 KB. Larger lists are made of lists.
MEMBERS_MAX: Final = 1_000


class TooManyMembers(ValueError):
    """Over MEMBERS_MAX."""


class ListUnknown(KeyError):
    """No list has this address."""


class MailingList(msgspec.Struct, array_like=True, frozen=True):
    """One list. `members` sorted, in the form they are looked up in; `created` in milliseconds
    since 1970."""

    address: str
    members: tuple[str, ...]
    created: int


_ADDRESS: Final[Index[MailingList]] = Index(
    1, "address", lambda held: [held.address.encode()], unique=True
)
LISTS: Final = Collection(TypeCode.MAILING_LIST, MailingList, [_ADDRESS])


def _find(rows: Rows, address: str) -> tuple[int, MailingList] | None:
    try:
        folded = fold_address(address)
    except AddressInvalid:
        return None
    number = LISTS.find(rows, SYSTEM_ACCOUNT, _ADDRESS, folded.encode())
    held = None if number is None else LISTS.get(rows, SYSTEM_ACCOUNT, number)
    return None if number is None or held is None else (number, held)


def by_address(rows: Rows, address: str) -> MailingList | None:
    """The list of this address."""
    found = _find(rows, address)
    return None if found is None else found[1]


def list_all(rows: Rows) -> list[MailingList]:
    """Every list in the order they were made."""
    return [held for _, held in LISTS.walk(rows, SYSTEM_ACCOUNT)]


def plan_create(plan: Plan, address: str, members: Sequence[str]) -> int:
    """Make a list under a folded address that is free; raises AddressInvalid, TooManyMembers."""
    record = MailingList(address, _fold(members), plan.now_ms)
    return LISTS.create(plan, SYSTEM_ACCOUNT, record)


def plan_set_members(plan: Plan, address: str, members: Sequence[str]) -> MailingList:
    """Replace the members; raises ListUnknown, AddressInvalid, TooManyMembers."""
    found = _find(plan, address)
    if found is None:
        raise ListUnknown(address)
    number, held = found
    record = msgspec.structs.replace(held, members=_fold(members))
    LISTS.update(plan, SYSTEM_ACCOUNT, number, record)
    return record


def plan_destroy(plan: Plan, address: str) -> None:
    """Remove a list, whoever its members are; raises ListUnknown."""
    found = _find(plan, address)
    if found is None:
        raise ListUnknown(address)
    LISTS.destroy(plan, SYSTEM_ACCOUNT, found[0])


def _fold(members: Sequence[str]) -> tuple[str, ...]:
    folded = tuple(sorted({fold_address(member) for member in members}))
    if len(folded) > MEMBERS_MAX:
        raise TooManyMembers(f"more than {MEMBERS_MAX} members")
    return folded
