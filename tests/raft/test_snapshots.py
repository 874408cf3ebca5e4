"""Logs that begin behind a snapshot: offered, wanted, installed, and never believed early."""

from collections import deque
from random import Random

import pytest

from raft.config import BadConfig, RaftConfig
from raft.configs import Configs
from raft.core import Core
from raft.log import RaftLog
from raft.messages import Append, AppendReply, Message, SnapshotOffer, VoteRequest
from raft.model import Index, Membership, ReplicaId, SnapshotMeta
from raft.progress import Sending
from raft.stable import MemoryLog
from raft.state import Role
from raft.transfers import Transfers, unheard_install
from raft.wire import decode, encode
from tests.raft.story import entries

CLUSTER = b"offered-snapshot"
STEP_MS = 25
MEMBERS = Membership(frozenset({1, 2, 3}))


class Replica:
    """A core whose disk is at once, and whose state is what it has applied."""

    def __init__(self, replica: ReplicaId, membership: Membership, config: RaftConfig) -> None:
        self.replica, self.membership, self.config = replica, membership, config
        self.storage = MemoryLog(cluster=CLUSTER, replica=replica)
        self.applied: list[bytes] = []
        self.now_ms = 0
        self.core = self.boot(0)

    def boot(self, applied: Index) -> Core:
        storage, meta = self.storage, self.storage.snapshot
        base = (
            Configs(self.membership)
            if meta is None
            else Configs(meta.membership, base_index=meta.index)
        )
        log = RaftLog(
            storage,
            last=storage.last,
            term_runs=storage.term_runs,
            window_bytes_max=1 << 20,
            start=0 if meta is None else meta.index,
        )
        self.core = Core(
            config=self.config,
            replica=self.replica,
            configs=base,
            log=log,
            hard_state=storage.hard_state,
            applied=applied,
            random=Random(self.replica),
            now_ms=self.now_ms,
        )
        del self.applied[applied:]
        return self.core

    @property
    def transfers(self) -> Transfers:
        return Transfers(
            self.core, self.storage, lambda: self.now_ms, lambda: None, lambda index: None
        )

    def turn(self, now_ms: int) -> tuple[Message, ...]:
        self.now_ms = now_ms
        self.core.tick(now_ms)
        sent: tuple[Message, ...] = ()
        while (ready := self.core.ready(now_ms)).persist is not None:
            sent += ready.send
            self.storage.write([ready.persist])
            self.core.persisted(ready.persist.number, now_ms)
        while entries := self.core.take_committed():
            assert entries[0].index == len(self.applied) + 1
            self.applied += [entry.payload for entry in entries]
        return sent + ready.send


class Town:
    """Three replicas; whoever is away hears and says nothing."""

    def __init__(self, *, size: int = 3, config: RaftConfig | None = None) -> None:
        membership = Membership(frozenset(range(1, size + 1)))
        config = config or RaftConfig(trailing_bytes=1)
        self.replicas = {n: Replica(n, membership, config) for n in range(1, size + 1)}
        self.away: set[ReplicaId] = set()
        self.seen: list[Message] = []
        self.now_ms = 0

    def run(self, for_ms: int = 2_000) -> None:
        until_ms = self.now_ms + for_ms
        while self.now_ms < until_ms:
            self.now_ms += STEP_MS
            mail: deque[Message] = deque()
            for number, replica in self.replicas.items():
                if number not in self.away:
                    mail.extend(replica.turn(self.now_ms))
            while mail:
                message = decode(encode(mail.popleft(), cluster=CLUSTER), cluster=CLUSTER)
                self.seen.append(message)
                if message.to in self.replicas and not {message.to, message.sender} & self.away:
                    target = self.replicas[message.to]
                    target.core.step(message, self.now_ms)
                    mail.extend(target.turn(self.now_ms))

    @property
    def leader(self) -> Replica:
        leading = [r for n, r in self.replicas.items() if n not in self.away]
        return max(
            (r for r in leading if r.core.state.role is Role.LEADER),
            key=lambda r: r.core.state.term,
        )

    def write(self, count: int) -> None:
        for number in range(count):
            self.leader.core.propose([b"write %d" % number], self.now_ms)
            self.run(STEP_MS)

    def give(self, giver: Replica, taker: Replica) -> bool:
        """What the house does: begin, put the state in place, tell the log."""
        index = len(giver.applied)
        meta = giver.transfers.meta(index, giver.core.state.log.term(index))
        assert meta is not None
        if not taker.core.begin_install(index):
            return False
        taker.applied = list(giver.applied)
        taker.core.snapshot_installed(meta, giver.transfers.term, self.now_ms)
        return True


