"""What once broke a parser, and the seeds it is fuzzed from, are replayed for ever."""

import random
from pathlib import Path

import pytest

from fuzz.run import CORPUS, INPUT_BYTES_MAX, broken_by, corpus, mutate
from fuzz.targets import TARGETS

FILES = sorted(path for path in CORPUS.glob("*/*") if path.parent.name in TARGETS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_corpus_file_breaks_nothing(path: Path) -> None:
    assert broken_by(TARGETS[path.parent.name], path.read_bytes()) is None


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_few_hundred_mutations_break_nothing(name: str) -> None:
    chance, seeds = random.Random(f"test-{name}"), corpus(name)
    for _ in range(200):
        data = mutate(chance, seeds)
        assert len(data) <= INPUT_BYTES_MAX
        wrong = broken_by(TARGETS[name], data)
        assert wrong is None, f"{data!r}\n{wrong}"


def test_a_target_that_breaks_is_noticed() -> None:
    def breaks(data: bytes) -> None:
        raise KeyError(data)

    assert "KeyError" in (broken_by(breaks, b"x") or "")
