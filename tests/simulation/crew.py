"""Many seeds over several processes, and some of them twice.

A worker process runs one seed after another; one that dies takes its seed with it, which counts
as a failure, and another takes its place. Who runs again is run by other processes, whose strings
hash otherwise, and must have the same trace.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TextIO

from tests.simulation.report import TIERS, Job, Report, Total
from tests.simulation.worker import answer

ROOT: Final = Path(__file__).resolve().parents[2]
# PYTHONHASHSEED of those who run seeds first, and of those who run them again.
FIRST: Final = "1"
AGAIN: Final = "99"
PROGRESS_S: Final = 20.0

Outcome = Report | str
"""What a seed did, or why it failed."""


class Worker:
    """One process that runs seeds (tests.simulation.worker)."""

    def __init__(self, hash_seed: str) -> None:
        """Start it; it works in the root of the tree."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.simulation.worker"],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, job: Job) -> Outcome | None:
        """Run one seed; None when the process died of it."""
        ask, hear = self._process.stdin, self._process.stdout
        assert ask is not None and hear is not None
        try:
            ask.write(job.line() + "\n")
            ask.flush()
        except BrokenPipeError:
            return None
        line = hear.readline()
        if not line:
            return None
        verdict, text = json.loads(line)
        return _outcome(verdict, text)

    def close(self) -> int:
        """Let it end; its exit status."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # it is gone already
        status = self._process.wait()
        self._process.stdout.close()
        return status


def _outcome(verdict: str, text: str) -> Outcome:
    return Report.of_line(text) if verdict == "ok" else text


def run_here(jobs: Sequence[Job], on_outcome: Callable[[Job, Outcome], None]) -> None:
    """Run every job in this process."""
    for job in jobs:
        on_outcome(job, _outcome(*answer(job.line())))


def run_all(
    jobs: Sequence[Job],
    *,
    processes: int,
    hash_seed: str,
    on_outcome: Callable[[Job, Outcome], None],
) -> None:
    """Run every job; `on_outcome` is called by one thread at a time."""
    waiting, lock = deque(jobs), threading.Lock()

    def serve() -> None:
        worker = Worker(hash_seed)
        while True:
            with lock:
                if not waiting:
                    break
                job = waiting.popleft()
            outcome = worker.ask(job)
            if outcome is None:
                status = worker.close()
                worker = Worker(hash_seed)
                outcome = f"the process died (status {status}); to see it again: {job.command}"
            with lock:
                on_outcome(job, outcome)
        worker.close()

    threads = [threading.Thread(target=serve) for _ in range(min(processes, len(jobs)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def some_of(jobs: Sequence[Job], count: int) -> list[Job]:
    """So many jobs, spread evenly; a tenth of tier B if there are as many."""
    whole = [job for job in jobs if job.tier == "b"]
    cores = [job for job in jobs if job.tier == "a"]
    of_whole = min(len(whole), max(count // 10, count - len(cores)))
    return _spread(whole, of_whole) + _spread(cores, min(len(cores), count - of_whole))


def _spread(jobs: Sequence[Job], count: int) -> list[Job]:
    return [jobs[place * len(jobs) // count] for place in range(count)]


class Campaign:
    """Runs jobs, tells how it goes, and keeps what came of it."""

    def __init__(self, processes: int, out: TextIO | None = None) -> None:
        """`processes` at a time."""
        self._processes, self._out = processes, out or sys.stdout
        self._began = self._told = time.monotonic()
        self.totals = {tier: Total() for tier in TIERS}
        self.failures: list[str] = []
        self.digests: dict[Job, str] = {}
        self.repeated = 0

    def run(self, jobs: Sequence[Job], again: int) -> bool:
        """All jobs once, and some of them again; whether nothing was found."""
        done = 0

        def first(job: Job, outcome: Outcome) -> None:
            nonlocal done
            done += 1
            if isinstance(outcome, Report):
                self.totals[job.tier].add(outcome)
                self.digests[job] = outcome.digest
            else:
                self._fail(outcome)
            self._tell(f"{done} of {len(jobs)} seeds")

        def second(job: Job, outcome: Outcome) -> None:
            self.repeated += 1
            if not isinstance(outcome, Report):
                self._fail(outcome)
            elif outcome.digest != self.digests[job]:
                self._fail(f"another trace in another process: {job.command}")
            self._tell(f"{self.repeated} seeds run again")

        if self._processes == 1:
            run_here(jobs, first)
        else:
            run_all(jobs, processes=self._processes, hash_seed=FIRST, on_outcome=first)
        chosen = some_of([job for job in jobs if job in self.digests], again)
        run_all(chosen, processes=self._processes, hash_seed=AGAIN, on_outcome=second)
        self._say_all()
        return not self.failures

    def _fail(self, why: str) -> None:
        self.failures.append(why)
        self._say(f"FAILED {why}")

    def _tell(self, how_far: str) -> None:
        now = time.monotonic()
        if now - self._told >= PROGRESS_S:
            self._told = now
            self._say(f"{now - self._began:5.0f} s: {how_far}, {len(self.failures)} failed")

    def _say(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    def _say_all(self) -> None:
        for tier, total in self.totals.items():
            if total.seeds:
                self._say("\n".join(total.told(tier)))
        seeds = sum(total.seeds for total in self.totals.values())
        self._say(
            f"{seeds} seeds passed, {len(self.failures)} failures, {self.repeated} seeds run "
            f"twice, in {time.monotonic() - self._began:.0f} s with {self._processes} processes"
        )
