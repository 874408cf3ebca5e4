"""Bugs of the write-ahead log, in raft/."""

from typing import Final

from fuzz.planted.mutant import TIER_A, TIER_B, Mutant

MUTANTS: Final = (
    Mutant(
        "a log written without fsync",
        "raft/wal.py",
        "        self._file.sync_data()",
        "        pass",
    ),
    Mutant(
        "a segment that forgets the hard state",
        "raft/wal.py",
        "            hard_state=self.hard_state,",
        "            hard_state=HardState(),",
        (TIER_A, TIER_B, "tests/raft"),
    ),
)
