"""`make mutants`: plant every bug of fuzz/planted.py in a copy of the tree; the tests must see it.

    python -m fuzz.mutants [--only WORDS] [--cpu-s-max 120] [--report FILE.json]

First the hunters run on the copy as it is: what fails there proves nothing afterwards. A mutant is
killed when a hunter fails before its time is over; a hunter that has not ended by then counts as
one that saw nothing, unless it hangs in a way the clean tree does not. Prints killed/total and the
CPU seconds each took; exit status 1 when one lived.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from fuzz.planted import MUTANTS, TIER_A, TIER_B, Mutant

ROOT: Final = Path(__file__).resolve().parents[1]
LEFT_OUT: Final = shutil.ignore_patterns(".git", ".venv", "var", "__pycache__", ".*_cache")
# Seeds are hunted in portions, so that a bug found early costs little.
PORTION: Final = {TIER_A: 10, TIER_B: 3}
PORTIONS_MAX: Final = {TIER_A: 25, TIER_B: 8}
SECONDS: Final = {TIER_A: 15, TIER_B: 20}
# A pytest run or a portion of seeds that takes longer is ended.
HUNT_S_MAX: Final = 300


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one mutant."""

    name: str
    killed_by: str | None
    cpu_s: float
    said: str = ""


def copy_tree(directory: Path) -> Path:
    """The tree as it stands, to be changed at will."""
    place = directory / "tree"
    shutil.copytree(ROOT, place, ignore=LEFT_OUT)
    return place


def plant(tree: Path, mutant: Mutant) -> None:
    """Change the copy; raises ValueError when the text to be changed is not there just once."""
    path = tree / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        raise ValueError(
            f"{mutant.name}: {mutant.file} has its text {text.count(mutant.old)} times"
        )
    path.write_text(text.replace(mutant.old, mutant.new))


def restore(tree: Path, mutant: Mutant) -> None:
    """Take the change back."""
    shutil.copyfile(ROOT / mutant.file, tree / mutant.file)


def commands(hunter: str) -> Iterator[list[str]]:
    """The commands of one hunter, one portion after the other."""
    if hunter not in PORTION:
        yield [sys.executable, "-m", "pytest", "-x", "-q", hunter]
        return
    module = "tests.simulation" if hunter == TIER_A else "tests.simulation.whole"
    size = PORTION[hunter]
    for portion in range(PORTIONS_MAX[hunter]):
        first = 1 + portion * size
        words = ["--first-seed", str(first), "--seeds", str(size), "--seconds"]
        yield [sys.executable, "-m", module, *words, str(SECONDS[hunter])]


def fails(tree: Path, command: list[str]) -> str | None:
    """What a command said when it failed; None when it passed or had to be ended."""
    try:
        ended = subprocess.run(
            command,
            cwd=tree,
            env=os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=HUNT_S_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    if ended.returncode == 0:
        return None
    lines = (ended.stdout + ended.stderr).strip().splitlines()
    failed = [line for line in lines if "FAILED" in line]
    errors = [line for line in lines if "Error" in line]
    return (failed or errors or lines or ["silence"])[0][:300]


def cpu_s() -> float:
    """Seconds of CPU that ended children have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def hunt(tree: Path, mutant: Mutant, cpu_s_max: float) -> Result:
    """Try all hunters on one mutant until one sees it."""
    began = cpu_s()
    plant(tree, mutant)
    try:
        for hunter in mutant.hunters:
            until = cpu_s() + cpu_s_max
            for command in commands(hunter):
                said = fails(tree, command)
                if said is not None:
                    return Result(mutant.name, hunter, round(cpu_s() - began, 1), said)
                if cpu_s() > until:
                    break
        return Result(mutant.name, None, round(cpu_s() - began, 1))
    finally:
        restore(tree, mutant)


def clean_tree_fails(tree: Path, mutants: list[Mutant]) -> list[str]:
    """Hunters that fail without any mutant."""
    wrong = []
    for hunter in sorted({hunter for mutant in mutants for hunter in mutant.hunters}):
        said = fails(tree, next(commands(hunter)))
        if said is not None:
            wrong.append(f"{hunter}: {said}")
    return wrong


def main() -> int:
    """Exit status 1 when a mutant lived, 2 when the clean tree fails already."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--only", default="", help="mutants whose name or file has this")
    parser.add_argument(
        "--cpu-s-max", type=float, default=120.0, help="for each hunter of a mutant"
    )
    parser.add_argument("--report", type=Path, help="write the results here as JSON")
    options = parser.parse_args()
    mutants = [m for m in MUTANTS if options.only in m.name or options.only in m.file]
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="trireme-mutants-") as directory:
        tree = copy_tree(Path(directory))
        wrong = clean_tree_fails(tree, mutants)
        if wrong:
            print("the clean tree fails:", *wrong, sep="\n")
            return 2
        for mutant in mutants:
            result = hunt(tree, mutant, options.cpu_s_max)
            results.append(result)
            by = f"killed by {result.killed_by}" if result.killed_by else "LIVES"
            print(f"{result.cpu_s:8.1f} CPU s  {by:24}  {mutant.name}: {result.said}", flush=True)
    killed = sum(result.killed_by is not None for result in results)
    times = sorted(result.cpu_s for result in results) or [0.0]
    print(
        f"{killed}/{len(results)} killed; CPU seconds: "
        f"median {times[len(times) // 2]:.1f}, worst {times[-1]:.1f}"
    )
    if options.report is not None:
        options.report.write_text(json.dumps([asdict(result) for result in results], indent=1))
    return 0 if killed == len(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
