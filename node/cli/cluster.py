"""`trireme cluster`: who is a member, who votes, who leads."""

import contextlib
import time
from pathlib import Path
from typing import Any, Final

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

# How often we look whether a rotation has ended.
LOOK_S: Final = 0.25


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


@cluster.command("rotate-key")
@click.option(
    "--wait",
    "wait_s",
    type=click.IntRange(0, 3600),
    default=30,
    show_default=True,
    help="Seconds to wait for its end; it goes on without us, too.",
)
@click.option("--check", is_flag=True, help="Begin nothing: say how far the last one is.")
@config_option
@json_option
def rotate_key(wait_s: int, check: bool, path: Path, as_json: bool) -> int:
    """Replace the key of the cluster: of gossip, and of all links between nodes.

    Every member installs a new key, then all use it, then the old one is removed; each step waits
    for every member. One begun before and not ended goes on. Exit status 1 while it is not ended.
    """
    config = load_config(path)
    report = ask_any(config, "cluster.report-key" if check else "cluster.rotate-key")
    key, deadline = report["key"], time.monotonic() + wait_s
    while not (report["done"] and report["key"] == key) and time.monotonic() < deadline:
        time.sleep(LOOK_S)
        # A leader that was elected meanwhile may still have to hear of the new key.
        with contextlib.suppress(Refused):
            report = ask_any(config, "cluster.report-key")
    done = report["done"] and report["key"] == key
    if as_json:
        print_json(report | {"done": done})
    elif done:
        _tell_new_key(report, config.secret_path)
    else:
        waits = "; ".join(f"{name}: {why}" for name, why in report["waiting"].items())
        raise Refused(
            f"the rotation to key {key} is at '{report['phase']}' and waits ({waits or 'a moment'})"
            ": start what is down, or remove it with trireme cluster remove-node; "
            "it goes on by itself (look with --check), and until its end every key is good."
        )
    return 0 if done else 1


def _tell_new_key(report: dict[str, Any], key_file: Path) -> None:
    members = ", ".join(report["members"])
    click.echo(f"key {report['key']} (number {report['number']}) is the only one on {members}.")
    if report["number"] > 1:
        click.echo(f"a node that joins needs it: copy {key_file} to its machine, mode 0600.")
    for name, why in report["key_files"].items():
        click.echo(f"{name} could not write its key file ({why}): put that copy there, too.")


@cluster.command("rotate-push-key")
@click.option("--now", "at_once", is_flag=True, help="End what was subscribed to with the old one.")
@config_option
@json_option
def rotate_push_key(at_once: bool, path: Path, as_json: bool) -> None:
    """Replace the key that web pushes are signed with (VAPID, RFC 9749).

    Clients see the new one in their session and subscribe anew; for 7 days the old one still
    signs for who has not. If it has become known to others, give --now.
    """
    told = ask_any(load_config(path), "push.rotate-key", {"at_once": at_once})
    if as_json:
        print_json(told)
    else:
        click.echo(f"pushes are signed with {told['key']}")
        click.echo(f"the old key {told['old_key']} signs until {told['old_key_until']}")


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
