"""`trireme status`: members, roles, term, applied index, lag and health, as one node sees them."""

import time
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from node.cli.asking import Refused, ask_any, config_option, json_option, load_config, print_json
from node.config import Config

WATCH_S: Final = 1.0


def table_of(nodes: list[dict[str, Any]]) -> Table:
    """One row a node."""
    table = Table(box=None, header_style="bold")
    for column in ("node", "pid", "state", "role", "term", "commit", "applied", "lag", "doors"):
        table.add_column(column, justify="right" if column in ("term", "commit", "lag") else "left")
    for node in nodes:
        state = "up" if node["up"] else "down"
        table.add_row(
            node["name"],
            *(
                "-" if value is None else str(value)
                for value in (
                    node["pid"],
                    state,
                    node["role"],
                    node["term"],
                    node["commit"],
                    node["applied"],
                    node["lag"],
                    node["doors"],
                )
            ),
            style=None if node["up"] else "red",
        )
    return table


def nodes_of(config: Config) -> list[dict[str, Any]]:
    """Every node of the file; all down when none answers."""
    try:
        nodes: list[dict[str, Any]] = ask_any(config, "status")["nodes"]
    except Refused:
        return [down(node.name) for node in config.node]
    return nodes


def down(name: str) -> dict[str, Any]:
    """The row of a node of which nothing is known."""
    unknown = ("pid", "role", "term", "commit", "applied", "lag", "leader", "doors")
    return {"name": name, "up": False, **dict.fromkeys(unknown)}


@click.command()
@config_option
@json_option
@click.option("--watch", is_flag=True, help="Show it again every second.")
def status(path: Path, as_json: bool, watch: bool) -> None:
    """Members, roles, term, applied index, lag and health."""
    config = load_config(path)
    if watch:
        _watch(config, as_json)
        return
    nodes = ask_any(config, "status")["nodes"]
    if as_json:
        print_json({"nodes": nodes})
    else:
        Console().print(table_of(nodes))


def _watch(config: Config, as_json: bool) -> None:
    try:
        if as_json:
            while True:
                print_json({"nodes": nodes_of(config)})
                time.sleep(WATCH_S)
        with Live(table_of(nodes_of(config)), auto_refresh=False) as live:
            while True:
                time.sleep(WATCH_S)
                live.update(table_of(nodes_of(config)), refresh=True)
    except KeyboardInterrupt:
        return
