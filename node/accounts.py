"""Accounts as an operator makes and lists them, and the first ones of a new cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from node import logs
from node.admin import AdminRefused, choice_of, text_of, texts_of, unavailable
from node.config import BootstrapAccount
from node.passwords import PasswordInvalid, Passwords
from protocols.ports import AuthBusy, Reader, Unavailable, Writer
from storage import keys
from storage.accounts import (
    Account,
    AddressTaken,
    DomainUnknown,
    TooManyAliases,
    by_address,
    get_account,
    list_accounts,
    plan_create_account,
    plan_set_administrator,
    plan_set_password,
    plan_set_quota,
)
from storage.addresses import AddressInvalid, fold_address
from storage.engine import Rows
from storage.identities import plan_set_aliases
from storage.ids import SYSTEM_ACCOUNT, AccountId, render_account
from storage.mail.mailboxes import counts, list_mailboxes, path, plan_defaults
from storage.mail.quota import (
    LIMIT_MAX,
    limits,
    plan_limit,
    plan_mailboxes_limit,
    plan_messages_limit,
)
from storage.mail.state import state
from storage.mail.tree import MAILBOXES_MAX
from storage.plan import Plan

# One answer of `account list`; a longer list says that it goes on.
ACCOUNTS_LISTED_MAX: Final = 10_000

log = logs.named("node.accounts")


def plan_account(
    plan: Plan, address: str, password_hash: str, scram: str, *, administrator: bool = False
) -> AccountId:
    """A new account with its domain and its first mailboxes; raises as plan_create_account."""
    account = plan_create_account(
        plan, address, password_hash, scram=scram, administrator=administrator, make_domain=True
    )
    plan_defaults(plan, account)
    return account


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be changed of an account: aliases added and removed, limits (0: none; None: as
    they are), a new password in both its forms, hash and SCRAM's keys, and whether he shall be an
    administrator (None: as it is)."""

    add: Sequence[str]
    remove: Sequence[str]
    quota: int | None
    messages: int | None
    mailboxes: int | None
    password: tuple[str, str] | None
    administrator: bool | None


def plan_changed(plan: Plan, address: str, changes: Changes) -> dict[str, Any]:
    """Change an account; what it has then. Raises AdminRefused too."""
    account = by_address(plan, address)
    held = None if account is None else get_account(plan, account)
    if account is None or held is None:
        raise AdminRefused(_nobody(address))
    add, quota, messages = changes.add, changes.quota, changes.messages
    gone = {fold_address(alias) for alias in changes.remove}
    if unknown := gone - set(held.aliases):
        raise AdminRefused(f"{min(unknown)} is no alias of {held.address}: see account show.")
    if changes.password is not None:
        hashed, scram = changes.password
        plan_set_password(plan, account, hashed, scram=scram)
    if add or gone:
        kept = [alias for alias in held.aliases if alias not in gone]
        plan_set_aliases(plan, account, [*kept, *add])
    if quota is not None:
        plan_set_quota(plan, account, quota or None)
        plan_limit(plan, account, quota)
    if messages is not None:
        plan_messages_limit(plan, account, messages)
    if changes.mailboxes is not None:
        plan_mailboxes_limit(plan, account, changes.mailboxes)
    if changes.administrator is not None:
        plan_set_administrator(plan, account, changes.administrator)
    after = get_account(plan, account)
    assert after is not None, account
    return {
        "address": after.address,
        "aliases": list(after.aliases),
        "quota": after.quota,
        **_other_limits(plan, account),
        "administrator": after.administrator,
    }


def _other_limits(rows: Rows, account: AccountId) -> dict[str, Any]:
    held = limits(rows, account)
    return {"messages": held.messages, "mailbox_limit": held.mailboxes}


