"""`trireme fuzz` starts the checkout's fuzzer and passes on its words and its exit status."""

import subprocess
import sys
from pathlib import Path

import pytest

from node.cli.asking import Refused
from node.cli.fuzz import start

ROOT = Path(__file__).resolve().parents[3]


def fuzz(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "node", "fuzz", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )


def test_words_and_status_are_passed_on() -> None:
    ended = fuzz("parsers", "--target", "imap", "--seed", "3", "--seconds", "0.1")
    assert ended.returncode == 0, ended.stderr
    assert "imap: seed 3" in ended.stdout


def test_the_fuzzers_own_no_is_ours() -> None:
    ended = fuzz("cluster", "--only", "flood")
    assert ended.returncode == 2 and "power on slow disks" in ended.stderr


def test_help_is_the_fuzzers() -> None:
    assert "--replay" in fuzz("cluster", "--help").stdout


def test_without_the_source_one_sentence_says_so(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="source checkout") as refused:
        start(tmp_path, "cluster")
    assert str(refused.value).count("\n") == 0
