"""A process that runs one seed after another, as it is told line by line (tests.simulation.crew).

Each line in is a job, each line out what came of it: `ok` and the report, or `failed` and why.

Every seed has a fork of its own, which ends without tidying up: what one seed leaves behind neither
grows from seed to seed nor is ever searched for garbage.
"""

import gc
import json
import os
import signal
import sys
from typing import Final

from tests.simulation import run as tier_a
from tests.simulation.report import Job, Report, SeedFailed
from tests.simulation.whole import run as tier_b

# A seed that computes for longer is running in circles.
CPU_S_MAX: Final = 900


class Circles(BaseException):
    """No seed takes this long. Not an Exception: nothing may contain it."""


def run_job(job: Job) -> Report:
    """Raises SeedFailed."""
    run_seed = {"a": tier_a.run_seed, "b": tier_b.run_seed}[job.tier]
    return run_seed(job.seed, job.seconds, job.always)


def answer(line: str) -> tuple[str, str]:
    """Run what a line asks for."""
    job = Job.of_line(line)
    signal.signal(signal.SIGVTALRM, _stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_S_MAX)
    try:
        return "ok", run_job(job).line()
    except SeedFailed as failure:
        return "failed", str(failure)
    except Circles:
        return "failed", f"computes for ever, or {CPU_S_MAX} s at least: {job.command}"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _stop(*_: object) -> None:
    raise Circles


def _in_a_fork(line: str) -> int:
    """Answer a line; how the fork ended, as subprocess tells it."""
    child = os.fork()
    if child == 0:
        print(json.dumps(answer(line)), flush=True)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> int:
    """Until there is nothing more to do, or a seed has ended its process."""
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        if status := _in_a_fork(line):
            return abs(status)
    return 0


if __name__ == "__main__":
    sys.exit(main())
