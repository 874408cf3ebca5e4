"""Bugs of failure detection and of the member table, in gossip/."""

from typing import Final

from fuzz.planted.mutant import Mutant

MUTANTS: Final = (
    Mutant(
        "a claim of an older incarnation wins",
        "gossip/members.py",
        "        if (claim.incarnation, status) < (held.incarnation, held.status):",
        "        if status < held.status:",
        ("tests/gossip/test_members.py", "tests/gossip/test_village.py"),
    ),
    Mutant(
        "an incarnation that starts again",
        "gossip/driver.py",
        "    return max(stored + 1, wall_ms)",
        "    return wall_ms",
        ("tests/gossip/test_driver.py",),
    ),
)
