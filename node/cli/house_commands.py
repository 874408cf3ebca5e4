"""`trireme node`, `trireme up`, `trireme tree`: run nodes, and look inside one."""

from pathlib import Path

import click

from node.cli.asking import ask_any, config_option, json_option, load_config, print_json
from node.config import ConfigError


@click.command("node")
@click.argument("name")
@config_option
def run_node(name: str, path: Path) -> int:
    """Run one node of the file until SIGTERM: what systemd runs."""
    from node.run import run_one

    return run_one(load_config(path), name)


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
