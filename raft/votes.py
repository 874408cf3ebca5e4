"""Term and vote a second time, in a file beside the segments.

A vote that is forgotten can be given twice, and nobody else can say what it was. So it stands in
the log and here, each synced before it is told: one damaged place, or a lost end of the log, does
not take both. Both copies in the file are the same; whichever reads back newest counts.

    block 0, block 1   magic 8s | cluster 16s | replica u64 | term u64 | vote u64 | crc u32
"""

import struct
from typing import Final
from zlib import crc32

from raft.disk import Disk, DiskFile
from raft.model import HardState, ReplicaId
from raft.recovery import UNFINISHED_SUFFIX
from raft.segment import BLOCK_BYTES

VOTE_NAME: Final = "vote"

_MAGIC: Final = b"TRIRVOTE"
_VOTE: Final = struct.Struct(">8s16sQQQ")
_CRC: Final = struct.Struct(">I")
_COPIES: Final = 2


class VoteFile:
    """The file of one log."""

    def __init__(self, disk: Disk, directory: str, cluster: bytes, replica: ReplicaId) -> None:
        """Nothing is read yet."""
        self._disk = disk
        self._directory = directory
        self._cluster = cluster
        self._replica = replica
        self._file: DiskFile | None = None
        self.found: HardState | None = None
        """What the file holds; None when it is not there, or holds nothing that reads back."""

    def look(self) -> None:
        """Read it."""
        self.found = None
        if VOTE_NAME in self._disk.list_names(self._directory):
            data = self._disk.read(f"{self._directory}/{VOTE_NAME}")
            copies = [self._unpack(data[at * BLOCK_BYTES :]) for at in range(_COPIES)]
            held = [copy for copy in copies if copy is not None]
            self.found = max(held, key=_age, default=None)

    def newest(self, in_log: HardState) -> HardState:
        """Of what stands here and in the log, the later."""
        return in_log if self.found is None else max(self.found, in_log, key=_age)

    def begin(self, in_log: HardState) -> HardState:
        """Write the later of both to a new file, as every boot does with its segment; what it is.

        The file of an earlier boot may have pages that are called clean and are not on the disk.
        """
        hard_state = self.newest(in_log)
        unfinished = f"{self._directory}/{VOTE_NAME}{UNFINISHED_SUFFIX}"
        self._file = self._disk.create_zeroed(unfinished, _COPIES * BLOCK_BYTES)
        self.write(hard_state)
        self._disk.rename(unfinished, f"{self._directory}/{VOTE_NAME}")
        self._disk.sync_directory(self._directory)
        return hard_state

    def write(self, hard_state: HardState) -> None:
        """Make it durable; blocks; raises DiskFailed."""
        assert self._file is not None, "write before begin"
        copy = self._pack(hard_state)
        block = copy + bytes(BLOCK_BYTES - len(copy))
        self._file.write_at(0, [block] * _COPIES)
        self._file.sync_data()

    def close(self) -> None:
        """Release the file."""
        if self._file is not None:
            self._file.close()

    def _pack(self, hard_state: HardState) -> bytes:
        term, vote = hard_state.term, hard_state.vote
        body = _VOTE.pack(_MAGIC, self._cluster, self._replica, term, vote)
        return body + _CRC.pack(crc32(body))

    def _unpack(self, data: bytes) -> HardState | None:
        body, crc = data[: _VOTE.size], data[_VOTE.size : _VOTE.size + _CRC.size]
        if len(crc) < _CRC.size or _CRC.unpack(crc)[0] != crc32(body):
            return None
        magic, cluster, replica, term, vote = _VOTE.unpack(body)
        if (magic, cluster, replica) != (_MAGIC, self._cluster, self._replica):
            return None
        return HardState(term, vote)


def _age(hard_state: HardState) -> tuple[int, bool]:
    """Within a term a vote is only ever given, never taken back."""
    return hard_state.term, bool(hard_state.vote)
