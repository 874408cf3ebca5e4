"""Identities (RFC 8621 6): whom an account may write as.

Every address and alias of an account has an identity by itself: its number follows from the
address, and a row is kept only of what the user changed in it. Such an identity goes when its
address does, and not before. Others are made by the user, more than one for an address if he
likes, and go with the address too.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from storage import accounts, changes
from storage.accounts import (
    get_account,
)
from storage.addresses import without_detail
from storage.collection import Collection, Missing
from storage.engine import Rows
from storage.ids import AccountId
from storage.keys import TypeCode
from storage.plan import Plan

# Identities a user makes beside those of the account's addresses.
IDENTITIES_MAX: Final = 100

# Numbers of identities that are there by themselves begin here; those made count up from 1.
_BY_ITSELF: Final = 1 << 62
_DIGEST_BYTES: Final = 7

People = tuple[tuple[str | None, str], ...]
"""RFC 8621 4.1.2.3 EmailAddress: (name, email) each."""


class TooManyIdentities(Exception):
    """Over IDENTITIES_MAX."""


class IdentityStays(Exception):
    """An identity of one of the account's addresses cannot be destroyed."""


class Identity(msgspec.Struct, array_like=True, frozen=True):
    """RFC 8621 6, without its id."""

    email: str
    name: str = ""
    reply_to: People | None = None
    bcc: People | None = None
    text_signature: str = ""
    html_signature: str = ""


_IDENTITIES: Final = Collection(TypeCode.IDENTITY, Identity)


def number_of(address: str) -> int:
    """The number of the identity that an address has by itself."""
    digest = hashlib.sha256(address.encode()).digest()[:_DIGEST_BYTES]
    return _BY_ITSELF | int.from_bytes(digest, "big")


def is_by_itself(number: int) -> bool:
    """Whether the identity is there as long as its address is."""
    return number >= _BY_ITSELF


def _addresses(rows: Rows, account: AccountId) -> tuple[str, ...]:
    held = get_account(rows, account)
    return () if held is None else (held.address, *held.aliases)


def list_identities(rows: Rows, account: AccountId) -> list[tuple[int, Identity]]:
    """All of an account: that of its address, of its aliases, then those made."""
    found: list[tuple[int, Identity]] = []
    for address in _addresses(rows, account):
        number = number_of(address)
        held = _IDENTITIES.get(rows, account, number)
        found.append((number, Identity(address) if held is None else held))
    return found + _made(rows, account)


def _made(rows: Rows, account: AccountId) -> list[tuple[int, Identity]]:
    # Rows of those by themselves come behind, for their numbers are larger.
    held = _IDENTITIES.list(rows, account, limit=IDENTITIES_MAX)
    return [(number, identity) for number, identity in held if not is_by_itself(number)]


def get_identity(rows: Rows, account: AccountId, number: int) -> Identity | None:
    """The identity with this number."""
    if not is_by_itself(number):
        return _IDENTITIES.get(rows, account, number)
    return next(
        (
            _IDENTITIES.get(rows, account, number) or Identity(address)
            for address in _addresses(rows, account)
            if number_of(address) == number
        ),
        None,
    )


def plan_create(plan: Plan, account: AccountId, identity: Identity) -> int:
    """Add an identity; the caller has checked whose its address is. Raises TooManyIdentities."""
    if len(_made(plan, account)) >= IDENTITIES_MAX:
        raise TooManyIdentities(f"an account may have {IDENTITIES_MAX} identities more")
    return _IDENTITIES.create(plan, account, identity)


def plan_update(plan: Plan, account: AccountId, number: int, identity: Identity) -> None:
    """Replace an identity, whose address stays; raises Missing."""
    held = get_identity(plan, account, number)
    if held is None:
        raise Missing(number)
    assert held.email == identity.email, number
    if is_by_itself(number):
        if identity != held:
            _IDENTITIES.overlay(plan, account, number, identity)
    else:
        _IDENTITIES.update(plan, account, number, identity)


def plan_destroy(plan: Plan, account: AccountId, number: int) -> None:
    """Remove an identity; raises Missing, IdentityStays."""
    if get_identity(plan, account, number) is None:
        raise Missing(number)
    if is_by_itself(number):
        raise IdentityStays(number)
    _IDENTITIES.destroy(plan, account, number)


def plan_set_aliases(plan: Plan, account: AccountId, aliases: Sequence[str]) -> None:
    """Replace an account's aliases; identities come and go with them.

    Raises as accounts.plan_set_aliases.
    """
    before = _addresses(plan, account)
    made = _made(plan, account)
    accounts.plan_set_aliases(plan, account, aliases)
    after = _addresses(plan, account)
    gone = [address for address in before if address not in after]
    for number, identity in made:
        if identity.email in gone or without_detail(identity.email) in gone:
            _IDENTITIES.destroy(plan, account, number)
    for address in gone:
        _forget(plan, account, address)
    came = [number_of(address) for address in after if address not in before]
    if came:
        changes.record(plan, account, TypeCode.IDENTITY, created=came)


def _forget(plan: Plan, account: AccountId, address: str) -> None:
    number = number_of(address)
    if _IDENTITIES.get(plan, account, number) is None:
        changes.record(plan, account, TypeCode.IDENTITY, destroyed=(number,))
    else:
        _IDENTITIES.destroy(plan, account, number)
