"""What the core wants done, and in which order.

A driver takes a Ready and (1) gives `persist` to the writer, (2) sends `send` without waiting for
it: a leader's own disk works while its Appends travel, (3) answers readers. When the writer has
finished a step it calls `Core.persisted`, and answers that depend on the disk come out of the
next Ready. So no driver can send such an answer too early. Committed entries are taken apart
from this, in batches, by `Core.take_committed`.
"""

from typing import Final

from msgspec import Struct

from raft.messages import Message
from raft.model import Persist, ReadsConfirmed


class Ready(Struct, frozen=True, gc=False):
    """The work of one turn."""

    persist: Persist | None
    send: tuple[Message, ...]
    reads: ReadsConfirmed | None


# Many turns have no work.
NOTHING: Final = Ready(None, (), None)
