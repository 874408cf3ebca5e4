"""One node's keys: what follows what, and how they are kept."""

from pathlib import Path
from random import Random

import msgspec
import pytest

from gossip.seal import KEYS_MAX
from node.identity import IdentityError
from node.keyring import (
    RING_NAME,
    Key,
    Ring,
    RingRefused,
    first_ring,
    install,
    next_key,
    read_ring,
    remove_before,
    use,
    write_ring,
)
from raft import OsDisk
from tests.simulation.disk import SimDisk

CLUSTER = bytes(range(16))
OLD = Key(1, b"the old secret 1" * 2)
NEW = Key(2, b"the new secret 2" * 2)
DIRECTORY = Path("/data")


def ring(*keys: Key, used: Key | None = None) -> Ring:
    return Ring(CLUSTER, keys, (used or keys[0]).id)


def test_a_key_follows_another_in_three_steps() -> None:
    installed = install(ring(OLD), NEW)
    assert installed.secrets == (OLD.secret, NEW.secret)  # the old one is still what we say
    in_use = use(installed, NEW.id)
    assert in_use.secrets == (NEW.secret, OLD.secret)
    assert remove_before(in_use, NEW.id) == first_ring(CLUSTER, NEW)


def test_a_step_done_twice_is_done_once() -> None:
    installed = install(install(ring(OLD), NEW), NEW)
    assert installed.keys == (OLD, NEW)
    in_use = use(use(installed, NEW.id), NEW.id)
    assert remove_before(remove_before(in_use, NEW.id), NEW.id).keys == (NEW,)


def test_no_step_goes_back_or_comes_early() -> None:
    with pytest.raises(RingRefused, match="no key"):
        use(ring(OLD), NEW.id)
    with pytest.raises(RingRefused, match="later than"):
        use(ring(OLD, NEW, used=NEW), OLD.id)
    with pytest.raises(RingRefused, match="in use, not"):
        remove_before(ring(OLD, NEW), NEW.id)


def test_a_key_made_meanwhile_outlives_the_removal() -> None:
    newest = Key(3, b"the newest secret, not in use yet")
    assert remove_before(ring(OLD, NEW, newest, used=NEW), NEW.id).keys == (NEW, newest)


def test_two_keys_of_one_number_have_an_order_that_all_agree_on() -> None:
    twin = Key(2, b"made at the same time elsewhere!")
    one, other = install(install(ring(OLD), NEW), twin), install(install(ring(OLD), twin), NEW)
    assert one == other
    assert max(one.view().keys) == one.keys[-1].name
    assert next_key(one, b"x" * 32).number == 3


def test_a_ring_is_bounded() -> None:
    held = ring(OLD)
    for number in range(2, KEYS_MAX + 1):
        held = install(held, Key(number, b"%032d" % number))
    with pytest.raises(RingRefused, match="at most"):
        install(held, Key(99, b"one too many" * 3))


def test_a_view_tells_no_secret() -> None:
    told = msgspec.json.encode(ring(OLD, NEW, used=NEW).view("why"))
    for key in (OLD, NEW):
        assert key.secret not in told
        assert key.id.encode() in told


def test_a_ring_is_kept_for_the_owner_alone(tmp_path: Path) -> None:
    disk = OsDisk()
    assert read_ring(disk, tmp_path) is None
    write_ring(disk, tmp_path, ring(OLD, NEW, used=NEW))
    assert read_ring(disk, tmp_path) == ring(OLD, NEW, used=NEW)
    assert (tmp_path / RING_NAME).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [RING_NAME]


@pytest.mark.parametrize("seed", range(20))
def test_a_power_cut_leaves_the_ring_before_or_after(seed: int) -> None:
    disk = SimDisk(Random(seed))
    disk.make_directory(str(DIRECTORY))
    before, after = ring(OLD), ring(OLD, NEW)
    write_ring(disk, DIRECTORY, before)
    write_ring(disk, DIRECTORY, after)
    disk.cut_power()
    assert read_ring(disk, DIRECTORY) == after  # once written, it stays written


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"not json",
        b'{"format": 1}',
        b'{"format": 2, "cluster": "00", "keys": [], "used": ""}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_ring_is_not_guessed_at(text: bytes, tmp_path: Path) -> None:
    (tmp_path / RING_NAME).write_bytes(text)
    with pytest.raises(IdentityError, match="copy the file of this name"):
        read_ring(OsDisk(), tmp_path)


def test_a_ring_without_the_key_in_use_is_damaged(tmp_path: Path) -> None:
    disk = OsDisk()
    write_ring(disk, tmp_path, Ring(CLUSTER, (OLD,), NEW.id))
    with pytest.raises(IdentityError):
        read_ring(disk, tmp_path)
    write_ring(disk, tmp_path, Ring(b"short", (OLD,), OLD.id))
    with pytest.raises(IdentityError):
        read_ring(disk, tmp_path)
