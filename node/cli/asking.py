"""How commands reach a running node: the first socket that answers, of the file's nodes and of
those that joined on this machine without being in the file."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from node import admin
from node.config import Config, load

ASK_TIMEOUT_S: Final = 15.0

config_option = click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("cluster.toml"),
    show_default=True,
    help="The cluster's file.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Refused(Exception):
    """The answer is no; the text is one sentence with the mend."""


def homes(config: Config) -> Iterator[tuple[str, Path]]:
    """Name and data directory of every node that may run here: the file's, then the joined."""
    named = [node.name for node in config.node]
    for name in named:
        yield name, config.data_directory(name)
    sockets = config.data_directory("any").parent.glob(f"*/{admin.SOCKET_NAME}")
    for joined in sorted(socket.parent for socket in sockets):
        if joined.name not in named:
            yield joined.name, joined


class Asked:
    """The node of this machine that answered first: it alone is asked what follows."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._directory: Path | None = None

    def ask(self, call: str, args: Mapping[str, Any] | None = None) -> Any:
        """What it says; raises Refused."""
        if self._directory is None:
            self._directory, answer = _first_answer(self._config, call, args or {})
            return answer
        try:
            return admin.ask(self._directory, call, args or {}, timeout_s=ASK_TIMEOUT_S)
        except admin.AdminRefused as error:
            raise Refused(str(error)) from error
        except OSError as error:
            raise Refused(
                f"{self._directory.name}, which was asked, does not answer any more ({error}): "
                "look at trireme status and ask again."
            ) from error


def ask_any(config: Config, call: str, args: Mapping[str, Any] | None = None) -> Any:
    """What the first node of this machine that answers says; raises Refused."""
    return _first_answer(config, call, args or {})[1]


def _first_answer(config: Config, call: str, args: Mapping[str, Any]) -> tuple[Path, Any]:
    for _, directory in homes(config):
        try:
            return directory, admin.ask(directory, call, args, timeout_s=ASK_TIMEOUT_S)
        except admin.AdminRefused as error:
            raise Refused(str(error)) from error
        except OSError:
            continue  # not running, or on another machine: ask the next
    raise Refused(
        f"no node of {config.path} runs on this machine: start one with trireme up or trireme node."
    )


def load_config(path: Path) -> Config:
    """The cluster's file, resolved so that data directories are found from anywhere."""
    return load(path.resolve())


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(value, indent=2))
