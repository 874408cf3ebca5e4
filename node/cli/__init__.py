"""The command line: `trireme`. One file a group of commands; exit 0 done, 1 no, 2 usage."""

import sys

import click

from node import VERSION
from node.cli.account import account, quota
from node.cli.asking import Refused
from node.cli.cluster import cluster
from node.cli.fuzz import fuzz
from node.cli.grant import grant
from node.cli.house_commands import run_node, tree, up
from node.cli.mailing_list import domain, mailing_list
from node.cli.status import status
from node.cli.verify import verify
from node.config import ConfigError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="trireme")
def trireme() -> None:
    """A mail store that replicates itself."""


_DIRECTORY = (account, quota, grant, mailing_list, domain)
for _command in (up, run_node, status, verify, tree, *_DIRECTORY, cluster, fuzz):
    trireme.add_command(_command)


def main() -> None:
    """Run one command; every expected failure is one sentence on standard error."""
    if not __debug__:
        # Assertions are how a node notices its own bugs before they reach the disk.
        sys.exit("trireme does not run under python -O: start it without.")
    try:
        code = trireme.main(prog_name="trireme", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(1)
    except ConfigError as error:
        click.echo(f"trireme: {error}", err=True)
        sys.exit(2)
    except Refused as error:
        click.echo(f"trireme: {error}", err=True)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)
