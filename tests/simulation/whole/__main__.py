"""Seeds of whole nodes: python -m tests.simulation.whole is python -m tests.simulation --tier b."""

import sys

from tests.simulation.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["--tier", "b", *sys.argv[1:]]))
