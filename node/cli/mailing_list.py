"""`trireme list` and `trireme domain`: where mail goes that is no account's own."""

from pathlib import Path
from typing import Any

import click

from node.cli.asking import ask_any, config_option, json_option, load_config, print_json


def _tell(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    for key, value in found.items():
        click.echo(f"{key}: {', '.join(value) if isinstance(value, list) else value}")


@click.group("list")
def mailing_list() -> None:
    """Mailing lists: addresses whose mail goes on to others."""


@mailing_list.command()
@click.argument("address")
@click.option("--member", "members", multiple=True, help="Whom its mail goes to: any address.")
@config_option
@json_option
def add(address: str, members: tuple[str, ...], path: Path, as_json: bool) -> None:
    """Make a list in a domain of the cluster."""
    args = {"address": address, "members": list(members)}
    _tell(ask_any(load_config(path), "list.add", args), as_json)


@mailing_list.command("list")
@config_option
@json_option
def list_lists(path: Path, as_json: bool) -> None:
    """All lists."""
    found = ask_any(load_config(path), "list.list")
    if as_json:
        print_json(found)
        return
    for each in found["lists"]:
        click.echo(f"{each['address']}: {each['members']} members")


@mailing_list.command()
@click.argument("address")
@config_option
@json_option
def show(address: str, path: Path, as_json: bool) -> None:
    """One list and who is in it."""
    _tell(ask_any(load_config(path), "list.show", {"address": address}), as_json)


@mailing_list.command()
@click.argument("address")
@click.option("--add-member", "add_", multiple=True, help="Somebody more.")
@click.option("--remove-member", "remove", multiple=True, help="Somebody to take out.")
@config_option
@json_option
def update(
    address: str, add_: tuple[str, ...], remove: tuple[str, ...], path: Path, as_json: bool
) -> None:
    """Change who is in a list."""
    args = {"address": address, "add": list(add_), "remove": list(remove)}
    _tell(ask_any(load_config(path), "list.update", args), as_json)


@mailing_list.command()
@click.argument("address")
@config_option
@json_option
def delete(address: str, path: Path, as_json: bool) -> None:
    """Remove a list; nobody in it is touched."""
    _tell(ask_any(load_config(path), "list.delete", {"address": address}), as_json)


@click.group()
def domain() -> None:
    """Domains whose mail ends here."""


@domain.command("add")
@click.argument("name")
@config_option
@json_option
def add_domain(name: str, path: Path, as_json: bool) -> None:
    """Serve a domain."""
    _tell(ask_any(load_config(path), "domain.add", {"domain": name}), as_json)


@domain.command("list")
@config_option
@json_option
def list_domains(path: Path, as_json: bool) -> None:
    """All domains, and who has the mail for unknown addresses in them."""
    found = ask_any(load_config(path), "domain.list")
    if as_json:
        print_json(found)
        return
    for each in found["domains"]:
        to = f": unknown addresses go to {each['catchAll']}" if each["catchAll"] else ""
        click.echo(each["domain"] + to)


@domain.command("update")
@click.argument("name")
@click.option("--catch-all", "to", required=True, help="An account or list, or none.")
@config_option
@json_option
def update_domain(name: str, to: str, path: Path, as_json: bool) -> None:
    """Give the mail for addresses that nobody has to somebody."""
    args = {"domain": name, "catchAll": "" if to.lower() == "none" else to}
    _tell(ask_any(load_config(path), "domain.update", args), as_json)
