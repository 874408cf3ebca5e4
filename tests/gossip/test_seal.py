"""Sealed packets: who can read them, for how long, and how keys are changed."""

from random import Random

import pytest

from gossip import seal
from gossip.config import SEAL_BYTES_MAX
from gossip.seal import KEYS_MAX, NONCES_MAX, OVERHEAD_BYTES, STAMP_SKEW_MS_MAX, Keyring, SealError

NOW = 1_800_000_000_000
OLD, NEW = b"the old secret 1" * 2, b"the new secret 2" * 2


def ring(secret: bytes = OLD, cluster: bytes = b"c1", seed: int = 0) -> Keyring:
    return Keyring(cluster, secret, draw_nonce=Random(seed).randbytes)


def refused(keyring: Keyring, packet: bytes, wall_ms: int = NOW) -> str:
    with pytest.raises(SealError) as caught:
        keyring.open(packet, wall_ms)
    assert keyring.counts[caught.value.reason] >= 1
    return caught.value.reason


def test_one_of_us_reads_it() -> None:
    packet = ring(seed=1).seal(b"news", NOW)
    assert b"news" not in packet
    assert len(packet) == len(b"news") + OVERHEAD_BYTES <= len(b"news") + SEAL_BYTES_MAX
    assert ring().open(packet, NOW + 50) == b"news"


def test_another_cluster_does_not_though_it_knows_the_secret() -> None:
    assert refused(ring(cluster=b"c2"), ring().seal(b"news", NOW)) == "key"


def test_another_secret_does_not() -> None:
    assert refused(ring(NEW), ring().seal(b"news", NOW)) == "key"


def test_no_bit_may_change() -> None:
    packet = ring().seal(b"news", NOW)
    reader = ring()
    for bit in range(len(packet) * 8):
        changed = bytearray(packet)
        changed[bit // 8] ^= 1 << bit % 8
        assert refused(reader, bytes(changed)) in ("version", "key", "forged")


def test_every_cut_is_refused() -> None:
    packet = ring().seal(b"news", NOW)
    for length in range(len(packet)):
        assert refused(ring(), packet[:length]) in ("short", "forged")


def test_plain_text_is_not_heard() -> None:
    assert refused(ring(), b"x" * 200) == "version"


def test_the_same_packet_is_heard_once() -> None:
    reader = ring()
    packet = ring().seal(b"news", NOW)
    reader.open(packet, NOW)
    assert refused(reader, packet) == "replay"


def test_what_is_remembered_of_nonces_is_bounded() -> None:
    writer, reader = ring(seed=1), ring()
    for _ in range(NONCES_MAX + 10):
        reader.open(writer.seal(b"", NOW), NOW)
    assert len(reader._seen) == NONCES_MAX


@pytest.mark.parametrize("skew", [STAMP_SKEW_MS_MAX + 1, -STAMP_SKEW_MS_MAX - 1])
def test_a_packet_of_another_time_is_refused(skew: int) -> None:
    assert refused(ring(), ring().seal(b"news", NOW), NOW + skew) == "time"
    assert ring().open(ring(seed=2).seal(b"n", NOW), NOW + STAMP_SKEW_MS_MAX) == b"n"


def test_keys_change_without_a_moment_of_deafness() -> None:
    a, b = ring(seed=1), ring(seed=2)
    new = a.install(NEW)
    assert b.open(a.seal(b"1", NOW), NOW) == b"1"  # only installed at a: nothing changed
    b.install(NEW)
    a.use(new)
    assert b.open(a.seal(b"2", NOW), NOW) == b"2"
    assert a.open(b.seal(b"3", NOW), NOW) == b"3"  # b still seals with the old
    b.use(new)
    old = ring().install(OLD)
    a.remove(old)
    assert a.open(b.seal(b"4", NOW), NOW) == b"4"
    assert refused(a, ring(seed=9).seal(b"5", NOW)) == "key"


def test_the_ring_keeps_its_rules() -> None:
    keyring = ring()
    with pytest.raises(ValueError, match="in use"):
        keyring.remove(keyring.install(OLD))
    with pytest.raises(ValueError, match="no such key"):
        keyring.use(b"none")
    with pytest.raises(ValueError, match="at least 16"):
        keyring.install(b"short")
    for n in range(KEYS_MAX - 1):
        keyring.install(b"%032d" % n)
    with pytest.raises(ValueError, match="at most"):
        keyring.install(NEW)


def test_the_version_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    packet = ring().seal(b"news", NOW)
    monkeypatch.setattr(seal, "VERSION", 2)
    assert refused(ring(), b"\x02" + packet[1:]) == "forged"
