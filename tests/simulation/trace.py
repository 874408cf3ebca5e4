"""All that happened in one run, as lines: hashed always, kept at the end for reports."""

import hashlib
import marshal
from collections import Counter, deque
from collections.abc import Callable
from typing import Final, TextIO

KEPT_LINES: Final = 400
# Lines are hashed so many at a time, which costs less.
TOGETHER: Final = 256
# This format of marshal writes equal lines as equal bytes, whoever else refers to their parts.
WITHOUT_REFERENCES: Final = 2

Line = str | tuple[int | float | str, ...]
"""What is said of one happening."""


class Trace:
    """Two runs of one seed have the same trace, byte for byte."""

    def __init__(self, out: TextIO | None = None, now: Callable[[], float] = lambda: 0.0) -> None:
        self._now, self._out = now, out
        self._hash = hashlib.sha256()
        self._waiting: list[Line] = []
        self._lines = 0
        self._tail: deque[Line] = deque(maxlen=KEPT_LINES)
        self.faults: Counter[str] = Counter()

    def line(self, line: Line) -> None:
        """One line as it is; numbers become text only where it is shown."""
        self._waiting.append(line)
        if len(self._waiting) >= TOGETHER:
            self._take_in()

    def _take_in(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._hash.update(marshal.dumps(waiting, WITHOUT_REFERENCES))
        self._lines += len(waiting)
        self._tail.extend(waiting)
        if self._out is not None:
            self._out.writelines(f"{_told(line)}\n" for line in waiting)

    def __call__(self, *words: object) -> None:
        """One line, with the time before it."""
        self.line(f"{self._now():.6f} {' '.join(map(str, words))}")

    def fault(self, kind: str, *words: object) -> None:
        """A fault that really happened."""
        self.faults[kind] += 1
        self("fault", kind, *words)

    @property
    def lines(self) -> int:
        """How many there are."""
        return self._lines + len(self._waiting)

    @property
    def tail(self) -> list[str]:
        """The last of them."""
        return [_told(line) for line in [*self._tail, *self._waiting][-KEPT_LINES:]]

    def digest(self) -> str:
        """The hash of all lines so far."""
        self._take_in()
        return self._hash.hexdigest()


def _told(line: Line) -> str:
    return line if isinstance(line, str) else repr(line)
