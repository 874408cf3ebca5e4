"""Addresses on the command line, and commands with nobody to ask."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from node.cli import trireme
from node.cli.asking import Refused, homes, load_config
from node.cli.house_commands import address
from node.config import ConfigError

DEMO = (Path(__file__).resolve().parents[3] / "cluster.toml").read_text()


@pytest.mark.parametrize(
    ("text", "pair"), [("n4.example.org:7911", ("n4.example.org", 7911)), ("[::1]:1", ("::1", 1))]
)
def test_an_address_is_a_host_and_a_port(text: str, pair: tuple[str, int]) -> None:
    assert address(text) == pair


@pytest.mark.parametrize("text", ["", "n4", ":7911", "n4:", "n4:0", "n4:65536", "n4:٣", "n4:-1"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT"):
        address(text)


@pytest.mark.parametrize(
    "words",
    [
        ["remove-node", "n1"],
        ["promote", "n1"],
        ["transfer-leader"],
        ["add-node", "x", "h:1"],
        ["rotate-key"],
        ["rotate-push-key", "--now"],
    ],
)
def test_without_a_running_node_there_is_nobody_to_ask(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "cluster.toml").write_text(DEMO)
    result = CliRunner().invoke(
        trireme, ["cluster", *words, "-c", str(tmp_path / "cluster.toml")], standalone_mode=False
    )
    assert isinstance(result.exception, Refused) and "start one" in str(result.exception)


def test_nodes_that_joined_here_are_asked_after_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "cluster.toml").write_text(DEMO)
    for name in ("n5", "n2", "n4", "gone"):
        (tmp_path / "var" / name).mkdir(parents=True)
        if name != "gone":
            (tmp_path / "var" / name / "admin.sock").touch()
    found = dict(homes(load_config(tmp_path / "cluster.toml")))
    assert list(found) == ["n1", "n2", "n3", "n4", "n5"]
    assert found["n4"] == tmp_path / "var" / "n4"
