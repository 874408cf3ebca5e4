"""Blobs whose bytes are damaged on this node, fetched from the others (trio).

Whoever meets one notes it: a reader, the scrubber, a verification, or a node that asks us for it.
Parts that are right here stay; the others are asked for, one node after another, until all parts
together hash to the blob's name. What came is on disk before the row that says so. Until then
readers are told that the blob cannot be had now.
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import trio

from node import logs
from node.env import RunBlocking
from node.machine import Machine
from node.rpc.calls import BlobParts, BlobPartsAnswer
from node.rpc.errors import CallRefused, RpcError
from node.rpc.peers import Peers
from storage.batch import BlobPart
from storage.blobs import BlobDamaged, matches, unpack_place
from storage.engine import Row
from storage.ids import BlobId
from storage.opening import State
from storage.scrub import Part, parts_here, parts_of, right_bytes

KIB: Final = 1024

# Blobs that may wait; more damage than this is found again by the next scrub.
BLOBS_MAX: Final = 10_000
# Parts asked for at once, and the bytes after which the rest of them waits for the next call.
PARTS_MAX: Final = 64
ANSWER_BYTES: Final = 256 * KIB
CALL_S: Final = 10.0
# While nobody has what we need, we ask again after this.
AGAIN_S: Final = 2.0

log = logs.named("node.mender")


class Mender:
    """Puts damaged blobs right."""

    def __init__(
        self,
        machine: Machine,
        peers: Peers,
        run_blocking: RunBlocking,
        givers: Callable[[], Sequence[int]],
    ) -> None:
        """`givers` are the replicas to ask, the likeliest first."""
        self._machine = machine
        self._peers = peers
        self._run_blocking = run_blocking
        self._givers = givers
        self._wanted: dict[BlobId, None] = {}
        self._bell = trio.Event()
        self.mended = 0
        """Blobs put right since the start."""
        machine.current.on_damaged_blob = self.note

    @property
    def waiting(self) -> int:
        """Blobs that are damaged here, as far as is known."""
        return len(self._wanted)

    def is_waiting(self, blob: BlobId) -> bool:
        """Whether this one is still to be mended."""
        return blob in self._wanted

    def note(self, blob: BlobId) -> None:
        """A blob is damaged here."""
        if blob not in self._wanted and len(self._wanted) < BLOBS_MAX:
            log.warning("a blob is damaged here", blob=blob.hex())
            self._wanted[blob] = None
            self._bell.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._bell.wait()
            self._bell = trio.Event()
            for blob in list(self._wanted):
                if await self._mend(blob):
                    del self._wanted[blob]
            if self._wanted:
                await trio.sleep(AGAIN_S)
                self._bell.set()

    async def _mend(self, blob: BlobId) -> bool:
        state = self._machine.state
        whole = parts_of(state.engine, blob)
        parts = whole or parts_here(state.engine, blob)
        held = await self._read(state, parts)
        if _are_right(blob, parts, held, is_whole=bool(whole)):
            return True  # somebody was wrong, or the state is another by now
        for giver in self._givers():
            # Bytes that have their checksum may still be wrong, if they were when they came.
            kept = held if None in held else [None] * len(parts)
            try:
                data = await self._fetch(giver, parts, kept)
            except RpcError as error:
                log.warning("a blob was not mended yet", giver=f"{giver:x}", reason=str(error))
                continue
            right = partial(_are_right, blob, parts, data, is_whole=bool(whole))
            if await self._run_blocking(right) and await self._place(state, parts, kept, data):
                self.mended += 1
                log.info("a blob was mended", blob=blob.hex(), giver=f"{giver:x}")
                return True
            held = [None] * len(parts)
        return False

    async def _read(self, state: State, parts: Sequence[Part]) -> list[bytes | None]:
        files = state.blobs.files_apart()
        try:
            return await self._run_blocking(lambda: [right_bytes(files, part) for part in parts])
        finally:
            files.close()

    async def _fetch(
        self, giver: int, parts: Sequence[Part], held: Sequence[bytes | None]
    ) -> list[bytes | None]:
        """The parts with those that are not held from one node; raises RpcError."""
        data = list(held)
        due = [number for number, each in enumerate(held) if each is None]
        while due:
            asked = tuple((bytes(parts[n].blob), parts[n].offset) for n in due[:PARTS_MAX])
            answer = await self._peers.call(giver, BlobParts(asked), timeout_s=CALL_S)
            if not isinstance(answer, BlobPartsAnswer) or not 0 < len(answer.parts) <= len(due):
                raise CallRefused("another answer than the parts asked for")
            for number, came in zip(due, answer.parts, strict=False):
                if came is None:
                    raise CallRefused("it does not have the blob whole")
                data[number] = came
            due = due[len(answer.parts) :]
        return data

    async def _place(
        self,
        state: State,
        parts: Sequence[Part],
        held: Sequence[bytes | None],
        data: Sequence[bytes | None],
    ) -> bool:
        """Put in place what came; False when the state is another by now."""
        async with self._machine.at_rest:
            if self._machine.state is not state:
                return False
            total = state.blobs.size(parts[0].blob) or 0
            rows: list[Row] = []
            for part, kept, came in zip(parts, held, data, strict=True):
                if kept is None and came is not None:
                    rows.append(state.blobs.append(BlobPart(part.blob, part.offset, total, came)))
            segments = sorted({unpack_place(value).segment for _, value in rows})
            with trio.CancelScope(shield=True):
                await self._run_blocking(lambda: state.blobs.sync(segments))
            state.engine.write(rows)
        return True

    def answer(self, call: BlobParts) -> BlobPartsAnswer:
        """What another node lacks, as much of it as fits an answer."""
        found: list[bytes | None] = []
        octets = 0
        for name, offset in call.parts[:PARTS_MAX]:
            try:
                data = self._machine.state.blobs.read_part(BlobId(name), offset)
            except KeyError:
                found.append(None)
                continue
            except BlobDamaged as error:
                self.note(error.blob)
                found.append(None)
                continue
            octets += len(data)
            if found and octets > ANSWER_BYTES:
                break
            found.append(data)
        return BlobPartsAnswer(tuple(found))


def _are_right(
    blob: BlobId, parts: Sequence[Part], data: Sequence[bytes | None], *, is_whole: bool
) -> bool:
    """Whether these are the blob's bytes: by its name, or by their checksums if it is not whole."""
    if not is_whole:
        return all(
            came is not None and part.place is not None and matches(part.place, came)
            for part, came in zip(parts, data, strict=True)
        )
    digest = hashlib.sha256()
    for came in data:
        if came is None:
            return False
        digest.update(came)
    return digest.digest() == blob
