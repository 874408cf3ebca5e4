"""Many seeds from the command line, or one of them again.

    python -m tests.simulation --seeds 500 --seconds 120 --whole-seeds 40 --jobs 2 --again 20
    python -m tests.simulation --seed 17 --seconds 120
    python -m tests.simulation --tier b --seed 17 --seconds 60 --trace lines.txt

`--seeds`, `--seconds`, `--first-seed`, `--seed` and `--always` speak of the tier that is named:
a, cores on a heap of events, or b, whole nodes on Trio. The status is 1 when anything failed.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.simulation import run as tier_a
from tests.simulation.crew import Campaign
from tests.simulation.faults import NAMES
from tests.simulation.report import TIERS, Job, Total
from tests.simulation.whole import run as tier_b


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tier", choices=TIERS, default="a", help="which tier, unless both")
    parser.add_argument("--seeds", type=int, default=50, help="how many seeds to run")
    parser.add_argument("--seconds", type=float, default=60, help="virtual seconds of faults each")
    parser.add_argument("--first-seed", type=int, default=1, help="number of the first seed")
    parser.add_argument("--seed", help="run this one seed only, here")
    parser.add_argument("--trace", type=Path, help="write every line of that seed's trace here")
    parser.add_argument(
        "--always", action="append", default=[], choices=NAMES, help="a fault every seed has"
    )
    parser.add_argument("--whole-seeds", type=int, default=0, help="seeds of tier b besides")
    parser.add_argument("--whole-seconds", type=float, default=60, help="virtual seconds of those")
    parser.add_argument("--again", type=int, default=0, help="so many seeds are run twice")
    parser.add_argument(
        "--jobs", type=int, default=1, help="processes at a time; 0: as many as there are cores"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run seeds, print what happened; 1 when one failed."""
    options = _parser().parse_args(arguments)
    always = tuple(options.always)
    if options.seed is not None:
        return _run_one(Job(options.tier, options.seed, options.seconds, always), options.trace)
    numbers = range(options.first_seed, options.first_seed + options.seeds)
    jobs = [
        Job("b", str(number), options.whole_seconds)
        for number in range(options.first_seed, options.first_seed + options.whole_seeds)
    ]
    jobs += [Job(options.tier, str(number), options.seconds, always) for number in numbers]
    processes = options.jobs or os.cpu_count() or 1
    return 0 if Campaign(processes).run(jobs, options.again) else 1


def _run_one(job: Job, trace: Path | None) -> int:
    """In this process, so that a debugger sees it; a failure rises as it is."""
    run_seed = {"a": tier_a.run_seed, "b": tier_b.run_seed}[job.tier]
    if trace is None:
        report = run_seed(job.seed, job.seconds, job.always)
    else:
        with trace.open("w") as out:
            report = run_seed(job.seed, job.seconds, job.always, out)
    total = Total()
    total.add(report)
    print("\n".join(total.told(job.tier)))
    print(f"trace {report.digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
