"""The directory: domains, accounts, and which address is whose. Rows of the system account.

An address is one account's, as its own or as an alias, or one mailing list's (storage/lists.py).

A password is kept as the hash string its maker gives (PHC form); here it is opaque.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from storage import grants, keys, lists
from storage.addresses import AddressInvalid, fold_address, fold_domain
from storage.collection import Collection
from storage.engine import Rows
from storage.ids import SYSTEM_ACCOUNT, AccountId
from storage.indexes import Index
from storage.keys import TypeCode
from storage.plan import Plan

ALIASES_MAX: Final = 100


class AddressTaken(Exception):
    """An account or a mailing list has this address already."""


class AddressUnknown(Exception):
    """Nobody has this address."""


class DomainUnknown(Exception):
    """The address is in a domain this cluster does not serve."""


class AccountUnknown(KeyError):
    """No account has this id."""


class TooManyAliases(ValueError):
    """Over ALIASES_MAX."""


class Domain(msgspec.Struct, array_like=True, frozen=True):
    """A domain whose mail ends here. `created` in milliseconds since 1970; `catch_all` is who has
    the mail for addresses in it that nobody has, empty for nobody."""

    name: str
    created: int
    catch_all: str = ""


class Account(msgspec.Struct, array_like=True, frozen=True):
    """Someone's account. `quota` in octets of mail, None without bound; `created` as above."""

    address: str
    password: str
    aliases: tuple[str, ...]
    created: int
    quota: int | None
    scram: str = ""
    """What SCRAM needs of the same password (RFC 5803); "" when it was never made."""
    administrator: bool = False
    """May limit other accounts' mail; gives no right to any mail."""


def _addresses(account: Account) -> list[bytes]:
    return [address.encode() for address in (account.address, *account.aliases)]


_DOMAIN_NAME: Final[Index[Domain]] = Index(
    1, "domain", lambda domain: [domain.name.encode()], unique=True
)
_ADDRESS: Final[Index[Account]] = Index(1, "address", _addresses, unique=True)
DOMAINS: Final = Collection(TypeCode.DOMAIN, Domain, [_DOMAIN_NAME])
ACCOUNTS: Final = Collection(TypeCode.ACCOUNT, Account, [_ADDRESS])


def by_address(rows: Rows, address: str) -> AccountId | None:
    """Whose the address or alias is; None for nobody's and for what is no address."""
    try:
        folded = fold_address(address)
    except AddressInvalid:
        return None
    number = ACCOUNTS.find(rows, SYSTEM_ACCOUNT, _ADDRESS, folded.encode())
    return None if number is None else AccountId(number)


def get_account(rows: Rows, account: AccountId) -> Account | None:
    """The account's record."""
    return ACCOUNTS.get(rows, SYSTEM_ACCOUNT, account)


def is_administrator(rows: Rows, account: AccountId) -> bool:
    """Whether the account may do now what administrators may."""
    held = get_account(rows, account)
    return held is not None and held.administrator


def plan_as_administrator(plan: Plan, account: AccountId) -> bool:
    """`is_administrator`, and what is planned comes to nothing if the right goes meanwhile."""
    plan.expect(keys.record_key(SYSTEM_ACCOUNT, TypeCode.ACCOUNT, account))
    return is_administrator(plan, account)


def list_accounts(rows: Rows) -> list[tuple[AccountId, Account]]:
    """Every account in order of id."""
    return [(AccountId(number), held) for number, held in ACCOUNTS.walk(rows, SYSTEM_ACCOUNT)]


def has_domain(rows: Rows, name: str) -> bool:
    """Does this cluster serve the domain."""
    try:
        folded = fold_domain(name)
    except AddressInvalid:
        return False
    return DOMAINS.find(rows, SYSTEM_ACCOUNT, _DOMAIN_NAME, folded.encode()) is not None


def catch_all(rows: Rows, domain: str) -> str:
    """Whose the mail is for addresses of the domain that nobody has; empty for nobody's."""
    try:
        folded = fold_domain(domain)
    except AddressInvalid:
        return ""
    number = DOMAINS.find(rows, SYSTEM_ACCOUNT, _DOMAIN_NAME, folded.encode())
    held = None if number is None else DOMAINS.get(rows, SYSTEM_ACCOUNT, number)
    return "" if held is None else held.catch_all


def list_domains(rows: Rows) -> list[Domain]:
    """Every domain in the order they were made."""
    return [domain for _, domain in DOMAINS.walk(rows, SYSTEM_ACCOUNT)]


