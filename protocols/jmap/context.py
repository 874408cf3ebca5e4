"""What a method is given beside its arguments: who asks, the ports, a view, ids made so far."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from protocols.jmap.capabilities import Limits
from protocols.jmap.errors import MethodError
from protocols.jmap.fragments import FragmentCache
from protocols.jmap.values import Arguments
from protocols.ports import Ports, Principal
from storage.ids import AccountId
from storage.mail.columns import ColumnCache
from storage.plan import Plan
from storage.view import View

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Caller:
    """One request's asker and what the house lends. `pause` lets other tasks run; `columns` and
    `fragments` are kept from one request to the next."""

    principal: Principal
    ports: Ports
    limits: Limits
    pause: Callable[[], Awaitable[None]]
    columns: ColumnCache
    fragments: FragmentCache


@dataclass(slots=True)
class Context:
    """The state of one API request while its calls run in order."""

    caller: Caller
    rows: View
    """Shows every write acknowledged before the request, and the request's own."""
    created_ids: dict[str, str]
    """Creation ids to ids, across the calls of the request (RFC 8620 3.3)."""
    using: frozenset[str] = frozenset()
    """The capabilities the client asked for."""
    _implied: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def imply(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Another method runs after this one, and answers under the same call id.

        RFC 8621 7.5 (onSuccessUpdateEmail), RFC 8620 5.4 (onSuccessDestroyOriginal).
        """
        self._implied.append((name, arguments))

    def take_implied(self) -> list[tuple[str, Mapping[str, Any]]]:
        """What the call that just ran implies; it is forgotten."""
        implied, self._implied = self._implied, []
        return implied

    @property
    def ports(self) -> Ports:
        """What the house lends."""
        return self.caller.ports

    @property
    def limits(self) -> Limits:
        """The bounds the session resource tells."""
        return self.caller.limits

    def account(
        self, arguments: Arguments, name: str = "accountId", *, missing: str = "accountNotFound"
    ) -> AccountId:
        """An account the call names; raises MethodError `missing` for what is not the asker's."""
        account = arguments.text_account(name)
        principal = self.caller.principal
        if account is None or (account != principal.account and account not in principal.lent):
            raise MethodError(missing)
        return account

    def resolve(self, text: str) -> str:
        """An id, or the id that a `#creation` reference stands for; itself when unknown."""
        return self.created_ids.get(text[1:], text) if text.startswith("#") else text

    def refresh(self) -> None:
        """The calls after this see what others did for this one."""
        self.rows = self.ports.reader.local()

    async def write(
        self, account: AccountId, command: Callable[[Plan], R], *, blobs: Sequence[bytes] = ()
    ) -> R:
        """Run a command; the calls after this one see what it did."""
        result = await self.ports.writer.write(account, command, blobs=blobs)
        self.refresh()
        return result
