"""Planted bugs must keep their ground: each text stands once, and hunters see and pass as told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fuzz import mutants
from fuzz.mutants import MODULES, ROOT, commands, hunt, look_at_clean, plant, restore, run
from fuzz.mutants_report import Result, render, summary
from fuzz.planted import ALWAYS, MUTANTS, TIER_A, Mutant, tier_a
from fuzz.warm import Warm
from tests.simulation.faults import NAMES


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_can_still_be_planted(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text().count(mutant.old) == 1
    assert mutant.old != mutant.new
    for hunter in mutant.hunters:
        tier, *always = hunter.split(ALWAYS)
        path, _, test = hunter.partition("::")
        assert tier in MODULES or f"def {test}" in (ROOT / path).read_text(), hunter
        assert not always or (tier == TIER_A and {*always} <= {*NAMES}), hunter


def test_names_are_told_apart() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree of one file and its test, and its copy."""
    for place in (tmp_path / "root", tmp_path / "copy"):
        place.mkdir()
        (place / "sums.py").write_text("def add(a, b):\n    return a + b\n")
        (place / "test_sums.py").write_text(
            "from sums import add\ndef test_add():\n    assert add(1, 2) == 3\n"
        )
    monkeypatch.setattr(mutants, "ROOT", tmp_path / "root")
    return tmp_path / "copy"


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    with Warm() as warm:
        yield warm


WRONG = Mutant("minus", "sums.py", "a + b", "a - b", ("test_sums.py",))


def test_a_bug_is_seen_and_taken_back(warm: Warm, tree: Path) -> None:
    (command,) = commands("test_sums.py")
    assert run(warm, tree, command).said is None
    result = hunt(warm, tree, WRONG, 60)
    assert result.killed_by == "test_sums.py" and "test_add" in result.said
    assert (tree / "sums.py").read_text() == (mutants.ROOT / "sums.py").read_text()


def test_what_nobody_sees_lives(warm: Warm, tree: Path) -> None:
    same = Mutant("b + a", "sums.py", "a + b", "b + a", ("test_sums.py",))
    assert hunt(warm, tree, same, 60).killed_by is None


def test_a_bug_that_never_ends_is_seen(warm: Warm, tree: Path) -> None:
    (command,) = commands("test_sums.py")
    endless = Mutant(
        "endless", "sums.py", "    return a + b", "    while True: pass", ("test_sums.py",)
    )
    plant(tree, endless)
    assert run(warm, tree, command, 3).said == "still computing after 4 s"


def test_what_fails_without_a_bug_is_told(warm: Warm, tree: Path) -> None:
    assert look_at_clean(warm, tree, "test_sums.py").said is None
    plant(tree, WRONG)
    assert "test_sums.py" in (look_at_clean(warm, tree, "test_sums.py").said or "")


def test_a_tier_is_hunted_in_portions_of_seeds_with_its_faults() -> None:
    first, second, *_ = commands(tier_a("compact", "rows lost"))
    assert first[-4:] == ("--always", "compact", "--always", "rows lost")
    assert first[first.index("--first-seed") + 1] == "1"
    assert second[second.index("--first-seed") + 1] == "11"


def test_the_report_tells_who_killed_what_and_who_lives() -> None:
    results = [
        Result("minus", "sums.py", "test_sums.py", 0.5, "FAILED /tmp/x/tree/test | at 0x7f: `1`"),
        Result("b + a", "sums.py", None, 2.0),
    ]
    assert summary(results).startswith("1/2 killed; CPU seconds to kill one: median 2.0, worst 2.0")
    page = render(results)
    assert "| minus | `sums.py` | `test_sums.py` | 0.5 | test \\|: '1' |" in page
    assert "| b + a | `sums.py` | **nobody** | 2.0 |  |" in page


def test_a_text_that_is_not_there_once_is_refused(tree: Path) -> None:
    with pytest.raises(ValueError, match="3 times"):
        plant(tree, Mutant("x", "sums.py", "a", "x", ()))
    restore(tree, WRONG)
