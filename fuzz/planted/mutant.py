"""What a planted bug is, and who hunts it."""

from dataclasses import dataclass
from typing import Final

TIER_A: Final = "tier a"
TIER_B: Final = "tier b"
ALWAYS: Final = " --always "


def tier_a(*faults: str) -> str:
    """Tier A with faults that every seed has."""
    return "".join([TIER_A, *(f"{ALWAYS}{fault}" for fault in faults)])


@dataclass(frozen=True, slots=True)
class Mutant:
    """One planted bug: in `file`, `new` stands in the place of `old`.

    `hunters` are tried in this order, so the cheapest comes first: a tier of the simulation, or a
    path for pytest.
    """

    name: str
    file: str
    old: str
    new: str
    hunters: tuple[str, ...] = (TIER_A, TIER_B)
