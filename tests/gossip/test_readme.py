"""The table of the design in gossip/README.md names files and tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_row_of_the_design_has_a_file_and_a_test() -> None:
    _, _, table = (ROOT / "gossip" / "README.md").read_text().partition("## What the design asks")
    rows = [line.split("|")[1:4] for line in table.splitlines() if line.startswith("| ")][1:]
    tests: set[str] = set()
    for path in (*(ROOT / "tests/gossip").glob("test_*.py"), *(ROOT / "tests/node").glob("*.py")):
        tests |= {path.stem, *re.findall(r"def (test_\w+)", path.read_text())}

    assert len(rows) >= 20
    for what, files, proof in rows:
        for name in re.findall(r"`([\w/.]+)`", files):
            assert (ROOT / "gossip" / name).exists() or (ROOT / name).exists(), (what, name)
        named = re.findall(r"`(\w+)`", proof)
        assert named, what
        assert set(named) <= tests, (what, set(named) - tests)
