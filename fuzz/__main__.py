"""`python -m fuzz cluster|imap|chaos|parsers|jmap ...`: what `trireme fuzz` starts.

cluster   real nodes, every fault, clients at every door, then the judges (fuzz/cluster.py)
imap      random IMAP clients on one mailbox, nodes killed under them (fuzz/imap.py)
chaos     nodes killed and started again under a steady stream of mail (tests/e2e/chaos.py)
parsers   hostile bytes for every parser (fuzz/run.py)
jmap      requests drawn from the schema of every JMAP method (fuzz/jmap/run.py)
"""

import sys

from fuzz import cluster, imap, run
from fuzz.jmap import run as jmap
from tests.e2e import chaos

COMMANDS = {
    "cluster": cluster.main,
    "imap": imap.main,
    "chaos": chaos.main,
    "parsers": run.main,
    "jmap": jmap.main,
}


def main() -> int:
    """The command's exit status."""
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return 2
    return COMMANDS[sys.argv[1]](sys.argv[2:])


if __name__ == "__main__":
    raise SystemExit(main())
