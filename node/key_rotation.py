"""What is next on the way from one cluster key to another, from what every member holds (sans-IO).

A rotation has no state of its own: it is read off the members' rings. So whoever leads goes on
with what another began, and a rotation that nobody drives simply stands still, with all keys good.

A step is asked of members only when all members have answered and confirmed the step before. One
that is down holds the rotation up and is not locked out: the old key stays good until it is back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from node.keyring import KeyName, RingView


class Phase(StrEnum):
    """The step a rotation is at."""

    INSTALL = "install"
    USE = "use"
    REMOVE = "remove"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Step:
    """What is next."""

    phase: Phase
    target: KeyName
    ask: tuple[int, ...]
    """Members to ask for it now."""
    silent: tuple[int, ...]
    """Members that did not say what they hold; until they do nothing is used or removed."""


def next_step(views: Mapping[int, RingView | None]) -> Step:
    """The step for these members; None for one that did not answer. At least one answered."""
    known = {member: view for member, view in sorted(views.items()) if view is not None}
    silent = tuple(sorted(views.keys() - known.keys()))
    target = max(key for view in known.values() for key in view.keys)

    def members(lacking: Mapping[int, bool]) -> tuple[int, ...]:
        return tuple(member for member, lacks in lacking.items() if lacks)

    if ask := members({m: target not in view.keys for m, view in known.items()}):
        return Step(Phase.INSTALL, target, ask, silent)
    if ask := members({m: view.used != target.id for m, view in known.items()}):
        return Step(Phase.USE, target, () if silent else ask, silent)
    if ask := members({m: len(view.keys) > 1 for m, view in known.items()}):
        return Step(Phase.REMOVE, target, () if silent else ask, silent)
    return Step(Phase.DONE, target, (), silent)
