"""Bounded receive buffer of every line protocol: lines, counted octets, pieces of a literal.

Sans-IO: bytes come in by `feed`, whole units go out. What is held never exceeds `bytes_max`; a
driver asks the network for at most `room` octets, so a peer that pipelines is slowed down by TCP
and not cut off. A byte is looked at once however small the pieces it came in: `line` remembers
how far it has searched.
"""

from protocols.errors import LimitExceeded

LF = b"\n"
CRLF = b"\r\n"


class ReceiveBuffer:
    """Octets received and not yet understood."""

    __slots__ = ("_bytes_max", "_data", "_line_end", "_searched")

    def __init__(self, bytes_max: int, *, line_end: bytes = LF) -> None:
        """`line_end`: what ends a line, LF with a CR before it or without, or CRLF alone."""
        assert bytes_max > 0, bytes_max
        self._bytes_max = bytes_max
        self._line_end = line_end
        self._data = bytearray()
        self._searched = 0  # no line ends before this offset

    def __len__(self) -> int:
        return len(self._data)

    @property
    def room(self) -> int:
        """How many octets may be fed before something is taken out."""
        return self._bytes_max - len(self._data)

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Append what the peer sent; LimitExceeded (and nothing held more) beyond `room`."""
        if len(data) > self.room:
            raise LimitExceeded("RECEIVE_BUFFER", "too much input at once")
        self._data += data

    def line(self, bytes_max: int) -> bytes | None:
        """The next line without its ending, or None until that is here.

        LimitExceeded when it is, or is bound to become, longer than `bytes_max` octets without
        its ending. The line stays; `skip_line` steps over it for doors that go on after that.
        """
        end = self._data.find(self._line_end, self._searched)
        if end < 0:
            # One octet more may be the CR of an ending still to come.
            self._searched = max(0, len(self._data) - 1)
            if len(self._data) > bytes_max + 1:
                raise LimitExceeded("LINE", "line too long")
            return None
        drops_cr = self._line_end == LF and end and self._data[end - 1] == 0x0D
        stop = end - 1 if drops_cr else end
        if stop > bytes_max:
            raise LimitExceeded("LINE", "line too long")
        found = bytes(self._data[:stop])
        self._drop(end + len(self._line_end))
        return found

    def skip_line(self) -> bool:
        """Forget up to and including the next ending; False while it has not come: then all is
        forgotten but what may be its beginning."""
        end = self._data.find(self._line_end)
        if end < 0:
            begun = self._data.endswith(self._line_end[:-1]) and len(self._line_end) > 1
            self._drop(len(self._data) - begun)
            return False
        self._drop(end + len(self._line_end))
        return True

    def take(self, count: int) -> bytes | None:
        """Exactly `count` octets, or None until so many are here."""
        if count > len(self._data):
            return None
        return self.take_up_to(count)

    def take_up_to(self, count: int) -> bytes:
        """At most `count` octets, none when nothing is here: for what is streamed."""
        found = bytes(self._data[:count])
        self._drop(count)
        return found

    def clear(self) -> None:
        """Forget everything: before STARTTLS takes effect, whatever came in clear text."""
        self._data.clear()
        self._searched = 0

    def _drop(self, count: int) -> None:
        # A bytearray gives up its front without moving the rest.
        del self._data[:count]
        self._searched = 0
