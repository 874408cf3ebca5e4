"""Raft's Transport over rpc: messages to frames on the way out, and whose they are on the way in.

Raft expects a network that loses things and sends again by itself, so nothing is kept for a peer
without a link: what would arrive after it came back would be old. A message that cannot be read,
or that names another sender than the link has proved, costs the link.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from node.rpc.errors import LinkLost
from node.rpc.frames import PAYLOAD_BYTES_MAX, Kind
from node.rpc.handshake import Remote
from raft.messages import Message
from raft.model import ReplicaId
from raft.wire import WireError, decode, encode


class Links(Protocol):
    """What this file needs of `Peers`."""

    @property
    def cluster_id(self) -> bytes:
        """The cluster whose members the links lead to."""
        ...

    def is_up(self, replica: int) -> bool:
        """Whether there is a link at this moment."""
        ...

    def keep(self, replica: int) -> None:
        """Have a link from now on."""
        ...

    def send_nowait(self, replica: int, payload: bytes, *, kind: int) -> bool:
        """Post a message; False when it was dropped."""
        ...


class RaftTransport:
    """Both directions of Raft's talk."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self.counts: Counter[str] = Counter()

    def send(self, to: ReplicaId, messages: Iterable[Message]) -> None:
        """Post messages to one replica, in order; those that find no room or link are lost."""
        links = self._links
        if not links.is_up(to):
            links.keep(to)
            self.counts["lost_no_link"] += 1
            return
        for message in messages:
            payload = encode(message, cluster=links.cluster_id)
            if len(payload) > PAYLOAD_BYTES_MAX:
                self.counts["lost_too_large"] += 1
            elif not links.send_nowait(to, payload, kind=Kind.RAFT):
                self.counts["lost_full"] += 1
            else:
                self.counts["sent"] += 1

    def read(self, remote: Remote, payload: bytes) -> Message:
        """A message that came over a link; raises `LinkLost` when it must not be believed."""
        try:
            message = decode(payload, cluster=self._links.cluster_id)
        except WireError as error:
            raise LinkLost(f"a raft message cannot be read: {error}") from error
        if message.sender != remote.replica:
            raise LinkLost(f"{remote.name} speaks in the name of replica {message.sender:x}")
        return message
