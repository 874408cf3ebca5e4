"""Fetching another node's state, when the log says that ours will not do (trio).

    ask      the leader, or else anybody, for a snapshot that is new enough
    rows     piece by piece into a state beside ours; a lost connection goes on where it was
    blobs    the parts that the rows name: our own copies where we have them, the giver's else
    settle   durable, read back, and compared with the giver's hash
    adopt    nothing is applied while the new state takes the place of the old; then the log is
             told, and only after that does the log acknowledge anything that rests on it

A crash anywhere leaves the old state or the new one; the next start tells the log if need be.
"""

import itertools
import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, TypeVar

import trio

from node import logs
from node.env import RunBlocking
from node.machine import Machine
from node.rpc.calls import (
    Answer,
    Call,
    SnapshotBytes,
    SnapshotOpen,
    SnapshotOpened,
    SnapshotParts,
    SnapshotPartsAnswer,
    SnapshotRows,
)
from node.rpc.errors import CallRefused, RpcError
from node.rpc.peers import Peers
from node.snapshot_desk import PARTS_MAX, SnapshotDesk
from node.snapshot_note import Note, decode_note, encode_note
from raft import Transfers
from storage.batch import BLOB_PART_BYTES_MAX, BlobPart
from storage.blobs import BlobDamaged
from storage.ids import BlobId
from storage.opening import Nest, StateHome
from storage.snapshot import SnapshotDamaged, SnapshotHead

# Taking a snapshot may keep the giver busy for this long; a piece of one, much less.
OPEN_S: Final = 120.0
PIECE_S: Final = 10.0
# Without any answer for this long the attempt is given up, and another node asked.
RESUME_S: Final = 45.0
# Pause before another attempt, and before a lost piece is asked for again.
AGAIN_S: Final = 1.0
RESUME_PAUSE_S: Final = 0.25
NOBODY: Final = 0

A = TypeVar("A", bound=Answer)

log = logs.named("node.snapshot_fetch")


class _GivenUp(Exception):
    """This attempt came to nothing; the state is as it was."""


_Wanted = tuple[BlobId, int | None, int]
"""A blob, its size if it is whole, and the offset of one part."""


