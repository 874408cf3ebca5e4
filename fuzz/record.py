"""What a run was, as JSON: enough to do it again."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from fuzz.actions import Action


@dataclass(frozen=True, slots=True)
class Record:
    """A run's seed, the code it ran (and the bug planted there), its size, and the actions."""

    seed: int
    commit: str
    nodes: int
    seconds: float
    broken: str | None
    actions: list[Action]


def write(path: Path, record: Record, done: list[Action]) -> None:
    """Keep a run with the actions as they were done."""
    path.write_text(json.dumps(asdict(replace(record, actions=done)), indent=1))


def read(path: Path) -> Record:
    """A run that was kept."""
    return Record(**json.loads(path.read_text()))
