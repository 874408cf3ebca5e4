"""Mailing lists and domains as an operator makes, changes and lists them."""

from collections.abc import Mapping
from typing import Any, TypeVar

from node.admin import AdminRefused, text_of, texts_of, unavailable
from protocols.ports import Command, Reader, Unavailable, Writer
from storage.accounts import (
    AddressTaken,
    AddressUnknown,
    DomainUnknown,
    list_domains,
    plan_create_domain,
    plan_create_list,
    plan_set_catch_all,
)
from storage.addresses import AddressInvalid, fold_address
from storage.engine import Rows
from storage.ids import SYSTEM_ACCOUNT
from storage.lists import (
    ListUnknown,
    MailingList,
    TooManyMembers,
    by_address,
    list_all,
    plan_destroy,
    plan_set_members,
)
from storage.plan import Plan

R = TypeVar("R")


class ListDesk:
    """Answers the calls of node/admin about lists and domains, by the same ports a door has."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer

    def calls(self) -> dict[str, Any]:
        """The calls by name."""
        return {
            "list.add": self.add,
            "list.list": self.list,
            "list.show": self.show,
            "list.update": self.update,
            "list.delete": self.delete,
            "domain.add": self.add_domain,
            "domain.list": self.domains,
            "domain.update": self.update_domain,
        }

    async def add(self, args: Mapping[str, Any]) -> Any:
        """Make a list: {address, members} -> as `show`."""
        address, members = text_of(args, "address"), texts_of(args, "members")

        def command(plan: Plan) -> dict[str, Any]:
            plan_create_list(plan, address, members)
            return _shown(plan, address)

        return await self._write(command)

    async def update(self, args: Mapping[str, Any]) -> Any:
        """Change who is in a list: {address, add, remove} -> as `show`."""
        address = text_of(args, "address")
        add, remove = texts_of(args, "add"), texts_of(args, "remove")

        def command(plan: Plan) -> dict[str, Any]:
            held = _held(plan, address)
            gone = {fold_address(each) for each in remove}
            if unknown := gone - set(held.members):
                raise AdminRefused(f"{min(unknown)} is not in {held.address}: see list show.")
            kept = [member for member in held.members if member not in gone]
            plan_set_members(plan, address, [*kept, *add])
            return _shown(plan, address)

        return await self._write(command)

    async def delete(self, args: Mapping[str, Any]) -> Any:
        """Remove a list: {address} -> {address}."""
        address = text_of(args, "address")
        await self._write(lambda plan: plan_destroy(plan, address))
        return {"address": address}

    async def list(self, args: Mapping[str, Any]) -> Any:
        """Every list, and how many are in it."""
        found = list_all(await self._view())
        return {"lists": [{"address": e.address, "members": len(e.members)} for e in found]}

    async def show(self, args: Mapping[str, Any]) -> Any:
        """A list: {address} -> {address, members, created}."""
        return _shown(await self._view(), text_of(args, "address"))

    async def add_domain(self, args: Mapping[str, Any]) -> Any:
        """Serve a domain: {domain} -> {domain}."""
        domain = text_of(args, "domain")
        await self._write(lambda plan: plan_create_domain(plan, domain))
        return {"domain": domain}

    async def domains(self, args: Mapping[str, Any]) -> Any:
        """Every domain, and who has the mail for unknown addresses in it."""
        found = list_domains(await self._view())
        return {"domains": [{"domain": e.name, "catchAll": e.catch_all or None} for e in found]}

    async def update_domain(self, args: Mapping[str, Any]) -> Any:
        """Give mail for unknown addresses to somebody: {domain, catchAll: address or ""}."""
        domain, to = text_of(args, "domain"), args.get("catchAll")
        if not isinstance(to, str):
            raise AdminRefused("the call lacks a text 'catchAll': give one.")
        await self._write(lambda plan: plan_set_catch_all(plan, domain, to))
        return {"domain": domain, "catchAll": to or None}

    async def _view(self) -> Rows:
        try:
            return await self._reader.view()
        except Unavailable as error:
            raise AdminRefused(unavailable(error)) from error

    async def _write(self, command: Command[R]) -> R:
        try:
            return await self._writer.write(SYSTEM_ACCOUNT, command)
        except AddressInvalid as error:
            raise AdminRefused(f"{error}: write it as name@domain.") from error
        except AddressTaken as error:
            raise AdminRefused(f"{error} is taken already: choose another.") from error
        except AddressUnknown as error:
            raise AdminRefused(
                f"nobody has the address {error}: name an account or list."
            ) from error
        except DomainUnknown as error:
            raise AdminRefused(f"{error} is no domain of this cluster: add it first.") from error
        except TooManyMembers as error:
            raise AdminRefused(f"{error}: put some into a list in this list.") from error
        except ListUnknown as error:
            raise AdminRefused(_no_list(str(error.args[0]))) from error
        except Unavailable as error:
            raise AdminRefused(unavailable(error)) from error


def _held(rows: Rows, address: str) -> MailingList:
    held = by_address(rows, address)
    if held is None:
        raise AdminRefused(_no_list(address))
    return held


def _shown(rows: Rows, address: str) -> dict[str, Any]:
    held = _held(rows, address)
    return {"address": held.address, "members": list(held.members), "created": held.created}


def _no_list(address: str) -> str:
    return f"no list has the address {address}: see trireme list list."