def plan_create_domain(plan: Plan, name: str) -> None:
    """Serve a domain; one that is served already stays as it is. Raises AddressInvalid."""
    if not has_domain(plan, folded := fold_domain(name)):
        DOMAINS.create(plan, SYSTEM_ACCOUNT, Domain(folded, plan.now_ms))


def plan_set_catch_all(plan: Plan, name: str, address: str) -> None:
    """Give a domain's mail for unknown addresses to an account or a list; "" to nobody.

    Raises AddressInvalid, DomainUnknown, AddressUnknown.
    """
    folded = fold_domain(name)
    number = DOMAINS.find(plan, SYSTEM_ACCOUNT, _DOMAIN_NAME, folded.encode())
    held = None if number is None else DOMAINS.get(plan, SYSTEM_ACCOUNT, number)
    if number is None or held is None:
        raise DomainUnknown(folded)
    to = fold_address(address) if address else ""
    if to and not _is_taken(plan, to, None):
        raise AddressUnknown(to)
    DOMAINS.update(plan, SYSTEM_ACCOUNT, number, msgspec.structs.replace(held, catch_all=to))


def plan_create_list(plan: Plan, address: str, members: Sequence[str]) -> int:
    """Make a mailing list in a domain of ours; its number.

    Raises AddressInvalid, AddressTaken, DomainUnknown, lists.TooManyMembers.
    """
    folded = fold_address(address)
    _check_free(plan, folded, None)
    return lists.plan_create(plan, folded, members)


def plan_create_account(
    plan: Plan,
    address: str,
    password_hash: str,
    *,
    scram: str = "",
    aliases: Sequence[str] = (),
    quota: int | None = None,
    administrator: bool = False,
    make_domain: bool = False,
) -> AccountId:
    """Make an account; `make_domain` also makes the domains its addresses need.

    Raises AddressInvalid, AddressTaken, DomainUnknown, TooManyAliases. The caller plans the
    account's mailboxes (storage.mail.mailboxes.plan_defaults) in the same command.
    """
    folded = fold_address(address)
    others = _fold_aliases(folded, aliases)
    for each in (folded, *others):
        domain = each.rpartition("@")[2]
        if make_domain:
            plan_create_domain(plan, domain)
        _check_free(plan, each, None)
    record = Account(folded, password_hash, others, plan.now_ms, quota, scram, administrator)
    return AccountId(ACCOUNTS.create(plan, SYSTEM_ACCOUNT, record))


def plan_set_password(
    plan: Plan, account: AccountId, password_hash: str, *, scram: str = ""
) -> None:
    """Replace the password in both its forms; raises AccountUnknown.

    Clients that were let in by the old one are in no longer (storage/grants.py).
    """
    grants.plan_revoke_all(plan, account)
    _update(plan, account, password=password_hash, scram=scram)


def plan_set_quota(plan: Plan, account: AccountId, quota: int | None) -> None:
    """Keep what is allowed; storage.mail.quota enforces it. Raises AccountUnknown."""
    _update(plan, account, quota=quota)


def plan_set_administrator(plan: Plan, account: AccountId, administrator: bool) -> None:
    """Make him an administrator, or one no more. Raises AccountUnknown."""
    _update(plan, account, administrator=administrator)


def plan_set_aliases(plan: Plan, account: AccountId, aliases: Sequence[str]) -> None:
    """Replace the aliases; raises as plan_create_account, and AccountUnknown."""
    held = get_account(plan, account)
    if held is None:
        raise AccountUnknown(account)
    others = _fold_aliases(held.address, aliases)
    for each in others:
        _check_free(plan, each, account)
    _update(plan, account, aliases=others)


def _fold_aliases(address: str, aliases: Sequence[str]) -> tuple[str, ...]:
    if len(aliases) > ALIASES_MAX:
        raise TooManyAliases(f"more than {ALIASES_MAX} aliases")
    return tuple(sorted({fold_address(alias) for alias in aliases} - {address}))


def _check_free(plan: Plan, address: str, holder: AccountId | None) -> None:
    if not has_domain(plan, domain := address.rpartition("@")[2]):
        raise DomainUnknown(domain)
    if _is_taken(plan, address, holder):
        raise AddressTaken(address)


def _is_taken(plan: Plan, address: str, holder: AccountId | None) -> bool:
    """Does somebody else have it."""
    if by_address(plan, address) not in (None, holder):
        return True
    return lists.by_address(plan, address) is not None


def _update(plan: Plan, account: AccountId, **fields: object) -> None:
    held = get_account(plan, account)
    if held is None:
        raise AccountUnknown(account)
    ACCOUNTS.update(plan, SYSTEM_ACCOUNT, account, msgspec.structs.replace(held, **fields))
