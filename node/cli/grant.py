"""`trireme grant`: which programs users have let in by OAuth, and how to put them out."""

from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from node.cli.asking import ask_any, config_option, json_option, load_config, print_json


@click.group()
def grant() -> None:
    """Programs that users have let in by OAuth."""


def _when(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


@grant.command("list")
@click.argument("address")
@config_option
@json_option
def list_grants(address: str, path: Path, as_json: bool) -> None:
    """The programs that an account has let in, the last used first."""
    found = ask_any(load_config(path), "grant.list", {"address": address})
    if as_json:
        print_json(found)
        return
    table = Table(box=None, header_style="bold")
    for column in ("id", "program", "allowed", "last tokens", "ends"):
        table.add_column(column, no_wrap=column == "id")
    for each in found["grants"]:
        times = (_when(each[key]) for key in ("created", "used", "ends"))
        table.add_row(each["id"], each["program"], *times)
    Console().print(table)


@grant.command()
@click.argument("address")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All of them, and codes not yet used.")
@config_option
@json_option
def revoke(address: str, ids: tuple[str, ...], everything: bool, path: Path, as_json: bool) -> None:
    """Take back what an account has let programs do; every node refuses their tokens."""
    args = {"address": address, "ids": list(ids), "all": everything}
    told = ask_any(load_config(path), "grant.revoke", args)
    if as_json:
        print_json(told)
    else:
        click.echo(f"{told['revoked']} revoked.")
