"""What a seed is asked, and what came of it: the same words for both tiers.

Jobs and reports travel between processes as lines of JSON.
"""

import json
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

TIERS: Final = ("a", "b")


class SeedFailed(AssertionError):
    """A seed found something; says how to see it again."""


@dataclass(frozen=True, slots=True)
class Job:
    """One seed to be run."""

    tier: str
    seed: str
    seconds: float
    always: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What runs just this seed again."""
        faults = "".join(f" --always {shlex.quote(fault)}" for fault in self.always)
        return (
            f"python -m tests.simulation{' --tier b' if self.tier == 'b' else ''} "
            f"--seed {shlex.quote(self.seed)} --seconds {self.seconds:g}{faults}"
        )

    def failed(self, at_s: float, nodes: int, enabled: Sequence[str], said: str) -> SeedFailed:
        """The failure, with the way back to it."""
        return SeedFailed(
            f"tier {self.tier}, seed {self.seed} at {at_s:.3f} virtual seconds, {nodes} nodes, "
            f"faults {', '.join(enabled) or 'none'}: {said}\nto see it again: {self.command}"
        )

    def line(self) -> str:
        """This job as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def of_line(cls, line: str) -> "Job":
        """What `line` made."""
        job = cls(**json.loads(line))
        return cls(job.tier, job.seed, job.seconds, tuple(job.always))


@dataclass(frozen=True, slots=True)
class Report:
    """What one seed did."""

    tier: str
    seed: str
    seconds: float
    cpu_s: float
    events: int
    digest: str
    faults: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)

    def line(self) -> str:
        """This report as JSON."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def of_line(cls, line: str) -> "Report":
        """What `line` made."""
        words = json.loads(line)
        words["faults"], words["counts"] = Counter(words["faults"]), Counter(words["counts"])
        return cls(**words)


@dataclass(slots=True)
class Total:
    """All seeds of one tier together."""

    seeds: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    events: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, report: Report) -> None:
        """One seed more."""
        self.seeds += 1
        self.seconds += report.seconds
        self.cpu_s += report.cpu_s
        self.events += report.events
        self.faults += report.faults
        self.counts += report.counts

    def told(self, tier: str) -> list[str]:
        """Lines for people: how much, how fast, which faults, what clients did."""
        cpu_s = max(self.cpu_s, 0.001)
        first = (
            f"tier {tier}: {self.seeds} seeds passed, {self.events} events, "
            f"{self.seconds:.0f} virtual seconds in {self.cpu_s:.0f} s of CPU: "
            f"{self.seconds / cpu_s:.0f} times real time on one core, "
            f"{self.events / cpu_s:.0f} events/s"
        )
        lines = [first]
        for title, counter in (("faults", self.faults), ("clients", self.counts)):
            lines.append(f"  {title}:")
            lines += [f"  {times:9d}  {what}" for what, times in sorted(counter.items())]
        return lines