@pytest.fixture
def town() -> Town:
    """One replica has been away while the others wrote, and forgot."""
    town = Town()
    town.run()
    town.away = {next(n for n in town.replicas if n != town.leader.replica)}
    town.write(30)
    town.run()  # until nobody keeps entries for it any more
    for number, replica in town.replicas.items():
        if number not in town.away:
            assert replica.transfers.compact(25)
    town.run()
    return town


def absent(town: Town) -> Replica:
    (number,) = town.away
    return town.replicas[number]


def test_who_was_away_is_offered_a_snapshot_and_goes_on_from_it(town: Town) -> None:
    follower = absent(town)
    town.away = set()
    town.run()
    start = town.leader.core.state.log.start
    assert start == 25 and follower.core.snapshot_wanted == start
    progress = town.leader.core.state.progress[follower.replica]
    assert progress.sending is Sending.SNAPSHOT and progress.match < start
    assert town.give(town.leader, follower)
    town.run(500)
    town.write(3)
    assert follower.core.snapshot_wanted == 0
    assert follower.applied == town.leader.applied
    assert not follower.core.state.lacks_state and progress.match == follower.core.state.log.last
    # Its own log begins behind the snapshot, also when it is opened again.
    follower.boot(len(follower.applied))
    town.run()
    town.write(2)
    assert follower.applied == town.leader.applied


def test_an_offer_is_a_small_message_and_not_a_flood(town: Town) -> None:
    town.away = set()
    town.seen.clear()
    town.run(3_000)
    offers = [m for m in town.seen if isinstance(m, SnapshotOffer)]
    beats = 3_000 // town.leader.core.state.config.heartbeat_ms
    assert 3 < len(offers) <= beats + 5
    assert all(len(encode(offer, cluster=CLUSTER)) < 100 for offer in offers)


def test_nothing_is_acknowledged_before_the_log_has_the_snapshot(town: Town) -> None:
    follower = absent(town)
    town.away = set()
    town.seen.clear()
    town.run()
    start = town.leader.core.state.log.start
    assert follower.core.begin_install(len(town.leader.applied))
    town.run()  # in place, but the log has not been told
    acks = [m for m in town.seen if isinstance(m, AppendReply) and m.sender == follower.replica]
    assert all(ack.match < start for ack in acks)
    assert follower.core.take_committed() == ()


def test_an_offer_of_what_we_have_is_answered_when_our_disk_has_it() -> None:
    follower = Replica(2, MEMBERS, RaftConfig()).core
    follower.step(Append(0, 1, 2, 1, 0, 0, 3, entries(1, 3)), 0)
    follower.step(SnapshotOffer(0, 1, 2, 1, 3, 1), 0)
    ready = follower.ready(0)
    assert ready.persist is not None and ready.send == ()
    follower.persisted(ready.persist.number, 0)
    assert [m.match for m in follower.ready(0).send if isinstance(m, AppendReply)] == [3]


def test_nothing_is_applied_while_a_state_is_put_in_place() -> None:
    replica = Replica(2, MEMBERS, RaftConfig())
    replica.core.step(Append(0, 1, 2, 1, 0, 0, 3, entries(1, 3)), 0)
    assert replica.core.begin_install(2)
    replica.turn(STEP_MS)
    assert replica.core.state.commit == 3 and replica.applied == []
    replica.applied = [b"1", b"2"]
    replica.core.snapshot_installed(SnapshotMeta(2, 1, MEMBERS), 1, STEP_MS)
    replica.turn(STEP_MS)
    assert replica.applied == [b"1", b"2", b"3"]


def test_the_members_of_a_snapshot_count_from_it_on(town: Town) -> None:
    follower = absent(town)
    members = Membership(frozenset({1, 2, 3}), learners=frozenset({9}))
    assert follower.core.begin_install(28)
    follower.core.snapshot_installed(SnapshotMeta(28, 1, members), 1, town.now_ms)
    state = follower.core.state
    assert (state.membership, state.configs.active_index) == (members, 28)


