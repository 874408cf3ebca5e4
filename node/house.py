"""The only place that knows every part: builds them, opens the nursery tree, stops it in order.

    root
    ├─ storage     checkpoints, snapshots given and fetched
    ├─ upkeep      damage found and mended, nodes compared, verification
    ├─ space       the reserve file, and what happens when the disk is nearly full
    ├─ rpc         listener, links to peers
    ├─ gossip      who is where
    ├─ members     joining, removal, promotion
    ├─ keys        the cluster's key, changed in three steps
    ├─ raft        the log; committed entries go to the machine, news rings
    ├─ proposer, barriers      writes and reads of the doors
    ├─ bootstrap   the file's accounts, once
    ├─ push        the leader's sends what clients have subscribed to
    ├─ jobs        the leader's does what is due
    ├─ collector   the leader's forgets blobs that nothing holds
    ├─ admin       the operator's socket
    └─ doors       http, imap, lmtp: open last, close first

Stop: the doors take no more, drain and close; the leader hands over; gossip says goodbye; the
rest is cancelled, the state takes a last checkpoint, files are closed.
"""

from functools import partial
from typing import Any, Final

import trio

from gossip import Gossip
from node import VERSION, admin, logs, tree
from node.accounts import AccountDesk, bootstrap, is_bootstrapped
from node.belonging import Belonging
from node.collector import Collector
from node.consensus_port import Consensus
from node.doors import Doors, build_doors
from node.env import Env
from node.foundation import Foundation
from node.gossiping import build_gossip
from node.grants import GrantDesk
from node.key_desk import KeyDesk
from node.key_holder import KeyHolder
from node.listeners import Listeners
from node.lists import ListDesk
from node.machine import Machine
from node.newcomer import newcomer_on
from node.news import Bells
from node.passwords import Passwords
from node.proposer import Proposer
from node.push_desk import PushDesk
from node.pushing import build_push
from node.raft_transport import RaftTransport
from node.reads import Barriers
from node.roster import Place, Roster
from node.rounds import Origin
from node.rpc import (
    Answer,
    Call,
    Credentials,
    Kind,
    LinkLost,
    Peers,
    Remote,
    Server,
)
from node.rpc_desk import RpcDesk
from node.snapshots import Snapshots
from node.space import Space
from node.standing import Standing
from node.status_desk import StatusDesk
from node.supervise import keep_trying
from node.upkeep import Upkeep
from protocols.ports import AuthBusy, Unavailable
from raft import Driver, Membership, Role

# At a stop: for the leader to hand over, and for all of it.
STEP_DOWN_S: Final = 2.0
# How many entries behind the known commit a node may be and still call itself ready.
READY_LAG_MAX: Final = 1_000
# Until a majority is there the first accounts cannot be made; we look again after this.
BOOTSTRAP_PAUSE_S: Final = 0.5


NOBODY: Final = 0

log = logs.named("node.house")


