"""What an operator sees and takes back of what users have let programs do (storage/grants.py)."""

from collections.abc import Mapping
from typing import Any

from node.admin import AdminRefused, choice_of, text_of, texts_of, unavailable
from protocols.ports import Reader, Unavailable, Writer
from storage.accounts import by_address
from storage.engine import Rows
from storage.grants import list_grants, plan_revoke, plan_revoke_all
from storage.ids import SYSTEM_ACCOUNT, AccountId
from storage.oauth_rows import Grant
from storage.plan import Plan


class GrantDesk:
    """Answers the grant calls of node/admin, by the same ports a door has."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer

    def calls(self) -> dict[str, Any]:
        """The calls by name."""
        return {"grant.list": self.list, "grant.revoke": self.revoke}

    async def list(self, args: Mapping[str, Any]) -> Any:
        """An account's: {address} -> {grants: [{id, program, client, scopes, created, used,
        ends}]}, times in milliseconds since 1970; `used` is when it last got tokens."""
        try:
            rows = await self._reader.view()
        except Unavailable as error:
            raise AdminRefused(unavailable(error)) from error
        account = _account(rows, text_of(args, "address"))
        return {"grants": [_told(number, grant) for number, grant in list_grants(rows, account)]}

    async def revoke(self, args: Mapping[str, Any]) -> Any:
        """Take back: {address, ids, all} -> {revoked: how many}. Their tokens are refused from then
        on, on every node."""
        address, ids = text_of(args, "address"), texts_of(args, "ids")
        everything = choice_of(args, "all") or False
        if bool(ids) == everything:
            raise AdminRefused("say which to revoke: ids, or all: see trireme grant list.")
        try:
            revoked = await self._writer.write(
                SYSTEM_ACCOUNT, lambda plan: _plan_revoked(plan, address, ids)
            )
        except Unavailable as error:
            raise AdminRefused(unavailable(error)) from error
        return {"revoked": revoked}


def _plan_revoked(plan: Plan, address: str, ids: list[str]) -> int:
    """Revoke these, or all if none is named: all of them or nothing. Raises AdminRefused."""
    account = _account(plan, address)
    if not ids:
        return plan_revoke_all(plan, account)
    numbers = {_render(number): number for number, _ in list_grants(plan, account)}
    for each in dict.fromkeys(ids):
        if each not in numbers or not plan_revoke(plan, account, numbers[each]):
            raise AdminRefused(f"{address} has no grant {each}: see trireme grant list {address}.")
    return len(set(ids))


def _told(number: int, grant: Grant) -> dict[str, Any]:
    return {
        "id": _render(number),
        "program": grant.client_name,
        "client": grant.client,
        "scopes": list(grant.scopes),
        "created": grant.created_ms,
        "used": grant.used_ms,
        "ends": grant.ends_ms,
    }


def _render(number: int) -> str:
    """A grant's number as people copy it."""
    return f"{number:016x}"


def _account(rows: Rows, address: str) -> AccountId:
    account = by_address(rows, address)
    if account is None:
        raise AdminRefused(f"nobody has the address {address}: see trireme account list.")
    return account
