"""Who gets in, who does not, and what a link's frames withstand."""

from random import Random

import pytest

from node.rpc import handshake
from node.rpc.errors import HandshakeFailed, LinkLost
from node.rpc.handshake import Credentials, FrameCipher, Handshake, Secrets
from tests.node.rpc.town import SECRET, credentials


def meet(
    ours: Credentials, theirs: Credentials, *, expected: int | None = None
) -> tuple[Handshake, Handshake]:
    dialer = Handshake(ours, dialer=True, draw=Random("a").randbytes)
    acceptor = Handshake(theirs, dialer=False, draw=Random("b").randbytes)
    acceptor.hear_hello(dialer.hello)
    dialer.hear_hello(acceptor.hello)
    assert acceptor.hear_identity(dialer.identity()).replica == ours.replica
    assert dialer.hear_identity(acceptor.identity(), expected=expected).name == theirs.name
    return dialer, acceptor


def test_two_of_a_cluster_know_each_other() -> None:
    dialer, acceptor = meet(credentials(1), credentials(2), expected=2)
    assert acceptor.receiving.open(dialer.sending.seal(b"there")) == b"there"
    assert dialer.receiving.open(acceptor.sending.seal(b"back")) == b"back"


def test_a_wrong_key_is_found_out_by_the_acceptor() -> None:
    with pytest.raises(HandshakeFailed, match="does not know the cluster's key"):
        meet(credentials(1, secret=b"wrong" * 8), credentials(2))


def test_a_wrong_key_is_found_out_by_the_dialer() -> None:
    dialer = Handshake(credentials(1), dialer=True, draw=Random(1).randbytes)
    thief = Handshake(credentials(2, secret=b"wrong" * 8), dialer=False, draw=Random(2).randbytes)
    thief.hear_hello(dialer.hello)
    dialer.hear_hello(thief.hello)
    with pytest.raises(HandshakeFailed, match="does not know the cluster's key"):
        dialer.hear_identity(thief.identity())


def test_another_cluster_is_refused_by_its_first_words() -> None:
    with pytest.raises(HandshakeFailed, match="another cluster"):
        meet(credentials(1, cluster_id=b"cluster-2"), credentials(2))


def test_a_renamed_cluster_tag_does_not_help() -> None:
    """The cluster id is part of the key, not only of the greeting."""
    ours = Handshake(credentials(1), dialer=True, draw=Random(1).randbytes)
    other = Handshake(
        credentials(2, cluster_id=b"cluster-2"), dialer=False, draw=Random(2).randbytes
    )
    forged = other.hello[:6] + ours.hello[6:14] + other.hello[14:]
    ours.hear_hello(forged)
    other._cluster_tag = ours._cluster_tag
    other.hear_hello(ours.hello)
    with pytest.raises(HandshakeFailed):
        ours.hear_identity(other.identity())


def test_whoever_answers_must_be_whom_we_meant() -> None:
    with pytest.raises(HandshakeFailed, match="another replica was meant"):
        meet(credentials(1), credentials(2), expected=3)


def test_a_copy_of_our_own_data_is_refused() -> None:
    with pytest.raises(HandshakeFailed, match="ourselves"):
        meet(credentials(1), credentials(1))


def test_an_echo_is_not_a_peer() -> None:
    dialer = Handshake(credentials(1), dialer=True, draw=Random(1).randbytes)
    with pytest.raises(HandshakeFailed, match="repeats"):
        dialer.hear_hello(dialer.hello)


def test_a_recorded_identity_opens_nothing_later() -> None:
    first = Handshake(credentials(1), dialer=True, draw=Random(1).randbytes)
    acceptor = Handshake(credentials(2), dialer=False, draw=Random(2).randbytes)
    first.hear_hello(acceptor.hello)
    recorded_hello, recorded = first.hello, first.identity()
    later = Handshake(credentials(2), dialer=False, draw=Random(3).randbytes)
    later.hear_hello(recorded_hello)
    with pytest.raises(HandshakeFailed):
        later.hear_identity(recorded)


@pytest.mark.parametrize("hello", [b"", b"GET / HTTP/1.1\r\n\r\n", b"x" * 46, b"x" * 47])
def test_garbage_is_no_hello(hello: bytes) -> None:
    with pytest.raises(HandshakeFailed, match="no hello"):
        Handshake(credentials(1), dialer=False, draw=Random(1).randbytes).hear_hello(hello)


