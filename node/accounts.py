"""Accounts as an operator makes and lists them, and the first ones of a new cluster."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from node import logs
from node.admin import AdminRefused
from node.config import BootstrapAccount
from node.passwords import PasswordInvalid, Passwords
from protocols.ports import AuthBusy, Reader, Unavailable, Writer
from storage import keys
from storage.accounts import (
    Account,
    AddressInvalid,
    AddressTaken,
    by_address,
    get_account,
    list_accounts,
    plan_create_account,
)
from storage.engine import Rows
from storage.ids import SYSTEM_ACCOUNT, AccountId, render_account
from storage.mail.mailboxes import counts, list_mailboxes, path, plan_defaults
from storage.mail.state import state
from storage.plan import Plan

# One answer of `account list`; a longer list says that it goes on.
ACCOUNTS_LISTED_MAX: Final = 10_000

log = logs.named("node.accounts")


def plan_account(plan: Plan, address: str, password_hash: str) -> AccountId:
    """A new account with its domain and its first mailboxes; raises as plan_create_account."""
    account = plan_create_account(plan, address, password_hash, make_domain=True)
    plan_defaults(plan, account)
    return account


class AccountDesk:
    """Answers the account calls of node/admin, by the same ports a door has."""

    def __init__(self, reader: Reader, writer: Writer, passwords: Passwords) -> None:
        self._reader = reader
        self._writer = writer
        self._passwords = passwords

    def calls(self) -> dict[str, Any]:
        """The calls by name."""
        return {"account.add": self.add, "account.list": self.list, "account.show": self.show}

    async def add(self, args: Mapping[str, Any]) -> Any:
        """Make an account: {address, password} -> {id, address}."""
        address, password = _text(args, "address"), _text(args, "password")
        try:
            hashed = await self._passwords.hash(password)
            account = await self._writer.write(
                SYSTEM_ACCOUNT, lambda plan: plan_account(plan, address, hashed)
            )
        except PasswordInvalid as error:
            raise AdminRefused(f"{error}: choose another.") from error
        except AddressInvalid as error:
            raise AdminRefused(f"{error}: write it as name@domain.") from error
        except AddressTaken as error:
            raise AdminRefused(f"{address} is taken already: choose another.") from error
        except (Unavailable, AuthBusy) as error:
            raise AdminRefused(_unavailable(error)) from error
        return {"id": render_account(account), "address": address}

    async def list(self, args: Mapping[str, Any]) -> Any:
        """Every account with what it holds."""
        rows = await self._view()
        found = list_accounts(rows)
        listed = [_summary(rows, account, held) for account, held in found[:ACCOUNTS_LISTED_MAX]]
        return {"accounts": listed, "more": len(found) - len(listed)}

    async def show(self, args: Mapping[str, Any]) -> Any:
        """One account with its mailboxes: {address}."""
        rows = await self._view()
        address = _text(args, "address")
        account = by_address(rows, address)
        held = None if account is None else get_account(rows, account)
        if account is None or held is None:
            raise AdminRefused(f"nobody has the address {address}: see trireme account list.")
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
            "created": held.created,
            "mailboxes": mailboxes,
        }

    async def _view(self) -> Rows:
        try:
            return await self._reader.view()
        except Unavailable as error:
            raise AdminRefused(_unavailable(error)) from error


def _summary(rows: Rows, account: AccountId, held: Account) -> dict[str, Any]:
    holds = state(rows, account)
    return {
        "id": render_account(account),
        "address": held.address,
        "emails": holds.emails,
        "octets": holds.octets,
    }


def _text(args: Mapping[str, Any], key: str) -> str:
    value = args.get(key)
    if not isinstance(value, str) or not value:
        raise AdminRefused(f"the call lacks a text '{key}': give one.")
    return value


def _unavailable(error: Exception) -> str:
    return f"the cluster cannot answer now ({error}): see trireme status, then try again."


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
    hashes = [await passwords.hash(account.password) for account in accounts]

    def plan_all(plan: Plan) -> bool:
        if plan.expect(keys.BOOTSTRAPPED_KEY) is not None:
            return False  # another node was first
        plan.put(keys.BOOTSTRAPPED_KEY, b"\x01")
        for account, hashed in zip(accounts, hashes, strict=True):
            if by_address(plan, account.address) is None:
                plan_account(plan, account.address, hashed)
        return True

    if await writer.write(SYSTEM_ACCOUNT, plan_all):
        log.info("accounts made", addresses=[account.address for account in accounts])
