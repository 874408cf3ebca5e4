"""The cluster's keys as one node holds them, and the three steps by which one follows another.

    install   the new key opens what others seal          needs nobody's consent
    use       and seals what we say                       when every member has it installed
    remove    the keys before it open nothing any more    when every member uses it

So at each moment every member opens what any member seals. Keys are ordered by their number, and
nothing goes back to an earlier one; two rotations begun at once therefore end in one key. Which
step is next for the whole cluster is in `key_rotation.py`; this file holds values only.

    keyring   in the data directory, 0600, replaced whole
        {"format": 1, "cluster": hex, "keys": [{"number": 1, "secret": base64}, ...], "used": id}
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from gossip.seal import KEYS_MAX
from node.identity import IdentityError
from node.rpc.errors import MALFORMED
from node.rpc.handshake import SECRET_BYTES_MIN
from node.small_files import read_small, write_small
from raft import Disk

RING_NAME: Final = "keyring"
SECRET_BYTES: Final = 32
CLUSTER_ID_BYTES: Final = 16
NUMBER_MAX: Final = 10**9

_Number = Annotated[int, msgspec.Meta(ge=1, le=NUMBER_MAX)]
_Secret = Annotated[bytes, msgspec.Meta(min_length=SECRET_BYTES_MIN)]


class RingRefused(Exception):
    """A step out of turn; the text is one sentence."""


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One secret and its place in the order."""

    number: _Number
    secret: _Secret

    @property
    def id(self) -> str:
        """How people and nodes name the key without telling it."""
        return hashlib.blake2b(self.secret, digest_size=8, person=b"trireme key").hexdigest()

    @property
    def name(self) -> "KeyName":
        """The key as it may be told."""
        return KeyName(self.number, self.id)


class KeyName(msgspec.Struct, frozen=True, order=True, array_like=True):
    """A key without its secret; names are in the order of keys."""

    number: int
    id: str


class RingView(msgspec.Struct, frozen=True):
    """What a member tells of its ring."""

    keys: tuple[KeyName, ...]
    used: str
    key_file: str = ""
    """Why the key file of that machine does not hold the key in use; nothing when it does."""


class Ring(msgspec.Struct, frozen=True):
    """Every key that opens something here, ascending; `used` is the id of the one that seals."""

    cluster: bytes
    keys: tuple[Key, ...]
    used: str

    @property
    def in_use(self) -> Key:
        """The key that seals."""
        return next(key for key in self.keys if key.id == self.used)

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """All of them, the one in use first, then the newest first."""
        others = [key.secret for key in reversed(self.keys) if key.id != self.used]
        return (self.in_use.secret, *others)

    def view(self, key_file: str = "") -> RingView:
        """This ring without its secrets."""
        return RingView(tuple(key.name for key in self.keys), self.used, key_file)

    def key(self, key_id: str) -> Key:
        """A key that is held; RingRefused otherwise."""
        for key in self.keys:
            if key.id == key_id:
                return key
        raise RingRefused(f"no key {key_id} is installed")


def first_ring(cluster: bytes, key: Key) -> Ring:
    """The ring of a node that holds one key."""
    return Ring(cluster, (key,), key.id)


def next_key(ring: Ring, secret: bytes) -> Key:
    """A fresh secret as the key after all of the ring."""
    return Key(ring.keys[-1].number + 1, secret)


def install(ring: Ring, key: Key) -> Ring:
    """Open with one more key."""
    if any(held.id == key.id for held in ring.keys):
        return ring
    if len(ring.keys) >= KEYS_MAX:
        raise RingRefused(f"a node holds at most {KEYS_MAX} keys")
    return msgspec.structs.replace(ring, keys=_ordered((*ring.keys, key)))


def use(ring: Ring, key_id: str) -> Ring:
    """Seal with an installed key, never with an earlier one than now."""
    if ring.key(key_id).name < ring.in_use.name:
        raise RingRefused(f"key {ring.used} is in use, which is later than {key_id}")
    return msgspec.structs.replace(ring, used=key_id)


def remove_before(ring: Ring, key_id: str) -> Ring:
    """Forget the keys before the one in use, which must be this one."""
    if ring.used != key_id:
        raise RingRefused(f"key {ring.used} is in use, not {key_id}")
    kept = tuple(key for key in ring.keys if key.name >= ring.in_use.name)
    return msgspec.structs.replace(ring, keys=kept)


def _ordered(keys: Iterable[Key]) -> tuple[Key, ...]:
    return tuple(sorted(keys, key=lambda key: key.name))


# --- the file


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A ring as it is kept."""

    format: Literal[1]
    cluster: str
    keys: tuple[Key, ...]
    used: str


def read_ring(disk: Disk, directory: Path) -> Ring | None:
    """The ring kept here; None while the key never changed. Raises IdentityError."""
    text = read_small(disk, directory, RING_NAME)
    if text is None:
        return None
    try:
        file = msgspec.json.decode(text, type=_File)
        ring = Ring(bytes.fromhex(file.cluster), file.keys, file.used)
        ring.key(ring.used)
        whole = len(ring.cluster) == CLUSTER_ID_BYTES and ring.keys == _ordered(ring.keys)
    except (*MALFORMED, ValueError, RingRefused):
        whole = False
    if not whole:
        raise IdentityError(
            f"{directory / RING_NAME}: the cluster's keys cannot be read: copy the file of this "
            "name here from the data directory of another node, mode 0600."
        )
    return ring


def write_ring(disk: Disk, directory: Path, ring: Ring) -> None:
    """Keep the ring durably. Raises DiskFailed."""
    file = _File(1, ring.cluster.hex(), ring.keys, ring.used)
    write_small(disk, directory, RING_NAME, msgspec.json.encode(file))
