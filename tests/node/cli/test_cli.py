"""Commands end with 0, 1 or 2, and say one sentence when it is not 0."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from node.cli.account import Size

ROOT = Path(__file__).resolve().parents[3]


def trireme(*words: str, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *flags, "-m", "node", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )


def quiet_copy(tmp_path: Path) -> str:
    """The demo file in a place where no node runs."""
    copy = tmp_path / "cluster.toml"
    copy.write_text((ROOT / "cluster.toml").read_text())
    return str(copy)


def test_the_answer_is_no_when_no_node_runs(tmp_path: Path) -> None:
    ended = trireme("status", "-c", quiet_copy(tmp_path))
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1 and "start one with trireme up" in ended.stderr


def test_a_wrong_word_is_a_usage_error() -> None:
    assert trireme("statsu").returncode == 2
    assert trireme("account", "add").returncode == 2


def test_a_mistake_in_the_file_is_a_usage_error_with_its_line(tmp_path: Path) -> None:
    copy = Path(quiet_copy(tmp_path))
    copy.write_text(copy.read_text().replace("[cluster]", "[clusters]"))
    ended = trireme("status", "-c", str(copy))
    assert ended.returncode == 2
    assert "cluster.toml:2: unknown key 'clusters': did you mean 'cluster'?" in ended.stderr


def test_a_node_that_is_not_in_the_file_is_not_started(tmp_path: Path) -> None:
    ended = trireme("node", "n9", "-c", quiet_copy(tmp_path))
    assert ended.returncode == 2 and "use one of n1, n2, n3" in ended.stderr


def test_without_assertions_nothing_runs() -> None:
    ended = trireme("status", flags=("-O",))
    assert ended.returncode != 0 and "python -O" in ended.stderr


def test_sizes_are_read_as_people_write_them() -> None:
    size = Size()
    read = [size.convert(text, None, None) for text in ("1", "500M", "2g", "1 KiB", "none")]
    assert read == [1, 500 << 20, 2 << 30, 1024, 0]
    for text in ("", "0", "M", "-1", "1.5G", "1Z", "9999999999999999"):
        with pytest.raises(click.BadParameter):
            size.convert(text, None, None)
