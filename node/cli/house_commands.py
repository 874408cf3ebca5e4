"""`trireme node`, `trireme up`, `trireme tree`: run nodes, and look inside one."""

from pathlib import Path
from typing import Any, Final

import click
import msgspec

from node.cli.asking import ask_any, config_option, json_option, load_config, print_json
from node.config import ConfigError, NodeSection
from node.identity import REPLICA_NAME

# Where a node that the file does not name listens, unless told otherwise.
DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORTS: Final = {"peer": 7911, "http": 8081, "imap": 1431, "lmtp": 1241}


@click.command("node")
@click.argument("name")
@config_option
@click.option("--join", "joins", multiple=True, metavar="HOST:PORT", help="Ask to be a member.")
@click.option("--host", help="Where peers reach a node that the file does not name.")
@click.option("--peer", type=int, help="Its port for peers.")
@click.option("--http", type=int, help="Its port for HTTP.")
@click.option("--imap", type=int, help="Its port for IMAP.")
@click.option("--lmtp", type=int, help="Its port for LMTP.")
@click.option("--role", type=click.Choice(["voter", "replica"]), help="What it may become.")
def run_node(name: str, path: Path, joins: tuple[str, ...], **given: Any) -> int:
    """Run one node until SIGTERM: what systemd runs.

    A node of the file that founded the cluster needs no more than its name. Any other joins:
    --join names the peer address of a member, and is left out when the node is one already.
    """
    from node.run import run_one

    config = load_config(path)
    if all(node.name != name for node in config.node):
        if not joins and not (config.data_directory(name) / REPLICA_NAME).exists():
            config.member(name)  # says which names there are
        config = config.joined_by(_section(name, given))
    elif any(value is not None for value in given.values()):
        raise ConfigError(f"{config.path}: names {name} and its ports: change them there.")
    return run_one(config, name, tuple(address(text) for text in joins))


def _section(name: str, given: dict[str, Any]) -> NodeSection:
    """The section of a node that the file lacks; what was not given is told."""
    values = {"host": DEFAULT_HOST, "role": "voter", **DEFAULT_PORTS}
    values |= {key: value for key, value in given.items() if value is not None}
    click.echo(f"{name}: " + ", ".join(f"{key} {value}" for key, value in values.items()))
    try:
        return msgspec.convert({"name": name} | values, NodeSection)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name} cannot be such a node: {error}.") from error


def address(text: str) -> tuple[str, int]:
    """HOST:PORT as a pair; ConfigError for anything else."""
    host, colon, port = text.rpartition(":")
    is_number = port.isascii() and port.isdecimal()
    if not colon or not host or not is_number or not 0 < int(port[:6]) < 65536:
        raise ConfigError(f"'{text}' is no address: write it as HOST:PORT.")
    return host.strip("[]"), int(port)


@click.command()
@config_option
@click.option("--only", default="", help="Run just these nodes: n1,n2.")
def up(path: Path, only: str) -> int:
    """Run the file's nodes as processes on this machine, with a status table."""
    from node.cli.up import run_all

    config = load_config(path)
    names = [name.strip() for name in only.split(",") if name.strip()]
    for name in names:
        config.member(name)
    if not names:
        names = [node.name for node in config.node]
    if not config.on_one_machine and not only:
        raise ConfigError(
            f"{config.path}: its nodes are on several machines: run trireme node NAME on each, "
            "or name this machine's with --only."
        )
    return run_all(config, names)


@click.command()
@config_option
@json_option
def tree(path: Path, as_json: bool) -> None:
    """The live nursery tree of a node: tasks, and what each waits for."""
    found = ask_any(load_config(path), "tree")
    if as_json:
        print_json(found["tree"])
    else:
        click.echo("\n".join(found["lines"]))
