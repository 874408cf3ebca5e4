"""The runner on a broken tree: the bug is planted in a copy, and the words reach its runner."""

import argparse
from pathlib import Path

import pytest

from fuzz import broken, cluster
from fuzz.mutants import ROOT
from fuzz.planted import MUTANTS


def test_short_names_stand_for_bugs_that_there_are() -> None:
    assert set(broken.SHORT.values()) <= {mutant.name for mutant in MUTANTS}
    assert set(broken.names()) >= {"ack before fsync", "a log written without fsync"}


def test_the_copy_has_the_bug_and_the_tree_has_not() -> None:
    mutant = next(m for m in MUTANTS if m.name == broken.SHORT["ack before fsync"])
    with broken.broken_tree("ack before fsync") as tree:
        assert mutant.new in (tree / mutant.file).read_text()
        assert (tree / "fuzz" / "cluster.py").exists() and not (tree / ".git").exists()
    assert mutant.old in (ROOT / mutant.file).read_text()
    assert not tree.exists()


def test_words_for_another_tree_name_files_from_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    options = argparse.Namespace(
        nodes=5, seed=2, seconds=9.0, only="", replay=Path("a.json"), record=None
    )
    assert cluster.words_again(options) == [
        "--nodes=5",
        "--seed=2",
        "--seconds=9.0",
        "--replay=/a.json",
    ]


def test_a_commit_is_told_where_there_is_one() -> None:
    assert broken.commit()
