"""A wall clock of its own for each node, by libfaketime, that can be set while the node runs.

Monotonic time is left alone, as it is by an operator or by NTP that sets the clock of a machine.
"""

import os
from pathlib import Path
from typing import Final

# How soon a running node sees that its clock was set.
SEEN_S: Final = 1


class Clock:
    """The clock of one node: a file that libfaketime reads."""

    def __init__(self, library: Path, file: Path) -> None:
        self._library, self._file = library, file
        self.set(0)

    def set(self, ahead_s: int) -> None:
        """So many seconds ahead of the machine's; negative is behind."""
        aside = self._file.with_suffix(".new")
        aside.write_text(f"{ahead_s:+d}\n")
        os.replace(aside, self._file)

    def environment(self) -> dict[str, str]:
        """What a process needs to go by this clock."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": str(SEEN_S),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
