"""Command lines out of what the peer has sent, within their limit, sans-IO.

A line too long is told once, when it is known to be; its rest is stepped over as it comes.
"""

from typing import Final

from protocols.buffer import ReceiveBuffer
from protocols.errors import LimitExceeded

KIB: Final = 1024
MIB: Final = 1024 * KIB

# RFC 5321 4.5.3.1.4 has 512; SIZE, BODY, SMTPUTF8 and the parameters of DSN add some 700; an
# initial response of AUTH has RESPONSE_LINE_BYTES_MAX.
LINE_BYTES_MAX: Final = 5 * KIB
# What of a line too long is stepped over before the connection is given up.
LINE_SKIPPED_BYTES_MAX: Final = MIB


class Lines:
    """Of one connection, whose buffer holds content at other times."""

    def __init__(self, buffer: ReceiveBuffer) -> None:
        self._buffer = buffer
        self._skipped: int | None = None  # octets of a line too long, while its end is awaited

    def next(self) -> bytes | None:
        """The next line, or None while it has not come; raises LimitExceeded for one too long."""
        if self._skipped is not None:
            held = len(self._buffer)
            if not self._buffer.skip_line():
                self._skipped += held - len(self._buffer)
                return None
            self._skipped = None
        try:
            return self._buffer.line(LINE_BYTES_MAX)
        except LimitExceeded:
            self._skipped = 0
            raise

    @property
    def begun(self) -> bool:
        """Some of a line is here, and its end is not."""
        return self._skipped is not None or len(self._buffer) > 0

    @property
    def is_waste(self) -> bool:
        """So much of a line has been stepped over that its end is not worth waiting for."""
        return self._skipped is not None and self._skipped > LINE_SKIPPED_BYTES_MAX
