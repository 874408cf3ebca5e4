"""Apply: committed entries into rows. The only writer of replicated rows.

Every node applies the same entries to the same state and must end with the same state, so here
is no clock, no chance, no parsing of what rows hold and no iteration over sets. For each entry:

    1. its id was applied before              -> the stored outcome
    2. its epoch is not the registered one    -> FENCED: from a process that is gone
    3. an expectation does not hold           -> CONFLICT, and that is recorded
    4. else puts, deletes, blobs              -> APPLIED

A group of entries becomes one engine batch, with what it leads to: outcomes, applied index and
term, and a hash chained over every payload and outcome, by which nodes compare themselves.
An exception leaves this object useless and the engine as it was: the node must stop.
"""

import struct
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import blake2b
from typing import Final

from msgspec import Struct

from storage import keys, local_keys
from storage.batch import (
    BLOB_PART_BYTES_MAX,
    Announce,
    Batch,
    BlobPart,
    ProposalId,
    Registration,
    decode_payload,
)
from storage.blobs import BlobStore
from storage.engine import Engine, Row, Rows
from storage.ids import AccountId
from storage.values import pack_u64

Entry = tuple[int, int, bytes]
"""Index, term, payload."""

CHAIN_BYTES: Final = 16
# The chain is remembered after every so many entries, so that nodes find an index in common ...
MARK_EVERY: Final = 64
# ... and so many of these: nodes that are further apart than this are compared when they are not.
MARKS_MAX: Final = 256

_APPLIED: Final = struct.Struct(f">QQ{CHAIN_BYTES}s")
_OUTCOME: Final = struct.Struct(">BQQ")
_EPOCH: Final = struct.Struct(">QHH")
_LINK: Final = struct.Struct(">QB")


class Outcome(IntEnum):
    """What became of a proposal. On disk and in the chain hash; only add."""

    APPLIED = 1
    CONFLICT = 2
    FENCED = 3
    FORGOTTEN = 4
    """Its origin has acknowledged the outcome: a late copy, which changes nothing."""


class Applied(Struct, frozen=True, gc=False):
    """One entry's fate. `announces` are of this entry's own changes; a copy has none.

    `contended` names the accounts that a batch in conflict wanted to change.
    """

    index: int
    pid: ProposalId | None
    outcome: Outcome
    announces: tuple[Announce, ...] = ()
    contended: tuple[AccountId, ...] = ()


@dataclass(slots=True)
class _Origin:
    """A replica's registered epoch and the outcomes it may still ask for."""

    epoch: int
    nonce: bytes
    low: int = 0  # the origin knows the outcome of every sequence below
    outcomes: dict[int, Outcome] = field(default_factory=dict)


