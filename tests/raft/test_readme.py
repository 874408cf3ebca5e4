"""The table of the design in raft/README.md names files and tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_row_of_the_design_has_a_file_and_a_test() -> None:
    _, _, table = (ROOT / "raft" / "README.md").read_text().partition("## What the design asks")
    rows = [line.split("|")[1:4] for line in table.splitlines() if line.startswith("| ")][1:]
    tests = {path.stem for path in (ROOT / "tests" / "raft").glob("test_*.py")}
    for path in (ROOT / "tests" / "raft").glob("test_*.py"):
        tests |= set(re.findall(r"def (test_\w+)", path.read_text()))
    scenarios = {path.stem for path in (ROOT / "tests" / "raft" / "scenarios").glob("*.txt")}

    assert len(rows) >= 30
    for what, files, proof in rows:
        for name in re.findall(r"`(\w+(?:/\w+)?)[.\w]*`", files):
            here = ROOT / f"raft/{name}.py"
            assert here.exists() or (ROOT / f"{name}.py").exists() or name in _words(), (what, name)
        named = re.findall(r"`([\w./]+)`", proof)
        assert named or "lint-imports" in proof, what
        for name in named:
            known = name in tests or name in scenarios or (ROOT / name).exists()
            assert known, (what, name)


def _words() -> set[str]:
    """Functions named without their file, beside one that is named with it."""
    return {
        name
        for path in (ROOT / "raft").glob("*.py")
        for name in re.findall(r"def (\w+)", path.read_text())
    } | {"tests"}
