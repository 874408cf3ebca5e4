"""RFC 8620 6.1: upload, streamed; bounded in octets, in memory and on disk, and in how many run.

A blob's name is the digest of all of it, so nothing can go to the other nodes before the last
octet is here. Until then a small upload waits in memory and a larger one in a spool file; from
there it travels part by part, so that it never takes more memory than a few parts.
"""

import hashlib
import re
from typing import BinaryIO, Final

import msgspec

from protocols.http.auth import Guard, busy, unavailable
from protocols.http.gates import Gate, GateFull, Room, Tenant
from protocols.http.requests import (
    BodyTooLarge,
    Request,
    Response,
    problem,
    problem_document,
)
from protocols.jmap.capabilities import Limits
from protocols.jmap.errors import OVER_QUOTA, RequestError, over_limit
from protocols.ports import Ports, Unavailable
from storage.ids import AccountId, BlobId, parse_account, render_blob
from storage.keys import blob_key
from storage.mail.errors import OverQuota
from storage.mail.quota import check_room
from storage.plan import Plan
from storage.uploads import plan_upload

TYPE_DEFAULT: Final = "application/octet-stream"
# From so many octets on an upload goes into a spool file: what a batch of the log carries along.
SPOOLED_FROM_OCTETS: Final = 512 * 1024

_PRINTABLE: Final = re.compile(r"[\x20-\x7e]{1,255}\Z", re.ASCII)


class Uploads:
    """POST /jmap/upload/{accountId}/."""

    def __init__(
        self,
        ports: Ports,
        guard: Guard,
        limits: Limits,
        *,
        memory_octets_max: int,
        spooled_octets_max: int,
    ) -> None:
        self._ports = ports
        self._guard = guard
        self._limits = limits
        self._running = Gate(limits.uploads_max)
        self._memory = Room(memory_octets_max)
        self._disk = Room(spooled_octets_max)

    async def upload(self, request: Request) -> Response:
        """RFC 8620 6.1."""
        principal = await self._guard.admit(request)
        segments = request.path.split("/")
        if len(segments) != 5 or segments[4] or parse_account(segments[3]) != principal.account:
            return problem(404, "there is no such account")
        await self._running.place(principal.account)
        try:
            with self._running.enter(principal.account):
                return await self._receive(request, principal.account)
        except GateFull:
            refusal = over_limit(
                "maxConcurrentUpload",
                f"more than {self._limits.uploads_max} uploads at once",
                status=429,
            )
        except BodyTooLarge:
            refusal = over_limit(
                "maxSizeUpload", f"over {self._limits.upload_bytes_max} octets", status=413
            )
        except OverQuota:
            refusal = RequestError(OVER_QUOTA, 413, "the account has no room for so much")
        except (Unavailable, OSError):  # OSError: the disk takes no more of the spool
            return unavailable()
        return problem_document(refusal.document())

    async def _receive(self, request: Request, account: AccountId) -> Response:
        check_room(self._ports.reader.local(), account, request.announced or 0)
        with (
            self._memory.tenant() as memory,
            self._disk.tenant() as disk,
            _Incoming(self._ports, memory, disk) as incoming,
        ):
            try:
                async for piece in request.chunks(self._limits.upload_bytes_max):
                    incoming.add(piece)
            except GateFull:
                return busy("too many uploads at once")
            blob = await self._keep(incoming, account)
            told = {
                "accountId": f"a{account}",
                "blobId": render_blob(blob),
                "type": _media_type(request.header(b"content-type")),
                "size": incoming.octets,
            }
        return Response(201, body=msgspec.json.encode(told))

    async def _keep(self, incoming: "_Incoming", account: AccountId) -> BlobId:
        blob, octets, data = incoming.blob, incoming.octets, incoming.in_memory
        kept_max = self._limits.uploads_kept_max

        def command(plan: Plan) -> None:
            check_room(plan, account, octets)
            if data is None and plan.expect(blob_key(blob)) is None:
                raise Unavailable("the blob was collected before it was held")
            plan_upload(plan, account, blob, octets, octets_max=kept_max)

        if data is None:
            await self._ports.writer.carry(blob, octets, incoming.read)
        await self._ports.writer.write(account, command, blobs=() if data is None else (data,))
        return blob


class _Incoming:
    """The octets of one upload: in memory while they are few, in a spool file from then on."""

    def __init__(self, ports: Ports, memory: Tenant, disk: Tenant) -> None:
        self._open_spool = ports.spool
        self._memory = memory
        self._disk = disk
        self._digest = hashlib.sha256()
        self._pieces: list[bytes] = []
        self._spool: BinaryIO | None = None
        self.octets = 0
        """How many came."""

    def __enter__(self) -> "_Incoming":
        return self

    def __exit__(self, *_: object) -> None:
        if self._spool is not None:
            self._spool.close()

    def add(self, piece: bytes) -> None:
        """The next octets; raises GateFull, OSError."""
        self.octets += len(piece)
        self._digest.update(piece)
        if self._spool is None and self.octets > SPOOLED_FROM_OCTETS:
            self._spool = self._open_spool()
            for held in self._pieces:
                self._spool.write(held)
            self._pieces.clear()
        if self._spool is None:
            self._memory.grow(self.octets)
            self._pieces.append(piece)
        else:
            self._disk.grow(self.octets)
            self._spool.write(piece)

    @property
    def blob(self) -> BlobId:
        """The name of all that came."""
        return BlobId(self._digest.digest())

    @property
    def in_memory(self) -> bytes | None:
        """All that came, None when it is in the spool."""
        return b"".join(self._pieces) if self._spool is None else None

    def read(self, start: int, length: int) -> bytes:
        """Octets out of the spool."""
        assert self._spool is not None, start
        self._spool.seek(start)
        return self._spool.read(length)


def _media_type(header: str) -> str:
    """The type of an upload as the client gave it, never sniffed."""
    return header.strip() if _PRINTABLE.match(header.strip()) else TYPE_DEFAULT
