"""Exchanges of messages as text, to be read by people (consensus 1, data-driven tests).

What a scenario prints is compared with its file. When the protocol changes on purpose, write them
anew and review the difference:  python -m tests.raft.test_scenarios --rewrite
"""

import sys
from pathlib import Path

import pytest

from tests.raft.stage import perform

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_goes_as_it_is_written(path: Path) -> None:
    written = path.read_text()
    assert perform(written) == written


def test_there_are_scenarios_and_each_says_what_it_is_about() -> None:
    assert len(SCENARIOS) >= 10
    for path in SCENARIOS:
        assert path.read_text().startswith("# "), path


if __name__ == "__main__" and "--rewrite" in sys.argv:
    for each in SCENARIOS:
        each.write_text(perform(each.read_text()))
