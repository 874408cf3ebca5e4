"""What became of the planted bugs, as a table for people (fuzz/MUTANTS.md)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

HEAD = """# Planted bugs

Written by `make mutants`. Each bug of `fuzz/planted` is a mistake that some system of this kind has
really made. It is planted in a copy of the tree, and the tests named here must fail on it; on the
tree without it they pass. The seconds are of CPU, to kill it, without the start of Python.
"""
# What differs from run to run or would make a row unreadable: objects' addresses, our directories.
_CLUTTER = re.compile(r" at 0x[0-9a-f]+|/tmp/\S*/tree/")
SAID_MAX = 160


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one mutant."""

    name: str
    file: str
    killed_by: str | None
    cpu_s: float
    said: str = ""


def summary(results: Sequence[Result]) -> str:
    """One line: killed of all, and what it cost."""
    killed = sum(result.killed_by is not None for result in results)
    times = sorted(result.cpu_s for result in results) or [0.0]
    return (
        f"{killed}/{len(results)} killed; CPU seconds to kill one: "
        f"median {times[len(times) // 2]:.1f}, worst {times[-1]:.1f}, all {sum(times):.0f}"
    )


def render(results: Sequence[Result]) -> str:
    """The whole page."""
    lines = [HEAD, summary(results) + ".", ""]
    lines += ["| bug | file | killed by | CPU s | what it said |", "|---|---|---|---:|---|"]
    for result in results:
        by = f"`{result.killed_by}`" if result.killed_by else "**nobody**"
        cells = (result.name, f"`{result.file}`", by, f"{result.cpu_s:.1f}", _cell(result.said))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(said: str) -> str:
    said = _CLUTTER.sub("", said).removeprefix("FAILED ")
    return said[:SAID_MAX].replace("\\", "\\\\").replace("|", "\\|").replace("`", "'")
