"""Many seeds from the command line: python -m tests.simulation --seeds 200 --seconds 60."""

import argparse
import sys
from collections import Counter

from tests.simulation.run import FAULTS, SeedFailed, run_seed
from tests.simulation.whole.__main__ import main as whole_nodes


def main() -> int:
    """Run seeds, print what happened; 1 when one failed."""
    tiers = argparse.ArgumentParser(add_help=False)
    tiers.add_argument(
        "--tier", choices=("a", "b"), default="a", help="cores on a heap, or whole nodes on Trio"
    )
    tier, others = tiers.parse_known_args()
    if tier.tier == "b":
        return whole_nodes(others)
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation", description=__doc__, parents=[tiers]
    )
    parser.add_argument("--seeds", type=int, default=50, help="how many seeds to run")
    parser.add_argument("--seconds", type=float, default=60, help="virtual seconds of faults each")
    parser.add_argument("--first-seed", type=int, default=1, help="number of the first seed")
    parser.add_argument("--seed", help="run this one seed only")
    parser.add_argument(
        "--always", action="append", default=[], choices=FAULTS, help="a fault every seed has"
    )
    options = parser.parse_args()
    first = options.first_seed
    seeds = [options.seed] if options.seed else map(str, range(first, first + options.seeds))
    faults: Counter[str] = Counter()
    events = applied = reads = failed = count = 0
    virtual_s = real_s = 0.0
    for seed in seeds:
        count += 1
        try:
            report = run_seed(seed, options.seconds, options.always)
        except SeedFailed as failure:
            failed += 1
            print(f"FAILED {failure}", flush=True)
            if options.seed:
                raise
            continue
        faults += report.faults
        events += report.events
        applied += report.applied
        reads += report.reads
        virtual_s += report.seconds
        real_s += report.real_s
    print(f"{count} seeds, {failed} failed")
    print(f"{events} events, {applied} entries committed, {reads} reads confirmed")
    if real_s:
        print(
            f"{virtual_s:.0f} virtual seconds in {real_s:.1f} s: "
            f"{virtual_s / real_s:.0f} times real time, {events / real_s:.0f} events/s"
        )
    for fault, times in sorted(faults.items()):
        print(f"  {times:9d}  {fault}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