class Applier:
    """Applies entries to one engine and one blob store; mirrors outcomes in memory."""

    def __init__(self, engine: Engine, blobs: BlobStore) -> None:
        self._engine = engine
        self._blobs = blobs
        self._overlay: dict[bytes, bytes | None] = {}
        held = engine.get(local_keys.APPLIED_KEY)
        index, term, chain = (0, 0, bytes(CHAIN_BYTES)) if held is None else _APPLIED.unpack(held)
        self.index: int = index
        self.term: int = term
        self.chain: bytes = chain
        self.marks: deque[tuple[int, bytes]] = deque(maxlen=MARKS_MAX)
        """The chain hash at earlier indexes."""
        self._origins = _load_origins(engine)
        self.octets = 0
        """Bytes of rows and blobs written since this object was made."""
        # Groups whose rows are kept: (last index, octets when it was written).
        self.groups: deque[tuple[int, int]] = deque(
            (local_keys.unpack_group_key(key), 0)
            for key, _ in engine.scan(*local_keys.GROUPS_RANGE)
        )

    def registered(self, replica: int) -> tuple[int, bytes]:
        """The newest boot epoch of a replica and its nonce; 0 before its first."""
        origin = self._origins.get(replica)
        return (0, b"") if origin is None else (origin.epoch, origin.nonce)

    def outcome(self, pid: ProposalId) -> Outcome | None:
        """What became of a proposal whose origin has not acknowledged it; None: not applied."""
        origin = self._origins.get(pid.replica)
        if origin is None or origin.epoch < pid.epoch:
            return None
        return Outcome.FENCED if origin.epoch > pid.epoch else origin.outcomes.get(pid.sequence)

    def apply(self, entries: Sequence[Entry]) -> list[Applied]:
        """Apply entries that follow the applied index, in one engine batch."""
        if not entries:
            return []
        overlay, before = self._overlay, self.index
        results = []
        pack_link = _LINK.pack
        for index, term, payload in entries:
            assert index == self.index + 1, (index, self.index)
            result = self._apply_one(index, payload)
            link = blake2b(self.chain + pack_link(index, result.outcome), digest_size=CHAIN_BYTES)
            link.update(payload)
            self.chain = link.digest()
            self.index, self.term = index, term
            if index % MARK_EVERY == 0:
                self.marks.append((index, self.chain))
            results.append(result)
        overlay[local_keys.APPLIED_KEY] = _APPLIED.pack(self.index, self.term, self.chain)
        overlay[local_keys.group_key(self.index)] = pack_u64(before)
        puts = [(key, value) for key, value in overlay.items() if value is not None]
        deletes = [key for key, value in overlay.items() if value is None]
        self._engine.write(puts, deletes)
        overlay.clear()
        self.octets += sum([len(key) + len(value) for key, value in puts])
        self.groups.append((self.index, self.octets))
        return results

    def _apply_one(self, index: int, payload: bytes) -> Applied:
        if not payload:
            return Applied(index, None, Outcome.APPLIED)
        asked = decode_payload(payload)
        if isinstance(asked, Registration):
            return Applied(index, ProposalId(asked.replica, asked.epoch, 0), self._register(asked))
        pid = asked.pid
        origin = self._origins.get(pid.replica)
        if origin is None or pid.epoch != origin.epoch:
            return Applied(index, pid, Outcome.FENCED)
        known = origin.outcomes.get(pid.sequence)
        if known is not None:
            return Applied(index, pid, known)
        if pid.sequence < origin.low:
            return Applied(index, pid, Outcome.FORGOTTEN)
        if not self._holds(asked):
            self._remember(origin, asked, index, Outcome.CONFLICT)
            wanted = tuple([announce.account for announce in asked.announces])
            return Applied(index, pid, Outcome.CONFLICT, contended=wanted)
        self._change(asked)
        self._remember(origin, asked, index, Outcome.APPLIED)
        return Applied(index, pid, Outcome.APPLIED, asked.announces)

    def _get(self, key: bytes) -> bytes | None:
        overlay = self._overlay
        return overlay[key] if key in overlay else self._engine.get(key)

    def _holds(self, batch: Batch) -> bool:
        for expect in batch.expects:  # noqa: SIM110  all() costs a generator, and this is hot
            if self._get(expect.key) != expect.value:
                return False
        return True

    def _change(self, batch: Batch) -> None:
        overlay = self._overlay
        for part in batch.blobs:
            self._add_part(part)
        overlay.update(batch.puts)
        for key in batch.deletes:
            overlay[key] = None

    def _add_part(self, part: BlobPart) -> None:
        """Keep a part's bytes; when all parts are here, the blob is whole."""
        whole, here = keys.blob_key(part.blob), keys.blob_part_key(part.blob, part.offset)
        if self._get(whole) is not None or self._get(here) is not None:
            return  # the same bytes came before
        key, place = self._blobs.append(part)
        self._overlay[key] = place
        self.octets += len(part.data)
        others = (
            keys.blob_part_key(part.blob, offset)
            for offset in reversed(range(0, part.total, BLOB_PART_BYTES_MAX))
            if offset != part.offset
        )
        found: list[bytes] = []
        # Parts mostly come in order: looking from the end finds the missing one first.
        for other in others:
            if self._get(other) is None:
                self._overlay[here] = b""
                return
            found.append(other)
        self._overlay[whole] = pack_u64(part.total)
        for other in found:
            self._overlay[other] = None

    def _remember(self, origin: _Origin, batch: Batch, index: int, outcome: Outcome) -> None:
        pid = batch.pid
        low = min(batch.ack_below, pid.sequence)
        outcomes, overlay = origin.outcomes, self._overlay
        if low > origin.low:
            # The newly acknowledged are mostly fewer than those that are remembered.
            settled: Iterable[int] = range(origin.low, low)
            if low - origin.low > len(outcomes):
                settled = [known for known in outcomes if known < low]
            for sequence in settled:
                if outcomes.pop(sequence, None) is not None:
                    overlay[keys.outcome_key(pid.replica, pid.epoch, sequence)] = None
            origin.low = low
        outcomes[pid.sequence] = outcome
        row = _OUTCOME.pack(outcome, index, origin.low)
        overlay[keys.outcome_key(pid.replica, pid.epoch, pid.sequence)] = row

    def _register(self, asked: Registration) -> Outcome:
        """A higher epoch fences the ones before and drops their outcomes: nobody waits there."""
        origin = self._origins.get(asked.replica)
        if origin is not None and asked.epoch <= origin.epoch:
            same = (asked.epoch, asked.nonce) == (origin.epoch, origin.nonce)
            return Outcome.APPLIED if same else Outcome.FENCED
        if origin is not None:
            for sequence in origin.outcomes:
                self._overlay[keys.outcome_key(asked.replica, origin.epoch, sequence)] = None
        self._origins[asked.replica] = _Origin(asked.epoch, asked.nonce)
        self._overlay[keys.epoch_key(asked.replica)] = _pack_epoch(asked)
        return Outcome.APPLIED

    def redo_blobs(self, entries: Iterable[Entry]) -> int:
        """After a power cut: write again the lost parts of entries already applied.

        The house passes every entry after the checkpoint up to the applied index. A part without
        a row was not applied (a conflict, or the same bytes had come before), and stays away.
        """
        restored = 0
        for index, _, payload in entries:
            assert index <= self.index, (index, self.index)
            asked = decode_payload(payload) if payload else None
            parts = asked.blobs if isinstance(asked, Batch) else ()
            rows = [row for part in parts if (row := self._blobs.restore(part)) is not None]
            if rows:
                self._engine.write(rows)
                restored += len(rows)
        return restored