class SnapshotFetch:
    """Watches whether a snapshot is needed, and puts one in place."""

    def __init__(
        self,
        machine: Machine,
        transfers: Transfers,
        desk: SnapshotDesk,
        home: StateHome,
        peers: Peers,
        run_blocking: RunBlocking,
        chance: random.Random,
        *,
        givers: Callable[[], Sequence[int]],
    ) -> None:
        """`givers` are the replicas to ask, the likeliest first."""
        self._machine = machine
        self._transfers = transfers
        self._desk = desk
        self._home = home
        self._peers = peers
        self._run_blocking = run_blocking
        self._chance = chance
        self._givers = givers
        self.installed = 0
        """How many were put in place since the start."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            at_least = await self._transfers.wait_wanted()
            for giver in self._givers():
                try:
                    await self._fetch(giver, at_least)
                    break
                except (_GivenUp, RpcError, SnapshotDamaged) as error:
                    log.warning("no snapshot yet", giver=f"{giver:x}", reason=str(error))
            await trio.sleep(AGAIN_S * self._chance.uniform(0.5, 1.5))

    async def _fetch(self, giver: int, at_least: int) -> None:
        began_s = trio.current_time()
        opened = await self._peers.call(giver, SnapshotOpen(at_least), timeout_s=OPEN_S)
        if not isinstance(opened, SnapshotOpened):
            raise _GivenUp("another answer than a snapshot's")
        if opened.index < at_least:
            raise _GivenUp(f"a snapshot of {opened.index}, not of {at_least}")
        head = SnapshotHead(
            opened.index, opened.term, opened.chain, opened.rows, opened.octets, opened.digest
        )
        log.info("fetching a snapshot", index=head.index, rows=head.rows, octets=head.octets)
        nest = await self._run_blocking(lambda: self._home.begin(head))
        is_placed = False
        try:
            await self._fetch_rows(giver, opened, nest)
            await self._fetch_blobs(giver, opened, nest)
            is_placed = await self._place(opened, nest)
        finally:
            if not is_placed:
                with trio.CancelScope(shield=True):
                    await self._run_blocking(nest.discard)
        took_s = round(trio.current_time() - began_s, 2)
        log.info("snapshot installed", index=head.index, seconds=took_s)

    async def _fetch_rows(self, giver: int, opened: SnapshotOpened, nest: Nest) -> None:
        install = nest.install
        while not install.rows_are_here:
            call = SnapshotRows(opened.number, opened.index, install.offset)
            piece = await self._ask(giver, call, SnapshotBytes)
            if zlib.crc32(piece.data) != piece.checksum:
                raise SnapshotDamaged("a piece does not have its checksum")
            await self._run_blocking(partial(install.feed, piece.data))

    async def _fetch_blobs(self, giver: int, opened: SnapshotOpened, nest: Nest) -> None:
        wanted = _parts_of(nest)
        while due := await self._run_blocking(lambda: list(itertools.islice(wanted, PARTS_MAX))):
            held = [(part, self._own_part(part)) for part in due]
            here = [(part, data) for part, data in held if data is not None]
            await self._run_blocking(partial(_take, nest, here))
            due = [part for part, data in held if data is None]
            while due:
                parts = tuple((bytes(blob), offset) for blob, _, offset in due)
                call = SnapshotParts(opened.number, opened.index, parts)
                came = (await self._ask(giver, call, SnapshotPartsAnswer)).parts
                if not 0 < len(came) <= len(due):
                    raise SnapshotDamaged("other parts came than were asked for")
                taken = list(zip(due, came, strict=False))
                await self._run_blocking(partial(_take, nest, taken))
                due = due[len(came) :]

    def _own_part(self, part: _Wanted) -> bytes | None:
        """A part of a whole blob that our old state has too: it need not travel."""
        blob, total, offset = part
        blobs = self._machine.state.blobs
        if total is None or blobs.size(blob) != total:
            return None
        try:
            return blobs.read(blob, offset, BLOB_PART_BYTES_MAX)
        except BlobDamaged:
            return None

    async def _ask(self, giver: int, call: Call, kind: type[A]) -> A:
        """Ask until there is an answer, over a new link if the one before was lost."""
        last_s = trio.current_time() + RESUME_S
        while True:
            try:
                answer = await self._peers.call(giver, call, timeout_s=PIECE_S)
            except CallRefused:
                raise
            except RpcError as error:
                if trio.current_time() > last_s:
                    raise _GivenUp(f"no answer for {RESUME_S:g} s: {error}") from error
                await trio.sleep(RESUME_PAUSE_S)
                continue
            if not isinstance(answer, kind):
                raise _GivenUp("another answer than was asked for")
            return answer

    async def _place(self, opened: SnapshotOpened, nest: Nest) -> bool:
        """Whole and verified: make it ours. False: the log has brought us further meanwhile."""
        note = encode_note(Note(opened.term, opened.seen_term, opened.membership))
        meta, seen_term = decode_note(opened.index, note)
        state = await self._run_blocking(lambda: nest.settle(note))
        # From here on it ends, whoever wants to stop: what is half done would end the node.
        with trio.CancelScope(shield=True):
            await self._desk.drop()
            async with self._machine.at_rest:
                if not self._transfers.begin(meta.index):
                    await self._run_blocking(state.release)
                    return False
                await self._run_blocking(nest.adopt)
                old = self._machine.adopt(state)
                self._transfers.end(meta, seen_term)
            self.installed += 1
            await self._run_blocking(old.release)
            await self._run_blocking(self._home.sweep)
        return True


def _parts_of(nest: Nest) -> Iterator[_Wanted]:
    for blob, total, offsets in nest.install.blobs_wanted():
        for offset in offsets:
            yield blob, total, offset


def _take(nest: Nest, parts: list[tuple[_Wanted, bytes]]) -> None:
    for (blob, total, offset), data in parts:
        part = BlobPart(blob, offset, total or 0, data)
        nest.install.take_part(part, is_whole=total is not None)
