"""The cluster secret is made once, kept private, and refused when it is not."""

from pathlib import Path

import pytest

from node import config
from node.identity import cluster_id
from node.keyring import Key, Ring, first_ring
from node.secret import (
    SECRET_BYTES,
    ensure_secret,
    read_first_ring,
    read_secret,
    write_key_file,
)

CLUSTER = bytes(range(16))

FILE = '[cluster]\nname = "x"\n{}[[node]]\nname = "n1"\nhost = "{}"\npeer = 1\n'


def cluster(tmp_path: Path, extra: str = "", host: str = "127.0.0.1") -> config.Config:
    return config.parse(FILE.format(extra, host), tmp_path / "cluster.toml")


def test_a_cluster_on_one_machine_makes_its_own_once(tmp_path: Path) -> None:
    one = cluster(tmp_path)
    ensure_secret(one)
    first = read_secret(one)
    ensure_secret(one)
    assert read_secret(one) == first and len(first) == 2 * SECRET_BYTES
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["cluster.key"]


def test_a_given_secret_is_never_made_up(tmp_path: Path) -> None:
    given = cluster(tmp_path, 'secret-file = "k"\n', "192.0.2.1")
    ensure_secret(given)
    with pytest.raises(config.ConfigError, match="copy it here"):
        read_secret(given)


def test_a_secret_open_to_others_or_too_short_is_refused(tmp_path: Path) -> None:
    one = cluster(tmp_path)
    ensure_secret(one)
    one.secret_path.chmod(0o640)
    with pytest.raises(config.ConfigError, match="chmod 600"):
        read_secret(one)
    one.secret_path.chmod(0o600)
    one.secret_path.write_text("short")
    with pytest.raises(config.ConfigError, match="this has 5"):
        read_secret(one)


NEXT = Key(2, b"the next key of this cluster, long enough")


def test_the_first_secret_names_the_cluster(tmp_path: Path) -> None:
    one = cluster(tmp_path)
    ensure_secret(one)
    ring = read_first_ring(one)
    assert ring.cluster == cluster_id("x", read_secret(one))
    assert ring.in_use == Key(1, read_secret(one))


def test_a_later_key_keeps_the_name(tmp_path: Path) -> None:
    one = cluster(tmp_path)
    ensure_secret(one)
    first = read_first_ring(one)
    write_key_file(one, Ring(first.cluster, (*first.keys, NEXT), NEXT.id))
    assert read_first_ring(one) == first_ring(first.cluster, NEXT)
    assert one.secret_path.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in one.secret_path.parent.iterdir()] == ["cluster.key"]


def test_a_secret_of_raw_bytes_is_taken_as_it_is(tmp_path: Path) -> None:
    one = cluster(tmp_path)
    ensure_secret(one)
    raw = bytes(range(100, 140)) + b"\ncluster of bytes key 3\n" + b"\x00\x01\xff"
    one.secret_path.write_bytes(raw)
    assert read_first_ring(one).in_use == Key(1, raw)
    later = Key(7, raw)
    write_key_file(one, first_ring(CLUSTER, later))
    assert read_first_ring(one) == first_ring(CLUSTER, later)


def test_the_key_file_may_be_a_link(tmp_path: Path) -> None:
    one = cluster(tmp_path, 'secret-file = "here"\n', "192.0.2.1")
    (tmp_path / "there").write_bytes(b"s" * 40)
    (tmp_path / "here").symlink_to("there")
    write_key_file(one, first_ring(CLUSTER, NEXT))
    assert (tmp_path / "here").is_symlink()
    assert (tmp_path / "there").read_bytes().startswith(NEXT.secret)