def test_another_version_is_told_apart() -> None:
    ours = Handshake(credentials(1), dialer=False, draw=Random(1).randbytes)
    theirs = Handshake(credentials(2), dialer=True, draw=Random(2).randbytes).hello
    with pytest.raises(HandshakeFailed, match="speaks version 9"):
        ours.hear_hello(theirs[:4] + b"\x00\x09" + theirs[6:])


def test_a_public_key_of_low_order_is_refused() -> None:
    ours = Handshake(credentials(1), dialer=False, draw=Random(1).randbytes)
    theirs = Handshake(credentials(2), dialer=True, draw=Random(2).randbytes).hello
    with pytest.raises(HandshakeFailed, match="not a real one"):
        ours.hear_hello(theirs[:14] + bytes(32))


def test_no_bit_of_an_identity_may_change() -> None:
    dialer = Handshake(credentials(1), dialer=True, draw=Random(1).randbytes)
    for bit in range(64):
        acceptor = Handshake(credentials(2), dialer=False, draw=Random(2).randbytes)
        acceptor.hear_hello(dialer.hello)
        fresh = Handshake(credentials(1), dialer=True, draw=Random(1).randbytes)
        fresh.hear_hello(acceptor.hello)
        sealed = bytearray(fresh.identity())
        sealed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(HandshakeFailed):
            acceptor.hear_identity(bytes(sealed))


def test_what_we_say_does_not_open_when_it_comes_back() -> None:
    dialer, acceptor = meet(credentials(1), credentials(2))
    for end in (dialer, acceptor):
        with pytest.raises(LinkLost):
            end.receiving.open(end.sending.seal(b"mirror"))


def test_keys_hang_on_everything_both_sides_said_and_know() -> None:
    def first_frame(
        *,
        secret: bytes = SECRET,
        cluster: bytes = b"c1",
        hello: bytes = b"theirs",
        dh: bytes = b"d",
    ) -> bytes:
        own = credentials(1, secret=secret, cluster_id=cluster)
        end = Handshake(own, dialer=True, draw=Random(1).randbytes)
        object.__setattr__(end, "hello", b"ours")  # without the cluster's tag
        end._derive(dh, hello)
        return end.identity()

    frames = {
        first_frame(),
        first_frame(secret=b"another" * 8),
        first_frame(cluster=b"c2"),
        first_frame(hello=b"changed on the way"),
        first_frame(dh=b"e"),
    }
    assert len(frames) == 5
    assert first_frame() in frames


def test_frames_open_once_and_in_order() -> None:
    sending, receiving = FrameCipher(SECRET), FrameCipher(SECRET)
    first, second = sending.seal(b"1"), sending.seal(b"2")
    assert receiving.open(first) == b"1"
    with pytest.raises(LinkLost):
        receiving.open(first)
    late = FrameCipher(SECRET)
    with pytest.raises(LinkLost):
        late.open(second)


def test_keys_step_forward_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "FRAMES_PER_KEY", 3)
    sending, receiving = FrameCipher(SECRET), FrameCipher(SECRET)
    sealed = [sending.seal(b"same") for _ in range(10)]
    assert len(set(sealed)) == 10  # the same words under the same key and nonce would be equal
    assert [receiving.open(s) for s in sealed] == [b"same"] * 10
    assert sending._key != SECRET


def test_a_short_secret_is_no_secret() -> None:
    with pytest.raises(ValueError, match="at least 16"):
        credentials(1, secret=b"short")


OTHER = b"another key of this cluster....."


def holding(replica: int, *secrets: bytes) -> Credentials:
    return Credentials(credentials(replica).cluster_id, Secrets(*secrets), replica, f"n{replica}")


def test_an_acceptor_knows_any_of_its_keys() -> None:
    dialer, acceptor = meet(holding(1, SECRET, OTHER), holding(2, OTHER, SECRET))
    assert (dialer.secret, acceptor.secret) == (SECRET, SECRET)
    assert acceptor.receiving.open(dialer.sending.seal(b"there")) == b"there"
    assert dialer.receiving.open(acceptor.sending.seal(b"back")) == b"back"


def test_a_dialer_offers_the_key_in_use_and_then_the_others() -> None:
    secrets = Secrets(OTHER, SECRET)
    assert [secrets.offered(attempt) for attempt in range(3)] == [OTHER, SECRET, OTHER]
    secrets.replace(SECRET)
    assert secrets.offered(1) == SECRET


def test_a_key_that_was_removed_opens_nothing() -> None:
    with pytest.raises(HandshakeFailed, match="does not know the cluster's key"):
        meet(holding(1, SECRET), holding(2, OTHER, b"and a third key................."))
