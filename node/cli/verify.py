"""`trireme verify`: every node recounts and hashes all it has, and all are compared."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from node.cli.asking import Asked, config_option, json_option, load_config, print_json

LOOK_S: Final = 0.5
# Where there is no terminal, a line is printed so often.
LINE_S: Final = 5.0

_COLUMNS: Final = ("node", "state", "entry", "rows", "accounts", "blobs", "octets", "mended")


class _Show(Protocol):
    def __call__(self, nodes: list[dict[str, Any]]) -> None: ...


@click.command()
@click.option("--repair", is_flag=True, help="Rebuild what is damaged on a node from the others.")
@config_option
@json_option
def verify(repair: bool, path: Path, as_json: bool) -> int:
    """Recount counters and indexes, hash blobs, compare nodes; 1 when anything is not right.

    Counters, indexes and blobs of every node are made anew from its primary rows while it serves,
    and all nodes' rows are compared at one entry of the log.
    """
    asked = Asked(load_config(path))
    asked.ask("verify.begin", {"repair": repair})
    with _progress(hidden=as_json) as show:
        while True:
            found = asked.ask("verify.look")
            show(found["nodes"])
            if found["done"]:
                break
            time.sleep(LOOK_S)
    clean = not found["differences"]
    if as_json:
        print_json({"clean": clean} | {key: found[key] for key in found if key != "done"})
    else:
        _print(found)
    return 0 if clean else 1


def _print(found: dict[str, Any]) -> None:
    table = Table(box=None, header_style="bold")
    for column in _COLUMNS:
        table.add_column(column)
    for node in found["nodes"]:
        told = ("name", "state", "index", "rows", "accounts", "blobs", "octets", "mended")
        table.add_row(*(str(node[key]) for key in told))
    Console().print(table)
    for difference in found["differences"]:
        click.echo(f"{difference['node']}: {difference['what']}")
    for name in found["rebuilding"]:
        click.echo(f"{name} moves its rows aside and rebuilds them: verify again when it is ready.")
    if not found["differences"]:
        click.echo("All is as it should be, on every node.")


@contextmanager
def _progress(*, hidden: bool) -> Iterator[_Show]:
    """A bar for each node on a terminal, plain lines elsewhere, nothing beside JSON."""
    console = Console(stderr=True)
    if hidden:
        yield lambda nodes: None
    elif console.is_terminal:
        with _bars(console) as show:
            yield show
    else:
        yield _Lines()


@contextmanager
def _bars(console: Console) -> Iterator[_Show]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bars: dict[str, Any] = {}

        def show(nodes: list[dict[str, Any]]) -> None:
            for node in nodes:
                name = node["name"]
                if name not in bars:
                    bars[name] = progress.add_task(name, total=None)
                progress.update(
                    bars[name],
                    description=f"{name} {node['phase']}",
                    completed=node["done"],
                    total=node["total"] or None,
                )

        yield show


class _Lines:
    """A line every LINE_S."""

    def __init__(self) -> None:
        self._due_s = time.monotonic() + LINE_S

    def __call__(self, nodes: list[dict[str, Any]]) -> None:
        if time.monotonic() >= self._due_s:
            self._due_s += LINE_S
            parts = [f"{n['name']} {n['phase']} {n['done']}/{n['total']}" for n in nodes]
            click.echo(", ".join(parts), err=True)
