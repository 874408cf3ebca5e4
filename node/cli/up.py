"""The nodes of one file as child processes, watched until a signal ends them all.

A node that dies stays down and is shown so: whoever killed it wanted that, or wants to see it.
Its log is in its data directory, and `trireme node NAME` starts it again beside the others.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import IO, Any, Final

import click
from rich.console import Console
from rich.live import Live

from node.cli.status import nodes_of, table_of
from node.config import Config
from node.secret import ensure_secret

LOOK_S: Final = 0.5
STOP_S: Final = 20.0
LOG_LINES_SHOWN: Final = 5


class Child:
    """One node's process and its log file."""

    def __init__(self, config: Config, name: str) -> None:
        directory = config.data_directory(name)
        directory.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.log = directory / "node.log"
        self._out: IO[bytes] = self.log.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "node", "node", name, "-c", str(config.path)],
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._out,
            start_new_session=True,  # a Ctrl-C reaches us alone; we pass it on in order
        )
        self.told = False

    def tell_if_dead(self) -> None:
        """Say once that the process ended, with the last words of its log."""
        code = self.process.poll()
        if code is None or self.told:
            return
        self.told = True
        click.echo(
            f"node {self.name} ended ({_ending(code)}); its log is {self.log}; "
            f"start it again with: trireme node {self.name}"
        )
        if code > 0:
            for line in _last_lines(self.log):
                click.echo(f"  {line}")


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"status {code}"


def _last_lines(path: Path) -> list[str]:
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - 8192))
        return log.read().decode("utf-8", "replace").splitlines()[-LOG_LINES_SHOWN:]


class _Stop(Exception):
    """A signal asked us to end."""


def run_all(config: Config, names: list[str]) -> int:
    """Run the nodes until SIGINT or SIGTERM; 1 when all of them ended by themselves."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise _Stop

    ensure_secret(config)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    children: list[Child] = []
    try:
        children.extend(Child(config, name) for name in names)
        _watch(config, children)
    except _Stop:
        return 0
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _end(children)
    return 1


def _watch(config: Config, children: list[Child]) -> None:
    console = Console()
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            while _any_alive(children):
                live.update(table_of(nodes_of(config)), refresh=True)
                time.sleep(LOOK_S)
        return
    before: list[tuple[Any, ...]] = []
    while _any_alive(children):
        nodes = nodes_of(config)
        now = [(node["name"], node["up"], node["role"], node["term"]) for node in nodes]
        if now != before:
            console.print(table_of(nodes))
            before = now
        time.sleep(LOOK_S)


def _any_alive(children: list[Child]) -> bool:
    for child in children:
        child.tell_if_dead()
    return any(child.process.poll() is None for child in children)


def _end(children: list[Child]) -> None:
    for child in children:
        if child.process.poll() is None:
            child.process.terminate()
    deadline = time.monotonic() + STOP_S
    for child in children:
        try:
            child.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
