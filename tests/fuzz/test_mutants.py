"""Planted bugs must keep their ground: each text stands once, and hunters see and pass as told."""

from pathlib import Path

import pytest

from fuzz import mutants
from fuzz.mutants import ROOT, commands, fails, hunt, plant, restore
from fuzz.planted import MUTANTS, TIER_A, TIER_B, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_can_still_be_planted(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text().count(mutant.old) == 1
    assert mutant.old != mutant.new
    for hunter in mutant.hunters:
        assert hunter in (TIER_A, TIER_B) or (ROOT / hunter).exists(), hunter


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


WRONG = Mutant("minus", "sums.py", "a + b", "a - b", ("test_sums.py",))


def test_a_bug_is_seen_and_taken_back(tree: Path) -> None:
    (command,) = commands("test_sums.py")
    assert fails(tree, command) is None
    result = hunt(tree, WRONG, 60)
    assert result.killed_by == "test_sums.py" and "test_add" in result.said
    assert (tree / "sums.py").read_text() == (mutants.ROOT / "sums.py").read_text()


def test_what_nobody_sees_lives(tree: Path) -> None:
    same = Mutant("b + a", "sums.py", "a + b", "b + a", ("test_sums.py",))
    assert hunt(tree, same, 60).killed_by is None


def test_a_text_that_is_not_there_once_is_refused(tree: Path) -> None:
    with pytest.raises(ValueError, match="3 times"):
        plant(tree, Mutant("x", "sums.py", "a", "x", ()))
    restore(tree, WRONG)
