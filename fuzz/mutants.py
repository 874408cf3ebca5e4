"""`make mutants`: plant every bug of fuzz/planted in a copy of the tree; the tests must see it.

    python -m fuzz.mutants [--jobs 2] [--only WORDS] [--cpu-s-max 120] [--report FILE.md]

First every hunter runs on the copy as it is, with all commands it may use later: what fails there
proves nothing afterwards. A mutant is killed when a command fails on it that passed there, or is
still computing when it has used many times the processor time it took there. One that waits for
ever is ended too, and has seen nothing. Prints killed/total and the CPU seconds each took, seconds
that do not depend on what else the machine does; exit status 1 when one lived, 2 when the clean
tree fails already.
"""

import argparse
import multiprocessing
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fuzz.mutants_report import Result, render, summary
from fuzz.planted import ALWAYS, MUTANTS, TIER_A, TIER_B, Mutant
from fuzz.warm import Command, Ended, Warm

ROOT: Final = Path(__file__).resolve().parents[1]
LEFT_OUT: Final = shutil.ignore_patterns(
    ".git", ".venv", "var", "__pycache__", ".*_cache", ".hypothesis"
)
MODULES: Final = {TIER_A: "tests.simulation", TIER_B: "tests.simulation.whole"}
# Seeds are hunted in portions, so that a bug found early costs little.
PORTION: Final = {TIER_A: 10, TIER_B: 3}
PORTIONS_MAX: Final = {TIER_A: 8, TIER_B: 4}
SECONDS: Final = {TIER_A: 15, TIER_B: 20}
# A command that takes longer is ended, by the clock.
HUNT_S_MAX: Final = 300
# One that uses so many times the CPU of the clean tree, and so much more, does not end.
CPU_FACTOR_MAX: Final = 8
CPU_S_MORE: Final = 20
# On the clean tree.
CPU_S_MAX: Final = 600


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


def commands(hunter: str) -> Iterator[Command]:
    """The commands of one hunter, one portion after the other."""
    tier, *always = hunter.split(ALWAYS)
    if tier not in MODULES:
        yield ("pytest", "-x", "-q", hunter)
        return
    faults = [word for fault in always for word in (ALWAYS.strip(), fault)]
    size = PORTION[tier]
    for portion in range(PORTIONS_MAX[tier]):
        first = 1 + portion * size
        words = ["--first-seed", str(first), "--seeds", str(size), "--seconds", str(SECONDS[tier])]
        yield (MODULES[tier], *words, *faults)


@dataclass(frozen=True, slots=True)
class Run:
    """One command's run: what it said if it failed, CPU seconds, and whether it ended."""

    said: str | None
    cpu_s: float
    ended: bool = True


def run(warm: Warm, tree: Path, command: Command, cpu_s_max: float = CPU_S_MAX) -> Run:
    """Run a command in a tree; one that waited for ever has not failed."""
    limit_s = int(cpu_s_max) + 1
    ended = warm.run(tree, command, cpu_s_max=limit_s, clock_s_max=HUNT_S_MAX)
    return Run(_verdict(ended, limit_s), ended.cpu_s, ended.status is not None)


def _verdict(ended: Ended, limit_s: int) -> str | None:
    if ended.status in (0, None):
        return None
    if ended.status in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"still computing after {limit_s} s"
    return _gist(ended.said)


def _gist(said: str) -> str:
    lines = said.strip().splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    errors = [line for line in lines if "Error" in line]
    return (failed or errors or lines or ["silence"])[0][:300]


