"""Giving this node's state to another that needs it: a snapshot in a spool file, piece by piece.

One snapshot is held at a time, for all who ask; whoever loses a connection goes on where it was.
It is copied out as fast as a thread can, so that the engine is frozen shortly, and given out at a
bounded rate, so that mail and consensus keep their share of the wire. Unused, it is dropped.
"""

import zlib
from dataclasses import dataclass
from typing import Final

import trio

from node import logs
from node.env import RunBlocking
from node.machine import Machine
from node.rpc.calls import (
    SnapshotBytes,
    SnapshotOpen,
    SnapshotOpened,
    SnapshotParts,
    SnapshotPartsAnswer,
    SnapshotRows,
)
from node.rpc.errors import CallRefused
from raft import Transfers, encode_membership
from storage.blobs import BlobDamaged
from storage.engine import EngineRefused
from storage.ids import BlobId
from storage.opening import StateHome
from storage.scrub import is_named
from storage.snapshot import Export, SnapshotHead

KIB: Final = 1024
MIB: Final = 1024 * KIB

# One piece of the stream, or as many blob parts as come to this: a heartbeat waits behind it.
PIECE_BYTES: Final = 256 * KIB
# Parts that may be asked for at once; most mail has one part of a few KiB.
PARTS_MAX: Final = 64
# For all who fetch together.
GIVEN_BYTES_PER_S: Final = 32 * MIB
# A snapshot nobody has asked for in this time is dropped, and the log need not wait for it.
IDLE_S: Final = 60.0
SWEEP_S: Final = 5.0

log = logs.named("node.snapshot_desk")


@dataclass(slots=True)
class _Held:
    """A snapshot that may be asked for."""

    number: int
    export: Export
    head: SnapshotHead
    membership: bytes
    seen_term: int
    used_s: float


class SnapshotDesk:
    """Answers the three calls of a node that fetches a snapshot."""

    def __init__(
        self, machine: Machine, transfers: Transfers, home: StateHome, run_blocking: RunBlocking
    ) -> None:
        self._machine = machine
        self._transfers = transfers
        self._home = home
        self._run_blocking = run_blocking
        self._held: _Held | None = None
        self._number = 0
        self._is_taking = False
        self._free_s = 0.0
        self._lock = trio.Lock()

    @property
    def in_use(self) -> int | None:
        """The index of the snapshot that is being fetched: the log must go on from there."""
        held = self._held
        return None if held is None else held.export.index

    @property
    def is_giving(self) -> bool:
        """A snapshot is held or being taken: whoever fetches it asks for what its rows name."""
        return self._is_taking or self._held is not None

    async def run(self) -> None:
        """Drop what nobody asks for, until cancelled."""
        while True:
            await trio.sleep(SWEEP_S)
            if self._held is not None and trio.current_time() - self._held.used_s > IDLE_S:
                await self.drop()

    async def drop(self) -> None:
        """Free the snapshot; whoever fetches it begins anew. Before the state is replaced, too."""
        async with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._held is not None:
            self._held.export.close()
            self._held = None

    async def open(self, call: SnapshotOpen) -> SnapshotOpened:
        """A snapshot of at least that index; made now if there is none. Raises CallRefused."""
        async with self._lock:
            held = self._held
            if held is None or held.export.index < call.at_least or not self._goes_on(held):
                held = await self._take(call.at_least)
            held.used_s = trio.current_time()
        head = held.head
        return SnapshotOpened(
            number=held.number,
            index=head.index,
            term=head.term,
            chain=head.chain,
            rows=head.rows,
            octets=head.octets,
            digest=head.digest,
            seen_term=held.seen_term,
            membership=held.membership,
        )

    def _goes_on(self, held: _Held) -> bool:
        """Our log still has what follows it."""
        return held.export.index >= self._transfers.start

    async def _take(self, at_least: int) -> _Held:
        applier = self._machine.state.applier
        if applier.index < max(at_least, self._transfers.start):
            raise CallRefused(f"this node has applied {applier.index}, not {at_least}")
        meta = self._transfers.meta(applier.index, applier.term)
        if meta is None:
            raise CallRefused("this node does not know the members yet")
        self._drop()
        self._is_taking = True
        try:
            export = Export(self._machine.state.engine, applier, self._home.spool())
            seen_term = self._transfers.term
            try:
                while await self._run_blocking(export.step):
                    pass
            except BaseException:
                export.close()
                raise
        except (OSError, EngineRefused) as error:
            log.error("a snapshot could not be taken", error=str(error))
            raise CallRefused("this node cannot read its own state, or has no room") from error
        finally:
            self._is_taking = False
        assert export.head is not None
        self._number += 1
        self._held = _Held(
            self._number,
            export,
            export.head,
            encode_membership(meta.membership),
            seen_term,
            trio.current_time(),
        )
        log.info("snapshot taken", index=export.index, rows=export.head.rows)
        return self._held

    def _of(self, number: int, index: int) -> _Held:
        held = self._held
        if held is None or (held.number, held.export.index) != (number, index):
            raise CallRefused("that snapshot is not held any more")
        held.used_s = trio.current_time()
        return held

    async def rows(self, call: SnapshotRows) -> SnapshotBytes:
        """A piece of the stream. Raises CallRefused."""
        piece = self._of(call.number, call.index).export.read(call.offset, PIECE_BYTES)
        await self._pace(len(piece))
        return SnapshotBytes(piece, zlib.crc32(piece))

    async def parts(self, call: SnapshotParts) -> SnapshotPartsAnswer:
        """The first of the blob parts asked for, as many as fit a piece. Raises CallRefused."""
        self._of(call.number, call.index)
        found: list[bytes] = []
        size = 0
        for blob, offset in call.parts[:PARTS_MAX]:
            try:
                data = self._machine.state.blobs.read_part(BlobId(blob), offset)
            except KeyError as error:
                if not is_named(self._machine.state.engine, BlobId(blob), offset):
                    self._drop()  # it was collected since: a newer one does not ask for it
                raise CallRefused(f"a blob is not here any more: {error}") from error
            except BlobDamaged as error:
                raise CallRefused(f"a blob cannot be read here: {error}") from error
            size += len(data)
            if found and size > PIECE_BYTES:
                break
            found.append(data)
        await self._pace(size)
        return SnapshotPartsAnswer(tuple(found))

    async def _pace(self, size: int) -> None:
        """Wait for our turn on the wire."""
        now_s = trio.current_time()
        self._free_s = max(now_s, self._free_s) + size / GIVEN_BYTES_PER_S
        await trio.sleep_until(self._free_s)
