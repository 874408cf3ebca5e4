"""All that happened in one run, as lines: hashed always, kept at the end for reports."""

import hashlib
from collections import Counter, deque
from collections.abc import Callable
from typing import Final, TextIO

KEPT_LINES: Final = 400


class Trace:
    """Two runs of one seed have the same trace, byte for byte."""

    def __init__(self, now: Callable[[], float], out: TextIO | None = None) -> None:
        self._now, self._out = now, out
        self._hash = hashlib.sha256()
        self.lines = 0
        self.tail: deque[str] = deque(maxlen=KEPT_LINES)
        self.faults: Counter[str] = Counter()

    def __call__(self, *words: object) -> None:
        """One line, with the time before it."""
        line = f"{self._now():.6f} {' '.join(map(str, words))}"
        self._hash.update(line.encode("utf-8", "backslashreplace") + b"\n")
        self.lines += 1
        self.tail.append(line)
        if self._out is not None:
            print(line, file=self._out)

    def fault(self, kind: str, *words: object) -> None:
        """A fault that really happened."""
        self.faults[kind] += 1
        self("fault", kind, *words)

    def digest(self) -> str:
        """The hash of all lines so far."""
        return self._hash.hexdigest()
