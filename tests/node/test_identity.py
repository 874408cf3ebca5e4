"""Nodes of one cluster know each other by name; a disk is known by its own mark."""

from pathlib import Path

import pytest

from node import identity
from raft import OsDisk


def test_names_and_secrets_make_clusters_and_replicas() -> None:
    one = identity.cluster_id("demo", b"s" * 32)
    assert one == identity.cluster_id("demo", b"s" * 32) and len(one) == 16
    assert one != identity.cluster_id("demo", b"t" * 32) != identity.cluster_id("x", b"t" * 32)
    replicas = {identity.replica_id(one, f"n{number}") for number in range(1000)}
    assert len(replicas) == 1000 and all(0 < replica < 2**63 for replica in replicas)


def test_a_mark_is_kept_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    assert identity.read_mark(OsDisk(), tmp_path) is None
    identity.write_mark(OsDisk(), tmp_path, b"m" * identity.MARK_BYTES)
    assert identity.read_mark(OsDisk(), tmp_path) == b"m" * identity.MARK_BYTES
    (tmp_path / identity.MARK_NAME).write_text("zz")
    with pytest.raises(identity.IdentityError, match="restore it"):
        identity.read_mark(OsDisk(), tmp_path)


def test_a_joiners_number_goes_with_its_disk_and_is_no_founders() -> None:
    one = identity.cluster_id("demo", b"s" * 32)
    joined = {identity.joiner_id(one, "n1", bytes([mark]) * 16) for mark in range(250)}
    assert len(joined) == 250 and all(0 < replica < 2**62 for replica in joined)
    assert identity.replica_id(one, "n1") >= 2**62


def test_the_number_a_disk_joined_with_is_kept(tmp_path: Path) -> None:
    assert identity.read_replica(OsDisk(), tmp_path) is None
    identity.write_replica(OsDisk(), tmp_path, 2**61 + 7)
    assert identity.read_replica(OsDisk(), tmp_path) == 2**61 + 7
    (tmp_path / identity.REPLICA_NAME).write_text("0")
    with pytest.raises(identity.IdentityError, match="join again"):
        identity.read_replica(OsDisk(), tmp_path)
