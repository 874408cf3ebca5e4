"""`trireme cluster`: who is a member, who votes, who leads."""

import contextlib
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from node.admin import ask
from node.cli.asking import (
    ASK_TIMEOUT_S,
    Refused,
    ask_any,
    config_option,
    homes,
    json_option,
    load_config,
    print_json,
)
from node.cli.house_commands import address


@click.group()
def cluster() -> None:
    """Members of the cluster."""


def _ask(path: Path, as_json: bool, call: str, args: dict[str, Any]) -> None:
    """Ask, and show the members that there are then."""
    members = ask_any(load_config(path), f"cluster.{call}", args)["members"]
    if as_json:
        print_json({"members": members})
        return
    table = Table(box=None, header_style="bold")
    for column in ("node", "address", "role", "votes", "replica"):
        table.add_column(column)
    for member in members:
        table.add_row(
            member["name"],
            f"{member['host']}:{member['port']}",
            member["role"],
            "yes" if member["votes"] else "no",
            f"{member['replica']:x}",
        )
    Console().print(table)


@cluster.command("add-node")
@click.argument("name")
@click.argument("where", metavar="HOST:PORT")
@click.option("--role", type=click.Choice(["voter", "replica"]), default="voter")
@config_option
@json_option
def add_node(name: str, where: str, role: str, path: Path, as_json: bool) -> None:
    """Take in a node that waits at its peer address; it becomes a learner."""
    host, port = address(where)
    _ask(path, as_json, "add-node", {"name": name, "host": host, "port": port, "role": role})


@cluster.command("remove-node")
@click.argument("name")
@click.option("--force", is_flag=True, help="Even when the voters that remain are not reached.")
@config_option
@json_option
def remove_node(name: str, force: bool, path: Path, as_json: bool) -> None:
    """Remove a member for good: its disk can never come back, an empty one may join."""
    _ask(path, as_json, "remove-node", {"name": name, "force": force})


@cluster.command()
@click.argument("name")
@config_option
@json_option
def promote(name: str, path: Path, as_json: bool) -> None:
    """Make a learner that has caught up a voter."""
    _ask(path, as_json, "promote", {"name": name})


@cluster.command()
@config_option
@json_option
def snapshot(path: Path, as_json: bool) -> None:
    """Make the states of this machine's nodes durable now, and cut their logs behind them."""
    config = load_config(path)
    rows = {}
    for name, home in homes(config):
        with contextlib.suppress(OSError):  # not running, or on another machine
            rows[name] = ask(home, "node.cut-log", {}, timeout_s=ASK_TIMEOUT_S)
    if not rows:
        raise Refused(f"no node of {config.path} runs on this machine.")
    if as_json:
        print_json({"nodes": rows})
        return
    for name, row in rows.items():
        click.echo(f"{name}: durable to {row['durable']}, log behind {row['log_starts_behind']}")


@cluster.command("transfer-leader")
@click.argument("name", required=False)
@config_option
@json_option
def transfer_leader(name: str | None, path: Path, as_json: bool) -> None:
    """Hand leadership to a voter, or to the one that is furthest."""
    answer = ask_any(load_config(path), "cluster.transfer-leader", {"name": name})
    if as_json:
        print_json(answer)
    else:
        click.echo(f"{answer['leader']} leads.")