def test_a_snapshot_that_is_too_old_is_not_installed(town: Town) -> None:
    follower = absent(town)
    assert not follower.core.begin_install(len(follower.applied))
    assert not town.leader.core.begin_install(len(town.leader.applied) - 1)


def test_a_conflicting_tail_goes_when_a_snapshot_comes() -> None:
    town = Town()
    town.run()
    old = town.leader
    town.away = {old.replica}
    for _ in range(5):  # written by one, agreed by nobody
        old.core.propose([b"lonely"], old.now_ms)
        old.turn(old.now_ms)
    lonely_last = old.core.state.log.last
    town.run()
    town.write(20)
    for replica in town.replicas.values():
        if replica is not old:
            assert replica.transfers.compact(len(replica.applied) - 1)
    town.away = set()
    town.run()
    assert old.core.snapshot_wanted > lonely_last
    assert town.give(town.leader, old)
    town.run()
    town.write(1)
    assert old.applied == town.leader.applied and b"lonely" not in old.applied


def test_no_leader_of_an_earlier_term_is_followed_after_an_install(town: Town) -> None:
    follower = absent(town)
    meta = SnapshotMeta(28, 1, MEMBERS)
    assert follower.core.begin_install(28)
    follower.core.snapshot_installed(meta, 9, town.now_ms)
    follower.turn(town.now_ms)
    assert follower.core.state.term == 9 and follower.storage.hard_state.term == 9
    assert follower.storage.snapshot == meta and follower.storage.last == 28


def test_who_lost_its_state_votes_and_stores_but_applies_nothing(town: Town) -> None:
    giver = town.leader
    (loser,) = (r for r in town.replicas.values() if r is not giver and r is not absent(town))
    loser.applied.clear()
    loser.boot(0)
    assert loser.core.state.lacks_state and loser.core.snapshot_wanted == 25
    town.run()
    town.write(3)  # with it there is a majority
    assert loser.applied == [] and loser.core.state.log.last == giver.core.state.log.last
    ask = VoteRequest(
        0, 9, loser.replica, 50, pre=False, handover=True, last_index=10**6, last_term=49
    )
    loser.core.step(ask, town.now_ms)
    assert loser.core.state.vote == 9
    town.run()
    assert town.give(town.leader, loser)
    town.run(500)
    assert loser.applied == town.leader.applied and loser.core.state.log.start == 25


def test_a_lone_voter_and_a_live_follower_hold_the_log(town: Town) -> None:
    alone = Town(size=1)
    alone.run()
    alone.write(20)
    replica = alone.replicas[1]
    assert not replica.transfers.compact(20, all_of_it=True)

    config = RaftConfig(trailing_bytes=1, held_bytes_max=100)
    held = Town(config=config)
    held.run()
    held.write(4)
    leader = held.leader
    slow = next(iter(leader.core.state.progress.values()))
    slow.match = 3
    assert leader.transfers.compact(len(leader.applied) - 1)
    assert leader.core.state.log.start == 3  # it was heard just now
    slow.match = 0
    held.write(30)
    slow.match = 4
    assert leader.transfers.compact(len(leader.applied) - 1)
    assert leader.core.state.log.start > 10  # but not for ever


def test_a_snapshot_that_is_fetched_holds_the_log(town: Town) -> None:
    leader = town.leader
    town.write(5)
    assert leader.transfers.compact(33, in_use=27)
    assert leader.core.state.log.start == 27


def test_a_log_that_has_not_heard_of_a_snapshot_is_told_at_the_start() -> None:
    log = MemoryLog(cluster=CLUSTER, replica=1)
    meta = SnapshotMeta(9, 2, MEMBERS)
    step = unheard_install(log, meta, 5)
    assert step is not None
    log.write([step])
    assert (log.last, log.snapshot, log.hard_state.term) == (9, meta, 5)
    assert unheard_install(log, meta, 5) is None
    assert unheard_install(log, SnapshotMeta(4, 1, MEMBERS), 1) is None  # older than the log


def test_what_is_kept_must_make_sense() -> None:
    with pytest.raises(BadConfig):
        RaftConfig(trailing_bytes=10, held_bytes_max=9)
