"""`trireme account` and `trireme quota`: who has mail here, and how much."""

import re
import sys
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

from node.cli.asking import ask_any, config_option, json_option, load_config, print_json

_SIZE: Final = re.compile(r"([0-9]{1,15})\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_COUNT: Final = re.compile(r"[0-9]{1,15}")
# What `account update` sets of an account, besides its names.
_SETTINGS: Final = ("quota", "messages", "mailbox_limit", "administrator")
_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class Size(click.ParamType[int]):
    """Octets as people write them: 500M, 2G, none."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The octets; 0 for none."""
        if isinstance(value, int):
            return value
        if value.lower() == "none":
            return 0
        found = _SIZE.fullmatch(value.strip())
        octets = int(found[1]) * _UNITS[found[2].lower()] if found else 0
        if not octets:
            self.fail(f"{value!r} is no size: write 500M, 2G, or none for no limit.", param, ctx)
        return octets


class Count(click.ParamType[int]):
    """A number of messages or mailboxes, or none."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number; 0 for none."""
        if isinstance(value, int):
            return value
        if value.lower() == "none":
            return 0
        if not _COUNT.fullmatch(value) or not int(value):
            self.fail(f"{value!r} is no number: write 10000, or none for no limit.", param, ctx)
        return int(value)


def _shown(value: Any) -> str:
    """A value of an answer, for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else str(value)


def _new_password(*, from_stdin: bool) -> str:
    """The first line of standard input, or what is typed twice."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return typed


@click.group()
def account() -> None:
    """Accounts of the cluster."""


@account.command()
@click.argument("address")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--administrator/--no-administrator", help="May limit others' mail by IMAP.")
@config_option
@json_option
def add(address: str, password_stdin: bool, administrator: bool, path: Path, as_json: bool) -> None:
    """Make an account, and its domain when that is new."""
    password = _new_password(from_stdin=password_stdin)
    args = {"address": address, "password": password, "administrator": administrator}
    made = ask_any(load_config(path), "account.add", args)
    if as_json:
        print_json(made)
    else:
        more = ", an administrator" if made.get("administrator") else ""
        click.echo(f"{made['address']} is account {made['id']}{more}.")


@account.command("list")
@config_option
@json_option
def list_accounts(path: Path, as_json: bool) -> None:
    """All accounts."""
    accounts = ask_any(load_config(path), "account.list")["accounts"]
    if as_json:
        print_json({"accounts": accounts})
        return
    table = Table(box=None, header_style="bold")
    columns = ("id", "address", "emails", "octets", "administrator")
    for column in columns:
        table.add_column(column)
    for found in accounts:
        table.add_row(*(_shown(found.get(key)) for key in columns))
    Console().print(table)


@account.command()
@click.argument("address")
@config_option
@json_option
def show(address: str, path: Path, as_json: bool) -> None:
    """One account and its mailboxes."""
    found = ask_any(load_config(path), "account.show", {"address": address})
    if as_json:
        print_json(found)
        return
    for key in ("id", "address", "aliases", "emails", "octets", *_SETTINGS, "created"):
        click.echo(f"{key}: {_shown(found.get(key))}")
    for mailbox in found["mailboxes"]:
        click.echo(
            f"mailbox {mailbox['path']}: {mailbox['emails']} emails, {mailbox['unread']} unread"
        )


@account.command()
@click.argument("address")
@click.option("--add-alias", "add", multiple=True, help="Another address of the account.")
@click.option("--remove-alias", "remove", multiple=True, help="An alias to take away.")
@click.option("--quota", "octets", type=Size(), help="What its mail may take: 500M, 2G, none.")
@click.option("--messages", type=Count(), help="How many messages it may have: 10000, none.")
@click.option(
    "--mailboxes", "mailbox_limit", type=Count(), help="How many mailboxes it may have: 100, none."
)
@click.option(
    "--administrator/--no-administrator", default=None, help="May it limit others' mail by IMAP."
)
@click.option("--password", is_flag=True, help="Ask for a new password.")
@click.option("--password-stdin", is_flag=True, help="Read a new password from standard input.")
@config_option
@json_option
def update(
    address: str,
    add: tuple[str, ...],
    remove: tuple[str, ...],
    octets: int | None,
    messages: int | None,
    mailbox_limit: int | None,
    administrator: bool | None,
    password: bool,
    password_stdin: bool,
    path: Path,
    as_json: bool,
) -> None:
    """Change an account's password, aliases or quotas, or what it may do.

    An old password is refused from then on, and who listens with it is sent away.
    """
    args = {
        "address": address,
        "add": list(add),
        "remove": list(remove),
        "quota": octets,
        "messages": messages,
        "mailbox_limit": mailbox_limit,
        "administrator": administrator,
    }
    if password or password_stdin:
        args["password"] = _new_password(from_stdin=password_stdin)
    changed = ask_any(load_config(path), "account.update", args)
    if as_json:
        print_json(changed)
        return
    for key in ("address", "aliases", *_SETTINGS):
        click.echo(f"{key}: {_shown(changed.get(key))}")


@click.group()
def quota() -> None:
    """How much mail an account may have."""


@quota.command("set")
@click.argument("address")
@click.argument("octets", metavar="SIZE", type=Size())
@config_option
def set_quota(address: str, octets: int, path: Path) -> None:
    """Limit an account's mail to SIZE: 500M, 2G, or none for no limit."""
    changed = ask_any(load_config(path), "account.update", {"address": address, "quota": octets})
    told = "no limit" if changed["quota"] is None else f"{changed['quota']} octets"
    click.echo(f"{changed['address']} has {told}.")
