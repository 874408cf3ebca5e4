"""Running modules in forks of a process that has imported what nearly all of them import.

    python -m fuzz.warm      one JSON request a line in, one JSON answer a line out

Most of a short test run is Python's own start and the import of pytest and its plugins. A fork
begins behind that, with none of the tree's own modules loaded, so each run sees its tree as it is.
"""

import importlib
import json
import os
import resource
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

ROOT: Final = Path(__file__).resolve().parents[1]
# What the tests of every room use, and nothing of ours.
PRELOADED: Final = (
    "pytest",
    "pytest_trio",
    "trio.testing",
    "hypothesis.strategies",
    "msgspec",
    "plyvel",
    "cryptography.hazmat.primitives.ciphers.aead",
    "structlog",
)
OURS: Final = ("fuzz", "gossip", "node", "protocols", "raft", "storage", "tests")
LOOK_S: Final = 0.01

Command = tuple[str, ...]
"""A module and its arguments, as behind `python -m`."""


@dataclass(frozen=True, slots=True)
class Request:
    """Run a command in a tree; it is ended after so many seconds of CPU or of the clock."""

    tree: str
    command: Command
    output: str
    cpu_s_max: int
    clock_s_max: int


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended: an exit status, or a signal's number below 0; None when the clock ended it."""

    status: int | None
    cpu_s: float
    said: str = ""


class Warm:
    """A warm process and what is asked of it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fuzz.warm"],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def run(self, tree: Path, command: Command, *, cpu_s_max: int, clock_s_max: int) -> Ended:
        """Run one command and wait for its end."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with tempfile.NamedTemporaryFile(prefix="trireme-said-") as output:
            request = Request(str(tree), command, output.name, cpu_s_max, clock_s_max)
            print(json.dumps(asdict(request)), file=self._process.stdin, flush=True)
            answer = json.loads(self._process.stdout.readline())
            said = Path(output.name).read_text(errors="replace")
        return Ended(answer["status"], answer["cpu_s"], said)


def _become(request: Request) -> int:
    """In the fork: the exit status of the command."""
    os.setsid()
    output = os.open(request.output, os.O_WRONLY | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    resource.setrlimit(resource.RLIMIT_CPU, (request.cpu_s_max, request.cpu_s_max + 1))
    os.chdir(request.tree)
    os.environ["PYTHONPATH"] = request.tree
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    sys.path[:] = [request.tree, *(place for place in sys.path if place not in ("", str(ROOT)))]
    for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
        del sys.modules[name]
    importlib.invalidate_caches()
    module, *arguments = request.command
    if module == "pytest":
        return int(importlib.import_module("pytest").main(arguments))
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _run(request: Request) -> Ended:
    child = os.fork()
    if child == 0:
        status = 70
        try:
            status = _become(request)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    until_s = time.monotonic() + request.clock_s_max
    while True:
        ended, how, used = os.wait4(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > until_s:
            os.killpg(child, signal.SIGKILL)  # its own children too
            _, _, used = os.wait4(child, 0)
            return Ended(None, used.ru_utime + used.ru_stime)
        time.sleep(LOOK_S)
    return Ended(os.waitstatus_to_exitcode(how), used.ru_utime + used.ru_stime)


def main() -> None:
    """Serve requests until standard input ends."""
    for name in PRELOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        asked = json.loads(line)
        ended = _run(Request(**{**asked, "command": tuple(asked["command"])}))
        print(json.dumps(asdict(ended)), flush=True)


if __name__ == "__main__":
    main()
