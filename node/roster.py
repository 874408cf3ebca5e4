"""Who is in the cluster and where: the file's nodes, corrected and extended by gossip.

Raft decides who votes; this only knows addresses and how members seem. A node of the configuration
is never forgotten, whatever gossip says of it: a voter that is silent is still a voter. Gossip's
word on an address is newer than the file's, so it goes first. "Seems dead" is a hint and no more:
links are still tried, and Raft merely spares itself the flood.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from gossip.model import META_BYTES_MAX, Address, Change, Member, MemberEvent, Status
from node.rpc.errors import MALFORMED

# Members that no configuration names (joiners on trial) and that we keep links' addresses for.
STRANGERS_MAX: Final = 64


class NodeMeta(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a node says about itself by gossip, beyond its name and address; a MessagePack map."""

    version: str = ""
    boot: int = 0
    """Boot epoch: which start of this replica this is."""
    http: int = 0
    """The port of its HTTP door, 0 when it has none."""
    disk_ok: bool = True

    def encoded(self) -> bytes:
        """As gossip carries it."""
        data = msgspec.msgpack.encode(self)
        assert len(data) <= META_BYTES_MAX, len(data)
        return data


_meta_decoder: Final = msgspec.msgpack.Decoder(NodeMeta)


def decode_meta(data: bytes) -> NodeMeta:
    """A member's meta; one we cannot read tells nothing, and is no reason to refuse the member."""
    try:
        return _meta_decoder.decode(data)
    except MALFORMED:
        return NodeMeta()


@dataclass(frozen=True, slots=True)
class Place:
    """A node of the configuration."""

    replica: int
    name: str
    address: Address


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the roster, for `status`."""

    replica: int
    name: str
    address: Address
    status: Status | None
    """What gossip says; nothing while it has not met the node."""
    meta: NodeMeta
    configured: bool


class Links(Protocol):
    """What the roster tells the peers' links."""

    def keep(self, replica: int) -> None:
        """Have a link to this peer from now on; to ourselves there is none."""

    def nudge(self, replica: int) -> None:
        """The peer was heard of: dial now."""

    def forget(self, replica: int) -> None:
        """The peer is gone for good."""


class Roster:
    """Addresses and standing by replica id.

    The places are those of the file until the log holds a membership; then they are the log's.
    """

    def __init__(
        self,
        places: Iterable[Place],
        *,
        on_unreachable: Callable[[int], None],
        on_conflict: Callable[[Member], None],
    ) -> None:
        """`on_unreachable` is Raft's hint; `on_conflict` an alarm: two claim one identity."""
        self._places = {place.replica: place for place in places}
        self._members: dict[int, Member] = {}
        self._on_unreachable = on_unreachable
        self._on_conflict = on_conflict
        self._links: Links | None = None

    def attach(self, links: Links) -> None:
        """Tell these links of peers that come and go from now on.

        The configuration's nodes are dialed at once, so that the first election finds the links
        made, and those who had lost us hear by our call that we are back.
        """
        self._links = links
        for replica in self._places:
            links.keep(replica)

    def settle(self, places: Iterable[Place]) -> None:
        """These are the members from now on; who is new among them is dialed."""
        settled = {place.replica: place for place in places}
        for replica in settled.keys() - self._places.keys():
            self._places[replica] = settled[replica]
            if self._links:
                self._links.keep(replica)
                self._links.nudge(replica)
        self._places.update(settled)

    def dismiss(self, replica: int) -> None:
        """A member is one no more, and has had the time to hear so."""
        if self._places.pop(replica, None) and self._links:
            self._links.forget(replica)

    @property
    def settled(self) -> frozenset[int]:
        """Members, and the lately dismissed."""
        return frozenset(self._places)

    def locate(self, replica: int) -> Address | None:
        """Where a replica is reached, as far as is known now; the port that `Peers` asks."""
        if member := self._members.get(replica):
            return member.address
        place = self._places.get(replica)
        return place.address if place else None

    def name(self, replica: int) -> str:
        """The label of a replica, for people; its number when there is none."""
        if member := self._members.get(replica):
            return member.name
        place = self._places.get(replica)
        return place.name if place else f"{replica:x}"

    def seems_up(self, replica: int) -> bool:
        """Gossip's hint; a node it has not met yet is given the benefit of the doubt."""
        member = self._members.get(replica)
        return member is None or member.status.is_up

    def seeds(self, own: int) -> list[Address]:
        """Addresses of the configuration that gossip begins with."""
        return [p.address for p in self._places.values() if p.replica != own]

    def met(self, own: int) -> tuple[Address, ...]:
        """Where gossip has met others that are up."""
        members = self._members.values()
        return tuple(sorted({m.address for m in members if m.replica != own and m.status.is_up}))

    def entries(self) -> list[Entry]:
        """Everyone, by name."""
        known = self._places.keys() | self._members.keys()
        return sorted(map(self._entry, known), key=lambda e: (e.name, e.replica))

    def hear(self, event: MemberEvent) -> None:
        """Take in one change; this is gossip's `on_change`."""
        member = event.member
        match event.change:
            case Change.CONFLICT:
                self._on_conflict(member)
            case Change.FORGOTTEN:
                self._members.pop(member.replica, None)
                if member.replica not in self._places and self._links:
                    self._links.forget(member.replica)
            case Change.DIED | Change.LEFT:
                self._note(member)
                self._on_unreachable(member.replica)
            case Change.JOINED | Change.UPDATED | Change.CLEARED:
                self._note(member)
                if self._links:
                    self._links.nudge(member.replica)
            case Change.SUSPECTED:
                self._note(member)

    def _note(self, member: Member) -> None:
        strangers = len(self._members.keys() - self._places.keys())
        known = member.replica in self._members or member.replica in self._places
        if known or strangers < STRANGERS_MAX:
            self._members[member.replica] = member

    def _entry(self, replica: int) -> Entry:
        member = self._members.get(replica)
        address = self.locate(replica)
        assert address is not None
        return Entry(
            replica,
            self.name(replica),
            address,
            member.status if member else None,
            decode_meta(member.meta) if member else NodeMeta(),
            replica in self._places,
        )