class AccountDesk:
    """Answers the account calls of node/admin, by the same ports a door has."""

    def __init__(self, reader: Reader, writer: Writer, passwords: Passwords) -> None:
        self._reader = reader
        self._writer = writer
        self._passwords = passwords

    def calls(self) -> dict[str, Any]:
        """The calls by name."""
        return {
            "account.add": self.add,
            "account.list": self.list,
            "account.show": self.show,
            "account.update": self.update,
        }

    async def add(self, args: Mapping[str, Any]) -> Any:
        """Make an account: {address, password, administrator} -> {id, address, administrator}."""
        address, password = text_of(args, "address"), text_of(args, "password")
        administrator = choice_of(args, "administrator") or False
        hashed, scram = await self._forms_of(password)
        try:
            account = await self._writer.write(
                SYSTEM_ACCOUNT,
                lambda plan: plan_account(
                    plan, address, hashed, scram, administrator=administrator
                ),
            )
        except AddressInvalid as error:
            raise AdminRefused(f"{error}: write it as name@domain.") from error
        except AddressTaken as error:
            raise AdminRefused(f"{address} is taken already: choose another.") from error
        except Unavailable as error:
            raise AdminRefused(unavailable(error)) from error
        return {
            "id": render_account(account),
            "address": address,
            "administrator": administrator,
        }

    async def _forms_of(self, password: str) -> tuple[str, str]:
        """A password's hash and SCRAM's keys of it; raises AdminRefused."""
        try:
            return await self._passwords.hash(password), await self._passwords.scram(password)
        except PasswordInvalid as error:
            raise AdminRefused(f"{error}: choose another.") from error
        except AuthBusy as error:
            raise AdminRefused(unavailable(error)) from error

    async def update(self, args: Mapping[str, Any]) -> Any:
        """Change an account: {address, add, remove, quota, messages, mailbox_limit, password,
        administrator} -> {address, aliases, quota, messages, mailbox_limit, administrator}.

        `add` and `remove` are aliases; `quota` octets of mail, `messages` how many, each 0
        without bound, and `mailbox_limit` 0 with ours alone; what is missing stays as it is.
        """
        address = text_of(args, "address")
        changes = Changes(
            add=texts_of(args, "add"),
            remove=texts_of(args, "remove"),
            quota=_limit_of(args, "quota", "octets"),
            messages=_limit_of(args, "messages", "messages"),
            mailboxes=_limit_of(args, "mailbox_limit", "mailboxes", MAILBOXES_MAX),
            administrator=choice_of(args, "administrator"),
            password=None
            if args.get("password") is None
            else await self._forms_of(text_of(args, "password")),
        )
        try:
            return await self._writer.write(
                SYSTEM_ACCOUNT, lambda plan: plan_changed(plan, address, changes)
            )
        except AddressInvalid as error:
            raise AdminRefused(f"{error}: write it as name@domain.") from error
        except AddressTaken as error:
            raise AdminRefused(f"{error} is taken already: choose another.") from error
        except DomainUnknown as error:
            raise AdminRefused(
                f"{error} is no domain of this cluster: add an account in it first."
            ) from error
        except TooManyAliases as error:
            raise AdminRefused(f"an account has {error}: remove some.") from error
        except Unavailable as error:
            raise AdminRefused(unavailable(error)) from error

    async def list(self, args: Mapping[str, Any]) -> Any:
        """Every account with what it holds."""
        rows = await self._view()
        found = list_accounts(rows)
        listed = [_summary(rows, account, held) for account, held in found[:ACCOUNTS_LISTED_MAX]]
        return {"accounts": listed, "more": len(found) - len(listed)}

    async def show(self, args: Mapping[str, Any]) -> Any:
        """One account with its mailboxes: {address}."""
        rows = await self._view()
        address = text_of(args, "address")
        account = by_address(rows, address)
        held = None if account is None else get_account(rows, account)
        if account is None or held is None:
            raise AdminRefused(_nobody(address))
        mailboxes = []
        for mailbox in list_mailboxes(rows, account):
            held_here = counts(rows, account, mailbox.id)
            mailboxes.append(
                {
                    "path": "/".join(path(rows, account, mailbox.id)),
                    "emails": held_here.emails,
                    "unread": held_here.unread,
                }
            )
        return _summary(rows, account, held) | {
            "aliases": list(held.aliases),
            "quota": held.quota,
            **_other_limits(rows, account),
            "created": held.created,
            "mailboxes": mailboxes,
        }

    async def _view(self) -> Rows:
        try:
            return await self._reader.view()
        except Unavailable as error:
            raise AdminRefused(unavailable(error)) from error


def _limit_of(args: Mapping[str, Any], name: str, unit: str, most: int = LIMIT_MAX) -> int | None:
    """A limit that a call sets, 0 for none; None: it sets none. Raises AdminRefused."""
    limit = args.get(name)
    if limit is None or (type(limit) is int and 0 <= limit <= most):
        return limit
    raise AdminRefused(f"a quota has at most {most} {unit}: give fewer.")


def _summary(rows: Rows, account: AccountId, held: Account) -> dict[str, Any]:
    holds = state(rows, account)
    return {
        "id": render_account(account),
        "address": held.address,
        "emails": holds.emails,
        "octets": holds.octets,
        "administrator": held.administrator,
    }


def _nobody(address: str) -> str:
    return f"nobody has the address {address}: see trireme account list."


def is_bootstrapped(accounts: Sequence[BootstrapAccount], rows: Rows) -> bool:
    """Whether the file's accounts have been made, or there are none to make."""
    return not accounts or rows.get(keys.BOOTSTRAPPED_KEY) is not None


async def bootstrap(
    accounts: Sequence[BootstrapAccount], reader: Reader, writer: Writer, passwords: Passwords
) -> None:
    """Make the file's accounts when the cluster first forms: once for all nodes and restarts.

    Raises Unavailable and AuthBusy: try again.
    """
    if is_bootstrapped(accounts, await reader.view()):
        return
    hashes = [
        (await passwords.hash(account.password), await passwords.scram(account.password))
        for account in accounts
    ]

    def plan_all(plan: Plan) -> bool:
        if plan.expect(keys.BOOTSTRAPPED_KEY) is not None:
            return False  # another node was first
        plan.put(keys.BOOTSTRAPPED_KEY, b"\x01")
        for account, (hashed, scram) in zip(accounts, hashes, strict=True):
            if by_address(plan, account.address) is None:
                plan_account(
                    plan, account.address, hashed, scram, administrator=account.administrator
                )
        return True

    if await writer.write(SYSTEM_ACCOUNT, plan_all):
        log.info("accounts made", addresses=[account.address for account in accounts])
