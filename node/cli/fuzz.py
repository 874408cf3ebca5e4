"""`trireme fuzz`: trouble for real nodes, and hostile bytes for parsers, from the source checkout.

The fuzzer is no part of the installed program, which never imports it: it is started as a process
of its own, and its exit status is ours.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import click

from node.cli.asking import Refused

CHECKOUT: Final = Path(__file__).resolve().parents[2]
# Words beside those named here go to the fuzzer as they are; it says what it knows.
PASS_ON: Final = {"ignore_unknown_options": True, "help_option_names": []}


@click.group()
def fuzz() -> None:
    """Tests that a user can repeat: by seed, and by replay."""


def _command(name: str, told: str) -> None:
    @fuzz.command(name, context_settings=PASS_ON, help=told, short_help=told)
    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    def run(words: tuple[str, ...]) -> int:
        return start(CHECKOUT, name, *words)


_command("cluster", "Five real nodes, every fault, clients at every door; then the judges.")
_command("imap", "Random IMAP clients on one mailbox, and nodes killed under them.")
_command("chaos", "Nodes killed and started again under a steady stream of mail.")
_command("parsers", "Hostile bytes for every parser.")
_command("jmap", "Requests drawn from the schema of every JMAP method.")


def start(checkout: Path, *words: str) -> int:
    """Run `python -m fuzz` of this checkout with these words; its exit status."""
    if not (checkout / "fuzz" / "__main__.py").exists():
        raise Refused(
            "the fuzzer is in the source checkout only: "
            "get it, make .venv/.ready-dev there, and use its .venv/bin/trireme."
        )
    paths = os.pathsep.join(filter(None, (str(checkout), os.environ.get("PYTHONPATH"))))
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": paths}
    child = subprocess.Popen([sys.executable, "-m", "fuzz", *words], env=environment)
    # Whatever ends us ends it first: it has namespaces and mounts to take down. A Ctrl-C reaches
    # it by itself.
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    status = child.wait()
    return status if status >= 0 else 128 - status
