"""The state that stands now, under one name that outlives it.

A snapshot puts another state in the place of this node's (node/machine.py). Doors and views hold
this object and not an engine, so what they read next is of the new one.

A blob whose bytes are damaged here is Damaged to doors, and somebody is told to fetch it from
another node (node/mender.py); damaged rows end the process (node/damage.py).
"""

from collections.abc import Callable

from protocols.ports import Damaged
from storage.blobs import BlobDamaged, BlobStore
from storage.engine import Engine, Row
from storage.ids import BlobId
from storage.opening import State


class CurrentState:
    """Implements storage.view.Source and protocols.ports.Blobs."""

    __slots__ = ("_blobs", "_engine", "on_damaged_blob", "state")

    def __init__(self, state: State) -> None:
        self.on_damaged_blob: Callable[[BlobId], None] = lambda blob: None
        self.adopt(state)

    def adopt(self, state: State) -> None:
        """This one from now on."""
        self.state = state
        self._engine: Engine = state.engine
        self._blobs: BlobStore = state.blobs

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`, or None."""
        return self._engine.get(key)

    def scan(
        self, start: bytes, end: bytes, *, reverse: bool = False, limit: int | None = None
    ) -> list[Row]:
        """Rows with start <= key < end in key order, or from the end back; at most `limit`."""
        return self._engine.scan(start, end, reverse=reverse, limit=limit)

    def scan_keys(self, start: bytes, end: bytes, *, limit: int | None = None) -> list[bytes]:
        """The keys alone of rows with start <= key < end in key order; at most `limit`."""
        return self._engine.scan_keys(start, end, limit=limit)

    def size(self, blob: BlobId) -> int | None:
        """How many octets the blob has, or None when it is not here."""
        return self._blobs.size(blob)

    def read(self, blob: BlobId, start: int, length: int) -> bytes:
        """Octets [start, start+length); KeyError when the blob is not here. Raises Damaged."""
        try:
            return self._blobs.read(blob, start, length)
        except BlobDamaged as error:
            self.on_damaged_blob(blob)
            raise Damaged(f"damaged on this node: {error}") from error