def hunt(
    warm: Warm,
    tree: Path,
    mutant: Mutant,
    cpu_s_max: float,
    clean_s: Mapping[Command, float] | None = None,
) -> Result:
    """Try all hunters on one mutant until one sees it; `clean_s` is what each command took."""
    all_s = 0.0
    plant(tree, mutant)
    try:
        for hunter in mutant.hunters:
            hunter_s = 0.0
            for command in commands(hunter):
                took_s = (clean_s or {}).get(command, CPU_S_MAX)
                ended = run(warm, tree, command, took_s * CPU_FACTOR_MAX + CPU_S_MORE)
                hunter_s += ended.cpu_s
                all_s += ended.cpu_s
                if ended.said is not None:
                    return Result(mutant.name, mutant.file, hunter, round(all_s, 1), ended.said)
                if hunter_s > cpu_s_max:
                    break
        return Result(mutant.name, mutant.file, None, round(all_s, 1))
    finally:
        restore(tree, mutant)


@dataclass(frozen=True, slots=True)
class Clean:
    """What one hunter does without any mutant: what it said if it failed, and CPU seconds."""

    hunter: str
    said: str | None
    took_s: dict[Command, float]


def look_at_clean(warm: Warm, tree: Path, hunter: str) -> Clean:
    """Run all commands of a hunter."""
    took_s: dict[Command, float] = {}
    for command in commands(hunter):
        done = run(warm, tree, command)
        if done.said is not None or not done.ended:
            said = done.said or f"has not ended after {HUNT_S_MAX} s"
            return Clean(hunter, f"{hunter}: {said}", took_s)
        took_s[command] = done.cpu_s
    return Clean(hunter, None, took_s)


# Of a worker process: its own tree, and the warm process that ends with it.
_settled: list[tuple[Warm, Path]] = []


def _settle_in(directory: str) -> None:
    place = Path(directory) / str(os.getpid())
    place.mkdir()
    _settled.append((Warm(), copy_tree(place)))


def _look(hunter: str) -> Clean:
    return look_at_clean(*_settled[0], hunter)


def _hunt(mutant: Mutant, cpu_s_max: float, clean_s: Mapping[Command, float]) -> Result:
    return hunt(*_settled[0], mutant, cpu_s_max, clean_s)


def hunt_all(
    pool: ProcessPoolExecutor, mutants: Sequence[Mutant], cpu_s_max: float
) -> list[Result] | None:
    """Results in the order of the mutants; None when the clean tree fails."""
    hunters = sorted({hunter for mutant in mutants for hunter in mutant.hunters}, reverse=True)
    clean = list(pool.map(_look, hunters))  # the tiers, which take longest, come first
    wrong = [looked.said for looked in clean if looked.said is not None]
    if wrong:
        print("the clean tree fails:", *wrong, sep="\n")
        return None
    clean_s = {command: s for looked in clean for command, s in looked.took_s.items()}
    print(f"the clean tree passes {len(clean_s)} commands in {sum(clean_s.values()):.0f} CPU s")
    running = [pool.submit(_hunt, mutant, cpu_s_max, clean_s) for mutant in mutants]
    for done in as_completed(running):
        result = done.result()
        by = f"killed by {result.killed_by}" if result.killed_by else "LIVES"
        print(f"{result.cpu_s:8.1f} CPU s  {by}  {result.name}: {result.said}", flush=True)
    return [done.result() for done in running]


def main() -> int:
    """Exit status 1 when a mutant lived, 2 when the clean tree fails already."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="how many hunts at a time")
    parser.add_argument("--only", default="", help="mutants whose name or file has this")
    parser.add_argument(
        "--cpu-s-max", type=float, default=120.0, help="for each hunter of a mutant"
    )
    parser.add_argument("--report", type=Path, help="write the results here as Markdown")
    options = parser.parse_args()
    mutants = [m for m in MUTANTS if options.only in m.name or options.only in m.file]
    with (
        tempfile.TemporaryDirectory(prefix="trireme-mutants-") as directory,
        ProcessPoolExecutor(
            options.jobs, multiprocessing.get_context("spawn"), _settle_in, (directory,)
        ) as pool,
    ):
        results = hunt_all(pool, mutants, options.cpu_s_max)
    if results is None:
        return 2
    print(summary(results))
    if options.report is not None:
        options.report.write_text(render(results))
    return 0 if all(result.killed_by for result in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
