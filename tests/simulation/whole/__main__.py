"""Many seeds of whole nodes: python -m tests.simulation.whole --seeds 40 --seconds 60."""

import argparse
import contextlib
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.simulation.whole.run import SeedFailed, run_seed

# Every so many seeds one is run twice, and the two traces must be the same.
AGAIN_EVERY = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Run seeds, print what happened; 1 when one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.whole", description=__doc__)
    parser.add_argument("--seeds", type=int, default=40, help="how many seeds to run")
    parser.add_argument("--seconds", type=float, default=60, help="virtual seconds of faults each")
    parser.add_argument("--first-seed", type=int, default=1, help="number of the first seed")
    parser.add_argument("--seed", help="run this one seed only")
    parser.add_argument("--trace", type=Path, help="write every line of the trace here")
    options = parser.parse_args(arguments)
    first = options.first_seed
    seeds = [options.seed] if options.seed else map(str, range(first, first + options.seeds))
    faults: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    lines = failed = again = count = 0
    virtual_s = cpu_s = 0.0
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(options.trace.open("w")) if options.trace else None
        for seed in seeds:
            count += 1
            try:
                report = run_seed(seed, options.seconds, out)
                if count % AGAIN_EVERY == 0:
                    again += 1
                    other = run_seed(seed, options.seconds)
                    if other.digest != report.digest:
                        raise SeedFailed(f"seed {seed} does not run the same way twice")
            except SeedFailed as failure:
                failed += 1
                print(f"FAILED {failure}", flush=True)
                if options.seed:
                    raise
                continue
            faults += report.faults
            counts += report.counts
            lines += report.lines
            virtual_s += report.seconds
            cpu_s += report.cpu_s
    print(f"{count} seeds of whole nodes, {failed} failed, {again} run twice with equal traces")
    if cpu_s:
        print(
            f"{virtual_s:.0f} virtual seconds in {cpu_s:.1f} s of CPU: "
            f"{virtual_s / cpu_s:.0f} times real time; {lines} lines of trace"
        )
    for title, counter in (("faults", faults), ("clients", counts)):
        print(f"{title}:")
        for what, times in sorted(counter.items()):
            print(f"  {times:9d}  {what}")
    if options.seed and not failed:
        print(f"trace {report.digest}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