def _pack_epoch(asked: Registration) -> bytes:
    node = asked.node.encode()
    return (
        _EPOCH.pack(asked.epoch, len(node), len(asked.nonce)) + node + asked.nonce + asked.identity
    )


def registered_identity(rows: Rows, replica: int) -> bytes:
    """The identity that a replica's newest registration names; empty before its first."""
    held = rows.get(keys.epoch_key(replica))
    if held is None:
        return b""
    _, node, nonce = _EPOCH.unpack_from(held)
    return held[_EPOCH.size + node + nonce :]


def _load_origins(engine: Engine) -> dict[int, _Origin]:
    origins = {}
    for key, value in engine.scan(*keys.epoch_range()):
        epoch, node, nonce = _EPOCH.unpack_from(value)
        start = _EPOCH.size + node
        origins[keys.unpack_epoch_key(key)] = _Origin(epoch, value[start : start + nonce])
    for key, value in engine.scan(*keys.outcome_range()):
        replica, epoch, sequence = keys.unpack_outcome_key(key)
        assert epoch == origins[replica].epoch, (replica, epoch)
        outcome, _, low = _OUTCOME.unpack(value)
        origins[replica].outcomes[sequence] = Outcome(outcome)
        origins[replica].low = max(origins[replica].low, low)
    return origins


def applied_row(index: int, term: int, chain: bytes) -> Row:
    """The row that says how far an engine has applied, for one that is filled from a snapshot."""
    return local_keys.APPLIED_KEY, _APPLIED.pack(index, term, chain)


def applied_index(engine: Engine) -> int:
    """How far the engine has applied."""
    held = engine.get(local_keys.APPLIED_KEY)
    return 0 if held is None else _APPLIED.unpack(held)[0]
