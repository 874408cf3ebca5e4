"""`trireme account`: who has mail here."""

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from node.cli.asking import ask_any, config_option, json_option, load_config, print_json


@click.group()
def account() -> None:
    """Accounts of the cluster."""


@account.command()
@click.argument("address")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@config_option
@json_option
def add(address: str, password_stdin: bool, path: Path, as_json: bool) -> None:
    """Make an account, and its domain when that is new."""
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    made = ask_any(load_config(path), "account.add", {"address": address, "password": password})
    if as_json:
        print_json(made)
    else:
        click.echo(f"{made['address']} is account {made['id']}.")


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
    for column in ("id", "address", "emails", "octets"):
        table.add_column(column)
    for found in accounts:
        table.add_row(*(str(found[key]) for key in ("id", "address", "emails", "octets")))
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
    for key in ("id", "address", "aliases", "emails", "octets", "quota", "created"):
        value = found[key]
        click.echo(f"{key}: {', '.join(value) if isinstance(value, list) else value}")
    for mailbox in found["mailboxes"]:
        click.echo(
            f"mailbox {mailbox['path']}: {mailbox['emails']} emails, {mailbox['unread']} unread"
        )
