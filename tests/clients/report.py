"""What was tried: a line for each step as it is taken, and a table of all at the end."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Taken:
    """A step that was taken, and how it went."""

    client: str
    node: str
    step: str
    failure: str


@dataclass
class Report:
    """All steps so far."""

    taken: list[Taken] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    """Clients that this machine has not, and why."""

    def take(self, client: str, node: str, step: str, action: Callable[[], None]) -> None:
        """Take a step and tell how it went. Whatever goes wrong is that step's failure."""
        began, failure = time.monotonic(), ""
        try:
            action()
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"
        seconds = time.monotonic() - began
        told = f"{client:<15} {node:<3} {step:<26.26} {seconds:6.1f} s  {failure or 'ok'}"
        print(told, flush=True)
        self.taken.append(Taken(client, node, step, failure))

    def lacks(self, client: str, reason: str) -> None:
        """A client is not there to be tried."""
        print(f"{client:<15} {reason}", flush=True)
        self.absent[client] = reason

    @property
    def failures(self) -> list[Taken]:
        """The steps that failed."""
        return [one for one in self.taken if one.failure]

    def table(self) -> str:
        """Clients down, nodes across: how many steps went well, and which did not."""
        nodes = sorted({one.node for one in self.taken})
        rows = [["client", *nodes]]
        for client in dict.fromkeys(one.client for one in self.taken):
            rows.append([client, *(self._cell(client, node) for node in nodes)])
        rows += [[client, reason] for client, reason in self.absent.items()]
        widths = [
            max(len(row[at]) for row in rows if at + 1 < len(row)) for at in range(len(nodes))
        ]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0, 0], strict=False))
            for row in rows
        )

    def _cell(self, client: str, node: str) -> str:
        steps = [one for one in self.taken if (one.client, one.node) == (client, node)]
        bad = [one.step for one in steps if one.failure]
        if not steps:
            return ""
        return f"{len(steps) - len(bad)}/{len(steps)}" + (f" not {', '.join(bad)}" if bad else "")
