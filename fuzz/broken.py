"""Does the runner see anything at all? It runs on a copy of the tree with a bug planted in it.

The bugs are those of fuzz/planted; nothing in the program itself can be switched to be wrong.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fuzz.mutants import ROOT, copy_tree, plant
from fuzz.planted import MUTANTS

# Short names of those that are worth a try with power cuts.
SHORT: Final = {
    "ack before fsync": "an acknowledgement leaves before its fsync",
    "no fsync": "a log written without fsync",
    "own disk not counted on": "a leader counts what its own disk does not hold",
}


def names() -> list[str]:
    """Every bug that can be planted, short names first."""
    return [*SHORT, *(mutant.name for mutant in MUTANTS)]


def commit() -> str:
    """What git calls this tree; `+` after it when files have changed since."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        said = subprocess.run(
            ("git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        return said.stdout.strip()
    return "unknown"


@contextlib.contextmanager
def broken_tree(name: str) -> Iterator[Path]:
    """A copy of the tree that has this bug."""
    with tempfile.TemporaryDirectory(prefix="trireme-broken-") as directory:
        tree = copy_tree(Path(directory))
        wanted = SHORT.get(name, name)
        plant(tree, next(mutant for mutant in MUTANTS if mutant.name == wanted))
        yield tree


def run(name: str, words: list[str]) -> int:
    """`python -m fuzz cluster` with these words in a tree with this bug; its exit status."""
    with broken_tree(name) as tree:
        child = subprocess.Popen(
            [
                *(sys.executable, "-m", "fuzz", "cluster", *words),
                *("--planted", name, "--commit", commit()),
            ],
            cwd=tree,
            env=os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
            start_new_session=True,
        )
        try:
            return child.wait()
        except KeyboardInterrupt:
            child.terminate()
            return child.wait()
