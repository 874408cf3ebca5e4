"""What members say to each other. One frozen struct a message; the tag is its number on the wire.

Probing:  Ping -> Ack; PingReq asks a third member to ping for us -> Ack, or Nack when it got none.
Claims:   Alive, Suspect, Dead, Left, each about one member at one incarnation.
Exchange: PushPull, a whole table, over a stream; each side sends its own and merges the other's.

Tags are never renumbered and fields only ever added at the end: an older node skips a message whose
tag it does not know and ignores fields past those it knows.
"""

from typing import Annotated

from msgspec import Meta, Struct

from gossip.model import HOST_CHARS_MAX, META_BYTES_MAX, NAME_CHARS_MAX, Address, Status

_U64 = Annotated[int, Meta(ge=0)]  # MessagePack itself ends at 2**64 - 1
_Name = Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX)]
_Host = Annotated[str, Meta(min_length=1, max_length=HOST_CHARS_MAX)]
_Port = Annotated[int, Meta(ge=1, le=65535)]
_MetaBytes = Annotated[bytes, Meta(max_length=META_BYTES_MAX)]


class Ping(Struct, frozen=True, array_like=True, tag=1):
    """Are you there? `target` guards against a new process on a known address."""

    seq: _U64
    sender: _U64
    target: _U64


class PingReq(Struct, frozen=True, array_like=True, tag=2):
    """Ping `target` for me: your path to it may be better than mine."""

    seq: _U64
    sender: _U64
    target: _U64
    host: _Host
    port: _Port


class Ack(Struct, frozen=True, array_like=True, tag=3):
    """I am here, or: the member you asked about answered me."""

    seq: _U64
    sender: _U64


class Nack(Struct, frozen=True, array_like=True, tag=4):
    """I heard your PingReq but not its target. Silence instead means that you are cut off."""

    seq: _U64
    sender: _U64


class Alive(Struct, frozen=True, array_like=True, tag=5):
    """A member's own word about itself; only it may raise the incarnation."""

    replica: _U64
    incarnation: _U64
    name: _Name
    host: _Host
    port: _Port
    meta: _MetaBytes

    @property
    def address(self) -> Address:
        """Where the member says it is reached."""
        return (self.host, self.port)


class Suspect(Struct, frozen=True, array_like=True, tag=6):
    """`accuser` got no answer from the member at this incarnation."""

    replica: _U64
    incarnation: _U64
    accuser: _U64


class Dead(Struct, frozen=True, array_like=True, tag=7):
    """The member stayed suspect too long at this incarnation."""

    replica: _U64
    incarnation: _U64
    accuser: _U64


class Left(Struct, frozen=True, array_like=True, tag=8):
    """The member said goodbye."""

    replica: _U64
    incarnation: _U64


class Record(Struct, frozen=True, array_like=True):
    """One row of a table in an exchange."""

    replica: _U64
    incarnation: _U64
    status: Status
    name: _Name
    host: _Host
    port: _Port
    meta: _MetaBytes

    def as_alive(self) -> Alive:
        """The member's own word as this row repeats it."""
        return Alive(self.replica, self.incarnation, self.name, self.host, self.port, self.meta)


class PushPull(Struct, frozen=True, array_like=True, tag=9):
    """A whole table."""

    sender: _U64
    records: tuple[Record, ...]


Claim = Alive | Suspect | Dead | Left
Message = Ping | PingReq | Ack | Nack | Alive | Suspect | Dead | Left | PushPull
