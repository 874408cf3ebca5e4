"""Ourselves: the one member whose incarnation we may raise, and what we say about it."""

from dataclasses import dataclass, replace

from gossip.messages import Alive, Record
from gossip.model import META_BYTES_MAX, Address, Incarnation, Member, ReplicaId, Status


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are, as others shall know us."""

    replica: ReplicaId
    name: str
    host: str
    port: int
    meta: bytes = b""

    def __post_init__(self) -> None:
        if len(self.meta) > META_BYTES_MAX:
            raise ValueError(f"a member's meta has at most {META_BYTES_MAX} bytes")

    @property
    def address(self) -> Address:
        """Where we are reached."""
        return (self.host, self.port)


class Own:
    """Our identity at its present incarnation."""

    __slots__ = ("identity", "incarnation", "leaving")

    def __init__(self, identity: Identity, incarnation: Incarnation) -> None:
        self.identity = identity
        self.incarnation = incarnation
        self.leaving = False

    @property
    def replica(self) -> ReplicaId:
        """Our replica id."""
        return self.identity.replica

    def set_meta(self, meta: bytes) -> bool:
        """Take on a new meta; whether it is new."""
        if meta == self.identity.meta:
            return False
        self.identity = replace(self.identity, meta=meta)
        return True

    def claim(self) -> Alive:
        """Our word about ourselves."""
        me = self.identity
        return Alive(me.replica, self.incarnation, me.name, me.host, me.port, me.meta)

    def record(self) -> Record:
        """Our row in an exchange."""
        me = self.identity
        return Record(
            me.replica, self.incarnation, self._status(), me.name, me.host, me.port, me.meta
        )

    def member(self, now_ms: int) -> Member:
        """Ourselves as a member among others."""
        me = self.identity
        return Member(
            me.replica,
            me.name,
            me.host,
            me.port,
            self.incarnation,
            self._status(),
            me.meta,
            now_ms,
        )

    def _status(self) -> Status:
        return Status.LEFT if self.leaving else Status.ALIVE
