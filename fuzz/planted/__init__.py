"""Bugs to plant: each a small change of one file, and the tests that ought to see it.

Every one is a mistake that some system of this kind has really made (the design's tables name
them). `old` must stand exactly once in its file, so a change of the code that makes a mutant
meaningless is noticed. Hunters are tried in order until one fails. One file here for each room.
"""

from typing import Final

from fuzz.planted import (
    elections,
    gossip,
    keys,
    membership,
    proposals,
    replication,
    rows,
    tidying,
    wal,
)
from fuzz.planted.mutant import ALWAYS, TIER_A, TIER_B, Mutant, tier_a

MUTANTS: Final = (
    *elections.MUTANTS,
    *replication.MUTANTS,
    *membership.MUTANTS,
    *wal.MUTANTS,
    *rows.MUTANTS,
    *tidying.MUTANTS,
    *proposals.MUTANTS,
    *gossip.MUTANTS,
    *keys.MUTANTS,
)

__all__ = ["ALWAYS", "MUTANTS", "TIER_A", "TIER_B", "Mutant", "tier_a"]
