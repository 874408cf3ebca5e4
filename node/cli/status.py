"""`trireme status`: members, roles, term, applied index, lag and health, as one node sees them."""

import time
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from node.cli.asking import Refused, ask_any, config_option, json_option, load_config, print_json
from node.config import Config

WATCH_S: Final = 1.0
GIB: Final = 1 << 30

# On a terminal of 80 columns each of these fits in a line.
_STANDING: Final = ("pid", "state", "role", "term", "commit", "applied", "lag")
_HEALTH: Final = ("rtt ms", "disk", "rows and blobs")
_DOORS: Final = ("doors",)
_RIGHT: Final = ("term", "commit", "applied", "lag")


def table_of(nodes: list[dict[str, Any]]) -> Group:
    """One row a node: how it stands in the cluster, how it is, and where it listens."""
    parts = (_STANDING, _HEALTH, _DOORS)
    return Group(*(_part(nodes, part) for part in parts))


def _part(nodes: list[dict[str, Any]], columns: tuple[str, ...]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("node", *columns):
        table.add_column(column, justify="right" if column in _RIGHT else "left")
    for node in nodes:
        told = [_TELLS[column](node) for column in columns]
        table.add_row(
            node["name"],
            *("-" if value is None else str(value) for value in told),
            style=None if node["up"] else "red",
        )
    return table


def _role(node: dict[str, Any]) -> str | None:
    """A learner is either on its way to vote, or a replica for good."""
    role: str | None = node["role"]
    standing = node.get("standing")
    return standing if role == "learner" and standing else role


def _rtt(rtt_ms: dict[str, float]) -> str | None:
    return " ".join(f"{name} {ms:.1f}" for name, ms in rtt_ms.items()) or None


def _disk(node: dict[str, Any]) -> str | None:
    """How long a checkpoint took to reach it, and what is left of it."""
    sync_ms, free = node.get("sync_ms"), node.get("free_bytes")
    parts = [] if sync_ms is None else [f"{sync_ms} ms"]
    parts += [] if free is None else [f"{free / GIB:.1f} GiB free"]
    if (space := node.get("space")) not in (None, "ample"):
        parts.append(space)
    return ", ".join(parts) or None


def _state(node: dict[str, Any]) -> str | None:
    """Whether rows and blobs are what they should be, as far as the node knows."""
    if node.get("agrees") not in (None, "agree"):
        return f"differs: {node['agrees']}"
    scrub: str | None = node.get("scrub")
    return scrub


_TELLS: Final[dict[str, Callable[[dict[str, Any]], object]]] = {
    **{field: itemgetter(field) for field in ("pid", "term", "commit", "applied", "lag", "doors")},
    "state": lambda node: "up" if node["up"] else "down",
    "role": _role,
    "rtt ms": lambda node: _rtt(node.get("rtt_ms") or {}),
    "disk": _disk,
    "rows and blobs": _state,
}


def nodes_of(config: Config) -> list[dict[str, Any]]:
    """Every node of the file; all down when none answers."""
    try:
        nodes: list[dict[str, Any]] = ask_any(config, "status")["nodes"]
    except Refused:
        return [down(node.name) for node in config.node]
    return nodes


def down(name: str) -> dict[str, Any]:
    """The row of a node of which nothing is known."""
    unknown = (
        *("pid", "role", "term", "commit", "applied", "lag", "leader", "doors"),
        *("standing", "rtt_ms", "sync_ms", "free_bytes", "space", "scrub", "verified", "agrees"),
    )
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