class House:
    """One node."""

    def __init__(self, foundation: Foundation, env: Env) -> None:
        """Build all parts; nothing runs before `run`."""
        self._base = foundation
        self._env = env
        config, own = foundation.config, foundation.own
        self._roster = self._build_roster()
        self._keys = KeyHolder(foundation, env)
        credentials = Credentials(
            foundation.cluster, self._keys.secrets, foundation.replica, own.name
        )
        self._peers = Peers(
            credentials,
            env.network,
            locate=self._roster.locate,
            on_link=self._on_link,
            chance=env.chance,
            draw=env.draw,
        )
        self._roster.attach(self._peers)
        self._newcomer = newcomer_on(foundation, self._peers)
        self._server = self._build_server(credentials)
        self._bells = Bells()
        self._machine = Machine(foundation.state, self._bells)
        self._transport = RaftTransport(self._peers)
        self._driver: Driver = foundation.build_driver(
            self._transport, self._machine, env, self._leader_changed, self._members_changed
        )
        self._belonging = Belonging(
            foundation, config, self._driver, self._roster, self._peers, env.run_blocking
        )
        self._key_desk = KeyDesk(
            self._keys, self._belonging, self._peers, self._server, self._driver, draw=env.draw
        )
        self._space = Space(env, config.storage, self._driver.steering)
        self._snapshots = self._build_snapshots()
        self._upkeep = self._build_upkeep()
        consensus = Consensus(self._driver)
        origin = Origin(foundation.replica, own.name, foundation.mark, env.draw(8))
        self._barriers = Barriers(self._machine, consensus, env.clock)
        self._proposer = Proposer(
            self._machine,
            consensus,
            env.clock,
            env.chance,
            origin,
            self._barriers.view,
            lacks_room=self._space.is_low,
        )
        self._standing = Standing(self._driver, self._proposer, http=own.http or 0)
        self._passwords = self._build_passwords()
        self._listeners = self._build_listeners()
        self.status = self._build_status()
        self._doors: Doors = build_doors(
            foundation,
            env,
            reader=self._barriers,
            writer=self._proposer,
            blobs=self._machine.current,
            news=self._bells,
            passwords=self._passwords,
            ready=self.ready,
        )
        self._push = build_push(foundation, env, self._doors.ports)
        self._collector = self._build_collector()
        self._gossip: Gossip | None = None
        self._rpc_desk = self._build_rpc_desk()

    def _build_collector(self) -> Collector:
        return Collector(
            self._doors.ports,
            self._base.config.storage,
            lambda: self._driver.steering.membership.everyone,
            own=self._base.replica,
        )

    def _build_listeners(self) -> Listeners:
        limits = self._base.config.limits
        return Listeners(
            self._env.network,
            self._base.own.address,
            connections_max=limits.connections,
            connections_per_address_max=limits.connections_per_address,
        )

    def _build_rpc_desk(self) -> RpcDesk:
        return RpcDesk(
            self._base,
            self._machine,
            self._driver,
            self._belonging,
            self._snapshots,
            self._upkeep,
            self.status,
            hear_gossip=self._hear_gossip,
        )

    def _build_status(self) -> StatusDesk:
        return StatusDesk(
            self._base,
            self._space,
            self._machine,
            self._driver,
            self._belonging,
            self._roster,
            self._peers,
            self._listeners,
            self._upkeep,
        )

    def _build_snapshots(self) -> Snapshots:
        return Snapshots(
            self._machine,
            self._driver,
            self._peers,
            self._env,
            own=self._base.replica,
            is_pressed=self._space.is_pressed,
        )

    def _build_upkeep(self) -> Upkeep:
        return Upkeep(
            self._machine,
            self._peers,
            self._env.run_blocking,
            self._env.clock,
            self._base.config.storage,
            own=self._base.replica,
            givers=self._snapshots.givers,
            members=lambda: self._driver.steering.membership,
            name=self._roster.name,
            room=self._space.room,
            is_giving=self._snapshots.is_giving,
        )

    def _build_passwords(self) -> Passwords:
        auth = self._base.config.auth
        return Passwords(
            self._env.run_blocking,
            random_bytes=self._env.draw,
            threads=auth.hashing_threads,
            waiting_max=auth.hashing_queue,
        )

    def _build_server(self, credentials: Credentials) -> Server:
        return Server(
            credentials,
            on_message=self._on_message,
            on_call=self._on_call,
            on_link=lambda remote: self._peers.nudge(remote.replica),
            draw=self._env.draw,
        )

    async def run(
        self,
        stopping: trio.Event,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run until `stopping` is set and everything has ended in order.

        Raises what stops a node: DiskFailed, Fenced, OSError for a port that cannot be opened.
        """
        own = self._base.own
        await self._space.look()
        await self._newcomer.ask_at(self._roster.seeds(self._base.replica))
        peer_listeners = await self._env.network.listen_tcp(own.address, own.peer)
        datagrams = await self._env.network.open_udp(own.address, own.peer)
        self._gossip = build_gossip(
            self._base,
            self._env,
            self._keys,
            self._peers,
            self._roster,
            self._belonging,
            self._standing,
            datagrams,
        )
        async with trio.open_nursery() as inner:
            inner.start_soon(self._server.serve, peer_listeners, name="rpc listener")
            inner.start_soon(self._peers.run, name="rpc peers")
            inner.start_soon(self._newcomer.ask_the_rest, name="newcomer")
            inner.start_soon(self._gossip.run, name="gossip")
            await inner.start(partial(_started, self._driver.run), name="raft driver")
            inner.start_soon(self._belonging.members.keep, name="members")
            inner.start_soon(self._belonging.run, name="belonging")
            inner.start_soon(self._key_desk.run, name="keys")
            inner.start_soon(self._snapshots.run, name="storage")
            inner.start_soon(self._upkeep.run, name="upkeep")
            inner.start_soon(self._space.run, name="space")
            inner.start_soon(self._standing.tell, self._gossip, name="standing")
            inner.start_soon(self._proposer.run, name="proposer")
            inner.start_soon(self._barriers.run, name="barriers")
            inner.start_soon(self._bootstrap, name="bootstrap")
            inner.start_soon(self._push.run, name="push")
            inner.start_soon(self._doors.jobs.run, self._leads, name="jobs")
            inner.start_soon(self._collector.run, self._leads, name="collector")
            if self._base.raft_log.head_in_doubt:
                inner.start_soon(self._restore_head, name="log restored")
            async with trio.open_nursery() as outer:
                outer.start_soon(self._serve_admin, name="admin socket")
                await outer.start(self._serve_doors, stopping, name="doors")
                if own.managesieve is not None:
                    log.warning("managesieve is not in this version: its port stays closed")
                log.info("node started", version=VERSION, data=str(self._env.data))
                task_status.started()
                await self._doors.closed.wait()
                outer.cancel_scope.cancel()
            await self._leave()
            inner.cancel_scope.cancel()
        self._base.close(self._machine.state)

    async def _serve_doors(
        self,
        stopping: trio.Event,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        async def shut_http() -> None:
            await stopping.wait()
            log.info("stopping")
            await self._doors.close(self._base.drain_s)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(shut_http, name="http drain")
            await self._listeners.serve(
                self._doors.doors,
                stopping,
                drain_s=self._base.drain_s,
                task_status=task_status,
            )
        self._doors.closed.set()

    async def _leave(self) -> None:
        """The leader hands over, and everybody hears that we go."""
        handed_over = await self._driver.steering.step_down(timeout_s=STEP_DOWN_S)
        log.info("leaving", handed_over=handed_over)
        assert self._gossip is not None
        await self._gossip.leave()

    async def _restore_head(self) -> None:
        """Vote again once our registration has come back through the log.

        It was proposed after the loss, so what is before it in a leader's log, and now in ours, is
        all that we can have acknowledged to that leader; earlier ones have been elected without us.
        """
        while not self._proposer.registered:  # noqa: ASYNC110  once a start, and only after damage
            await trio.sleep(BOOTSTRAP_PAUSE_S)
        await self._env.run_blocking(self._base.raft_log.restore_head)
        log.info("the log is whole again: this node votes")

    async def _bootstrap(self) -> None:
        accounts = self._base.config.bootstrap.account
        await keep_trying(
            "bootstrap",
            partial(bootstrap, accounts, self._barriers, self._proposer, self._passwords),
            retry_on=(Unavailable, AuthBusy),
            pause_s=BOOTSTRAP_PAUSE_S,
        )

    # --- gossip and rpc

    def _build_roster(self) -> Roster:
        return Roster(
            [
                Place(self._base.replica_of(node.name), node.name, (node.host, node.peer))
                for node in self._base.config.node
            ],
            on_unreachable=self._unreachable,
            on_conflict=lambda member: log.error(
                "two nodes claim one name", name=member.name, address=member.address
            ),
        )

    def _on_message(self, remote: Remote, kind: int, payload: bytes) -> None:
        if kind != Kind.RAFT:
            raise LinkLost(f"a message of unknown kind {kind}")
        message = self._transport.read(remote, payload)
        if self._newcomer.may_hear(remote.replica):
            self._driver.receive(message)

    async def _on_call(self, remote: Remote, call: Call) -> Answer:
        return await self._rpc_desk.answer(remote, call)

    def _hear_gossip(self, payload: bytes) -> bytes:
        assert self._gossip is not None
        return self._gossip.handle_exchange(payload)

    def _members_changed(self, membership: Membership, committed: bool) -> None:
        self._belonging.changed(membership, committed)
        if self._gossip is not None:
            self._gossip.set_seeds(self._belonging.seeds())

    def _leader_changed(self, leader: int) -> None:
        log.info("leader known", leader=self._roster.name(leader))
        self._proposer.leader_changed()
        self._push.lead(leader == self._base.replica)

    def _leads(self) -> bool:
        return self._driver.status().role is Role.LEADER

    def _unreachable(self, replica: int) -> None:
        self._driver.peer_lost(replica)

    def _on_link(self, replica: int, up: bool) -> None:
        if not up:
            self._driver.peer_lost(replica)

    # --- what an operator asks

    async def _serve_admin(self) -> None:
        desk = AccountDesk(self._barriers, self._proposer, self._passwords)
        lists = ListDesk(self._barriers, self._proposer)
        calls = {"status": self.status.everybody, "tree": tree.answer} | desk.calls()
        grants = GrantDesk(self._barriers, self._proposer)
        calls |= lists.calls() | grants.calls() | PushDesk(self._proposer).calls()
        calls |= self._belonging.desk.calls() | self._snapshots.calls() | self._upkeep.calls()
        await admin.AdminDoor(calls).serve(self._env.open_admin(self._env.data))

    def ready(self) -> bool:
        """There is a leader, we have applied nearly all that we know to be committed, and in a
        new cluster the file's accounts are made: until then a door would call them unknown.
        """
        status = self._driver.status()
        behind = status.commit - self._machine.applied_index
        caught_up = behind <= READY_LAG_MAX and not self._driver.transfers.wanted
        populated = is_bootstrapped(self._base.config.bootstrap.account, self._machine.view())
        return status.leader != NOBODY and caught_up and self._proposer.registered and populated


async def _started(
    run: Any, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    await run(task_status=task_status)
