"""Where the others were last met, kept on disk: a node that comes back looks for them there, too.

The log's members have the addresses they joined with, and the file's nodes those of the file; one
that has moved since is known by gossip alone, and would be lost when everybody restarts. These
addresses are places to look at and no more: who is met there says itself who it is.

    peers   in the data directory: a JSON array of [host, port]
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import msgspec

from gossip.model import HOST_CHARS_MAX
from node.network import Address
from node.rpc.errors import MALFORMED
from node.small_files import read_small, write_small
from raft import Disk

PEERS_NAME: Final = "peers"
# The largest cluster, and as many strangers as the roster keeps.
PEERS_MAX: Final = 128

_Host = Annotated[str, msgspec.Meta(min_length=1, max_length=HOST_CHARS_MAX)]
_Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
_decoder: Final = msgspec.json.Decoder(list[tuple[_Host, _Port]])


def read_peers(disk: Disk, directory: Path) -> tuple[Address, ...]:
    """The addresses kept here; none when the file is damaged, for it is only a hint."""
    text = read_small(disk, directory, PEERS_NAME)
    try:
        return () if text is None else tuple(_decoder.decode(text)[:PEERS_MAX])
    except MALFORMED:
        return ()


def write_peers(disk: Disk, directory: Path, addresses: Iterable[Address]) -> None:
    """Keep these instead. Raises DiskFailed."""
    write_small(disk, directory, PEERS_NAME, msgspec.json.encode(list(addresses)[:PEERS_MAX]))
