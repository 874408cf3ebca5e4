"""Raft's messages over links: out in order, in from whom they say."""

from pathlib import Path
from random import Random

import msgspec
import pytest

from node.raft_transport import RaftTransport
from node.rpc.errors import LinkLost
from node.rpc.frames import PAYLOAD_BYTES_MAX, Kind
from node.rpc.handshake import Remote
from raft.config import RaftConfig
from raft.configs import CONTEXT_BYTES_MAX, MEMBERS_MAX, REMOVED_MAX, encode_membership
from raft.core import entry_fits
from raft.disk import OsDisk
from raft.messages import Append, Heartbeat, Propose
from raft.model import ENTRY_HEADER_BYTES, Entry, EntryKind, Membership, Persist
from raft.stable import open_log
from raft.wire import encode
from storage.batch import BATCH_BYTES_MAX

CLUSTER = b"0123456789abcdef"
SEGMENT_BYTES_MIN = 4 << 20  # of cluster.toml
BEAT = Heartbeat(group=0, sender=1, to=2, term=3, commit=4, round=5)
APPEND = Append(
    group=0,
    sender=1,
    to=2,
    term=3,
    previous_index=7,
    previous_term=2,
    commit=6,
    entries=(Entry(8, 3, EntryKind.NORMAL, b"batch"),),
)


class Links:
    """Peers that keep what is posted."""

    cluster_id = CLUSTER

    def __init__(self, *, up: bool = True, room: int = 100) -> None:
        self.up = up
        self.room = room
        self.kept: list[int] = []
        self.posted: list[tuple[int, bytes]] = []

    def is_up(self, replica: int) -> bool:
        return self.up

    def keep(self, replica: int) -> None:
        self.kept.append(replica)

    def send_nowait(self, replica: int, payload: bytes, *, kind: int) -> bool:
        assert kind == Kind.RAFT
        if len(self.posted) >= self.room:
            return False
        self.posted.append((replica, payload))
        return True


def largest(config: RaftConfig) -> Entry:
    """What a leader of that config may still append; one byte more is refused."""
    payload = bytes(config.entry_bytes_max - ENTRY_HEADER_BYTES)
    assert entry_fits(config, payload) and not entry_fits(config, payload + b"+")
    return Entry(8, 3, EntryKind.NORMAL, payload)


def test_the_largest_entry_and_membership_pass_every_reader(tmp_path: Path) -> None:
    """Writers' limits lie under readers' (etcd 14025): link, log, and the batches of the house."""
    config = RaftConfig()
    everybody = frozenset(range(1, MEMBERS_MAX + 1))
    crowd = Membership(
        everybody,
        removed=frozenset(range(1000, 1000 + REMOVED_MAX)),
        contexts=tuple((r, bytes(CONTEXT_BYTES_MAX)) for r in sorted(everybody)),
    )
    members = Entry(9, 3, EntryKind.CONFIG, encode_membership(crowd))
    assert config.entry_bytes_max >= BATCH_BYTES_MAX + ENTRY_HEADER_BYTES
    assert len(members.payload) + ENTRY_HEADER_BYTES <= config.entry_bytes_max

    links = Links()
    transport = RaftTransport(links)
    for entry in (largest(config), members):
        transport.send(
            2, [msgspec.structs.replace(APPEND, entries=(entry,), previous_index=entry.index - 1)]
        )
    assert transport.counts == {"sent": 2}
    read = [transport.read(Remote(1, "n1"), payload) for _, payload in links.posted]
    assert [message.entries[0].index for message in read if isinstance(message, Append)] == [8, 9]

    directory = str(tmp_path / "raft")
    for boot in (1, 2):
        log = open_log(
            OsDisk(),
            directory,
            cluster=CLUSTER,
            replica=1,
            random=Random(boot),
            segment_bytes=SEGMENT_BYTES_MIN,
        )
        if boot == 1:
            written = (largest(config)._replace(index=1), members._replace(index=2))
            log.write([Persist(1, None, None, written)])
        assert tuple(log.read(1, 2, 1 << 30)) == written
        log.close()


def test_what_is_sent_is_what_is_read() -> None:
    links = Links()
    transport = RaftTransport(links)
    transport.send(2, [BEAT, APPEND])
    assert [to for to, _ in links.posted] == [2, 2]
    read = [transport.read(Remote(1, "n1"), payload) for _, payload in links.posted]
    assert read == [BEAT, APPEND]


def test_nothing_is_kept_for_a_peer_without_a_link_but_one_is_asked_for() -> None:
    links = Links(up=False)
    transport = RaftTransport(links)
    transport.send(2, [BEAT])
    assert (links.kept, links.posted) == ([2], [])
    assert transport.counts["lost_no_link"] == 1


def test_what_finds_no_room_is_lost_and_counted() -> None:
    links = Links(room=1)
    transport = RaftTransport(links)
    transport.send(2, [BEAT, APPEND, BEAT])
    assert len(links.posted) == 1
    assert transport.counts["lost_full"] == 2


def test_what_fits_no_frame_is_lost_and_the_rest_goes_on() -> None:
    links = Links()
    transport = RaftTransport(links)
    transport.send(2, [Propose(0, 1, 2, 3, (b"x" * PAYLOAD_BYTES_MAX,)), BEAT])
    assert len(links.posted) == 1
    assert transport.counts["lost_too_large"] == 1


def test_nobody_speaks_for_another() -> None:
    transport = RaftTransport(Links())
    with pytest.raises(LinkLost, match="in the name of"):
        transport.read(Remote(9, "n9"), encode(BEAT, cluster=CLUSTER))


@pytest.mark.parametrize(
    "payload", [b"", b"x" * 80, encode(BEAT, cluster=CLUSTER)[:-1], encode(BEAT, cluster=b"?" * 16)]
)
def test_what_cannot_be_read_costs_the_link(payload: bytes) -> None:
    with pytest.raises(LinkLost, match="cannot be read"):
        RaftTransport(Links()).read(Remote(1, "n1"), payload)
