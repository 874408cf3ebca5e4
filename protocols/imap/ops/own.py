"""Which changes of the account are this connection's own: nobody is told news of himself.

RFC 5465 5 and RFC 5464 4.4.2: a client need not be told of what its own commands did. A version
of the account is one command's, so the versions of one's own writes say it.
"""

from collections.abc import Sequence
from typing import TypeVar

from protocols.ports import Command, ReadOctets, Writer
from storage.ids import AccountId, BlobId
from storage.plan import Plan

R = TypeVar("R")


class NotedWriter:
    """Implements ports.Writer: another one, and `versions` of what it wrote, by account."""

    __slots__ = ("_versions", "_writer")

    def __init__(self, writer: Writer, versions: set[tuple[AccountId, int]]) -> None:
        self._writer = writer
        self._versions = versions

    async def write(
        self, account: AccountId, command: Command[R], *, blobs: Sequence[bytes] = ()
    ) -> R:
        """As ports.Writer."""
        version: int | None = None

        def noted(plan: Plan) -> R:
            nonlocal version  # the command may run again: what counts is its last run
            before = plan.version(account)
            result = command(plan)
            after = plan.version(account)
            version = after if after != before else None
            return result

        result = await self._writer.write(account, noted, blobs=blobs)
        if version is not None:
            self._versions.add((account, version))
        return result

    async def carry(self, blob: BlobId, octets: int, read: ReadOctets) -> None:
        """As ports.Writer."""
        await self._writer.carry(blob, octets, read)
