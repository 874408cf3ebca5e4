"""Who a node is: names made into numbers, and a mark on its disk that no other disk has.

The cluster id binds name and secret, so two clusters never mix. A replica id of a founder follows
from the node's name: the voters of a fresh cluster know each other without asking. Who joins later
has an id of its name and its disk's mark, kept in a file, so that an emptied disk never comes back
under an id that has promised something. The disk's mark is random; it is registered through the
log with each boot, so a voter that comes back with an empty disk is noticed: it has forgotten what
it acknowledged and may not vote as if it had not.
"""

import hashlib
from pathlib import Path
from typing import Final

from node.small_files import read_small, write_small
from raft import Disk

MARK_BYTES: Final = 16
MARK_NAME: Final = "disk-id"
REPLICA_NAME: Final = "replica-id"
_REPLICA_MAX: Final = 1 << 64


class IdentityError(Exception):
    """This disk and this name do not belong together; the text is one sentence with the mend."""


def cluster_id(name: str, secret: bytes) -> bytes:
    """16 bytes that name this cluster in every message between nodes."""
    return hashlib.blake2b(name.encode(), key=secret[:64], digest_size=16).digest()


def replica_id(cluster: bytes, name: str) -> int:
    """The number of the node of this name, never 0."""
    digest = hashlib.blake2b(name.encode(), key=cluster, digest_size=8).digest()
    return int.from_bytes(digest) >> 1 | 1 << 62


def joiner_id(cluster: bytes, name: str, mark: bytes) -> int:
    """The number of a node that joins with this disk: no founder's, and no earlier disk's."""
    digest = hashlib.blake2b(mark + name.encode(), key=cluster, digest_size=8).digest()
    return int.from_bytes(digest) >> 2 | 1  # bit 62 is the founders'


def read_replica(disk: Disk, directory: Path) -> int | None:
    """The id this disk joined with; None on a founder's disk. Raises IdentityError."""
    text = read_small(disk, directory, REPLICA_NAME)
    if text is None:
        return None
    try:
        replica = int(text.decode("ascii", "replace"), 16)
    except ValueError:
        replica = 0
    if not 0 < replica < _REPLICA_MAX:
        raise IdentityError(
            f"{directory / REPLICA_NAME}: is not a replica id: empty the directory and join again."
        )
    return replica


def write_replica(disk: Disk, directory: Path, replica: int) -> None:
    """Keep the id durably, before the mark and before anything is promised under it."""
    write_small(disk, directory, REPLICA_NAME, b"%016x" % replica)


def read_mark(disk: Disk, directory: Path) -> bytes | None:
    """The disk's mark, or None when nothing was ever kept here; raises IdentityError."""
    text = read_small(disk, directory, MARK_NAME)
    if text is None:
        return None
    try:
        mark = bytes.fromhex(text.decode("ascii", "replace"))
    except ValueError:
        mark = b""
    if len(mark) != MARK_BYTES:
        raise IdentityError(
            f"{directory / MARK_NAME}: is not a disk id: restore it, or empty the directory."
        )
    return mark


def write_mark(disk: Disk, directory: Path, mark: bytes) -> None:
    """Keep the mark durably; it is written once, before anything else is kept here."""
    write_small(disk, directory, MARK_NAME, mark.hex().encode())


def mark_number(mark: bytes) -> int:
    """A mark as nodes tell it each other: 63 bits of it are enough to tell disks apart."""
    return int.from_bytes(mark[:8]) >> 1
