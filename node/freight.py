"""Large blobs on their way into the log: loads of a few parts, so many under way, ahead of the
command that will hold them. Nobody sees a blob before its last part is applied (storage/apply.py).

A blob that a caller has in memory is given whole; one that lies in a spool file is read part by
part as they go out, so that it takes no more memory than what is under way.
"""

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

import trio

from node.machine import Machine
from node.rounds import Round, Rounds
from protocols.ports import ReadOctets, Unavailable
from storage.apply import Outcome
from storage.batch import BLOB_PART_BYTES_MAX, BlobPart, encode_batch
from storage.ids import BlobId, blob_id
from storage.keys import blob_key
from storage.plan import Plan

# Parts in one proposal: as many as a batch holds, for what a proposal costs it costs once.
LOAD_PARTS_MAX: Final = 3
# Loads sent ahead and not yet applied, for all callers together: while one half is flushed, the
# other is applied and comes in anew. Each is held some three times over on its way: in the log's
# window, in its flush, in a frame to each peer.
STAGED_LOADS_MAX: Final = 4
# A load without an outcome is sent again after this. It waits behind all others of a slow disk,
# which would become slower if each of them were written twice; a new leader has it sent at once.
LOAD_RESEND_S: Final = 2.0
# Hashed before the loop is given back.
HASHED_OCTETS: Final = 1024 * 1024


class Freight:
    """One node's."""

    def __init__(
        self,
        machine: Machine,
        rounds: Rounds,
        chance: random.Random,
        on_sent: Callable[[], None],
    ) -> None:
        """`on_sent` is called for each load that is under way from now on, and may get lost."""
        self._machine = machine
        self._rounds = rounds
        self._chance = chance
        self._on_sent = on_sent
        self._staging = trio.Semaphore(STAGED_LOADS_MAX)

    async def send_ahead(self, parts: Iterable[BlobPart], timeout_s: float) -> None:
        """Propose parts; returns when all are applied here. Raises Unavailable."""
        with trio.move_on_after(timeout_s) as scope:
            await self._send(parts, lambda: None)
        if scope.cancelled_caught:
            raise Unavailable("a large blob did not get through in time")

    async def carry(
        self, blob: BlobId, octets: int, read: ReadOctets, *, patience_s: float
    ) -> None:
        """Bring a blob here, read as it goes; a load must get through every `patience_s`.

        Raises Unavailable, and what `read` does.
        """
        if self._machine.view().get(blob_key(blob)) is not None:
            return
        with trio.move_on_after(patience_s) as scope:

            def be_patient() -> None:
                scope.deadline = trio.current_time() + patience_s

            await self._send(_read_parts(blob, octets, read), be_patient)
        if scope.cancelled_caught:
            raise Unavailable("a large blob does not get on")

    async def _send(self, parts: Iterable[BlobPart], progress: Callable[[], None]) -> None:
        """A few at a time; `progress` is called for each that is applied."""
        under_way, is_last, all_applied = 0, False, trio.Event()

        def tell(outcome: Outcome) -> None:
            nonlocal under_way
            assert outcome is Outcome.APPLIED, outcome  # a load expects nothing
            self._staging.release()
            progress()
            under_way -= 1
            if is_last and not under_way:
                all_applied.set()

        for load in _loads(parts):
            await self._staging.acquire()
            try:
                await self._rounds.wait_open()
            except trio.Cancelled:
                self._staging.release()
                raise
            under_way += 1
            self._rounds.send([self._open(load, tell)])
            self._on_sent()
        is_last = True
        if under_way:
            await all_applied.wait()

    def _open(self, load: tuple[BlobPart, ...], tell: Callable[[Outcome], None]) -> Round:
        nothing = Plan(self._machine.view(), now_ms=0, chance=self._chance)
        return self._rounds.open(
            lambda pid, ack_below: encode_batch(nothing.batch(pid, ack_below, load)),
            tell,
            resend_s=LOAD_RESEND_S,
        )


def _loads(parts: Iterable[BlobPart]) -> Iterator[tuple[BlobPart, ...]]:
    """Parts as they travel together."""
    left = iter(parts)
    while load := tuple(islice(left, LOAD_PARTS_MAX)):
        yield load


def _read_parts(blob: BlobId, octets: int, read: ReadOctets) -> Iterator[BlobPart]:
    for offset in range(0, max(octets, 1), BLOB_PART_BYTES_MAX):
        data = read(offset, min(BLOB_PART_BYTES_MAX, octets - offset))
        yield BlobPart(blob, offset, octets, data)


async def name_of(data: bytes) -> BlobId:
    """The blob's name; the loop runs on while a large one is hashed."""
    if len(data) <= HASHED_OCTETS:
        return blob_id(data)
    digest = hashlib.sha256()
    for start in range(0, len(data), HASHED_OCTETS):
        digest.update(memoryview(data)[start : start + HASHED_OCTETS])
        await trio.lowlevel.checkpoint()
    return BlobId(digest.digest())
