"""Tracers, clocks and judges' small parts, on processes and files of the test's own."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuzz import slow_fsync
from fuzz.clocks import Clock
from fuzz.judge import BUG
from fuzz.means import find_means
from fuzz.slow_fsync import Tracer

MEANS = find_means()
SYNC_ON_DEMAND = """
import os, sys, time
file = open(sys.argv[1], "wb")
for _ in sys.stdin:
    file.write(b"x")
    file.flush()
    began = time.monotonic()
    try:
        os.fdatasync(file.fileno())
        print("slow" if time.monotonic() - began > 0.3 else "quick", flush=True)
    except OSError as error:
        print(error.errno, flush=True)
"""


class Syncer:
    """A process that syncs when told to."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def sync(self) -> str:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@pytest.fixture
def syncer(tmp_path: Path) -> Iterator[Syncer]:
    with subprocess.Popen(
        [sys.executable, "-c", SYNC_ON_DEMAND, str(tmp_path / "file")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Syncer(process)
        process.kill()


@pytest.mark.skipif(not MEANS.strace, reason="strace cannot be attached here")
def test_syncs_are_late_and_refused_while_a_tracer_holds(syncer: Syncer) -> None:
    tracer = Tracer(syncer.process.pid, slow_fsync.slow(400))
    assert syncer.sync() == "slow"
    tracer.release()
    tracer = Tracer(syncer.process.pid, slow_fsync.FAILING)
    assert syncer.sync() == "5"
    tracer.release()
    assert syncer.sync() in ("quick", "slow")  # and no error


@pytest.mark.skipif(not MEANS.strace, reason="strace cannot be attached here")
def test_a_process_that_is_gone_is_no_trouble_for_its_tracer(syncer: Syncer) -> None:
    syncer.process.kill()
    syncer.process.wait()
    Tracer(syncer.process.pid, slow_fsync.FAILING).release()


@pytest.mark.skipif(MEANS.faketime is None, reason="libfaketime is not here")
def test_a_clock_jumps_for_its_process_alone_and_monotonic_time_goes_on(tmp_path: Path) -> None:
    assert MEANS.faketime is not None
    clock = Clock(MEANS.faketime, tmp_path / "n1.clock")
    clock.set(86_400)
    said = subprocess.run(
        [sys.executable, "-c", "import time; print(time.time(), time.monotonic())"],
        env=clock.environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    here = subprocess.run(
        [sys.executable, "-c", "import time; print(time.time(), time.monotonic())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert 86_000 < float(said[0]) - float(here[0]) < 87_000
    assert abs(float(said[1]) - float(here[1])) < 600


def test_a_bug_is_told_from_a_broken_disk() -> None:
    assert BUG.match("AssertionError: (1, 2)")
    assert BUG.match("    | KeyError: 'x'")
    assert BUG.match("  +-+ TypeError: no") is not None
    assert BUG.match("OSError: [Errno 5] Input/output error") is None
    assert BUG.match('event="a KeyError: is only spoken of"') is None
