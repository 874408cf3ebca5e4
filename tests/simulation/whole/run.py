"""One seed of tier B: whole nodes, clients at their doors, faults; then healing and what follows.

make the cluster -> clients work, faults happen -> heal: all nodes ready, a write accepted
everywhere within HEAL_S -> the clients' histories and the nodes' states are judged
"""

import logging
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any, Final, TextIO
from unittest import mock

import structlog
import trio
from cryptography.exceptions import InvalidKey

from node import config, foundation, passwords
from node.identity import cluster_id, replica_id
from node.secret import read_secret
from protocols import scram
from raft import Membership, open_log
from raft.stable import DurableLog
from tests.simulation.mail.clients import Lmtp
from tests.simulation.mail.history import Census, History, Listing, Span, compare
from tests.simulation.mail.workload import (
    ACCOUNTS,
    REGISTERS,
    Client,
    holdings,
    make_registers,
)
from tests.simulation.report import Job, Report
from tests.simulation.trace import Trace
from tests.simulation.whole import judge, scheduling
from tests.simulation.whole.clock import SimClock
from tests.simulation.whole.machine import FREE_BYTES_MIN, RESERVE_BYTES, Machine
from tests.simulation.whole.nemesis import Nemesis
from tests.simulation.whole.network import Process, SimNetwork
from tests.simulation.whole.tripwires import tripwires
from tests.simulation.whole.watch import Watch

# After everything is healed, all nodes are ready and agree within this (invariant 34).
HEAL_S: Final = 30.0
START_S: Final = 30.0
GOSSIP_S: Final = 10.0
SEGMENT_BYTES: Final = 64 * 1024  # small, so that logs rotate and are cut
COLLECT_MS: Final = 1_000  # so often that what is expunged is collected within a seed
TRAILING_BYTES: Final = 64 * 1024  # little, so that who was away needs a snapshot
# How many clusters of three voters are founded with a fourth node, which only follows.
WITH_REPLICA: Final = 0.3
CLIENT_HOST: Final = "10.1.0.1"
# Events of the house's log that are bugs of ours wherever they come from.
BUGS: Final = frozenset({"connection failed"})
# What nodes did about a full disk, counted with the faults.
COUNTED: Final = {
    "the disk is nearly full: no writes here until there is room": "stood aside for want of room",
    "the reserve file is given up, the log is cut": "reserve given up",
    "the disk has room again: writes go on": "had room again",
}


class QuickHash:
    """Stands in for Argon2id: 50 ms of a real core for each password are no part of this."""

    def __init__(self, *, salt: bytes, **costs: int) -> None:
        self._salt = salt

    def derive_phc_encoded(self, password: bytes) -> str:
        return f"$quick${self._salt.hex()}${password.hex()}"

    @staticmethod
    def verify_phc_encoded(password: bytes, phc: str) -> None:
        if phc.rpartition("$")[2] != password.hex():
            raise InvalidKey


@contextmanager
def _stand_ins(trace: Trace, watch: Watch, bugs: list[str]) -> Iterator[None]:
    """Cheap hashes, small log segments, and the house's log lines in the trace."""

    def keep(logger: object, method: str, event: structlog.typing.EventDict) -> Any:
        words = [f"{key}={event[key]}" for key in sorted(event) if key not in ("exc_info", "event")]
        trace("log", method, event["event"], *words)
        if event["event"] in COUNTED:
            trace.faults[COUNTED[event["event"]]] += 1
        if event["event"] in BUGS or method in ("critical", "exception"):
            told = structlog.processors.format_exc_info(None, "", event)
            bugs.append(str(told.get("exception", told)))
        raise structlog.DropEvent

    class IntoTrace(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            trace("log", record.levelname.lower(), record.getMessage())
            if record.levelno >= logging.ERROR:
                bugs.append(logging.Formatter().format(record))

    configured, handler, root = structlog.get_config(), IntoTrace(), logging.getLogger()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, keep])
    handlers, root.handlers[:] = list(root.handlers), [handler]

    def small(*places: Any, **named: Any) -> DurableLog:
        opened = open_log(*places, **{**named, "segment_bytes": SEGMENT_BYTES})
        watch.opened(opened)
        return opened

    try:
        with (
            mock.patch.object(foundation, "open_log", small),
            mock.patch.object(passwords, "Argon2id", QuickHash),
            mock.patch.object(scram, "derive_keys", partial(scram.derive_keys, iterations=1)),
            watch.listening(),
            mock.patch.object(passwords, "acceptable", lambda phc: phc.startswith("$quick$")),
        ):
            yield
    finally:
        root.handlers[:] = handlers
        structlog.configure(**configured)


@dataclass
class Village:
    """The machines of one run, their network, and the clients' way in. Implements World."""

    machines: Sequence[Machine]
    network: SimNetwork
    nursery: trio.Nursery
    names: Sequence[str] = field(init=False)
    _clients: Process = field(default_factory=lambda: Process(CLIENT_HOST, 1))

    def __post_init__(self) -> None:
        self.names = [machine.name for machine in self.machines]

    def boot(self, machine: Machine) -> None:
        machine.start(self.nursery)

    async def dial(self, name: str, door: str) -> trio.abc.Stream:
        member = self.machines[0].config.member(name)
        ours = self.network.lend(self._clients)
        return await ours.dial_tcp(member.host, member.ports()[door])

    async def ready(self) -> None:
        for machine in self.machines:
            await machine.wait_ready()


def _config(directory: Path, size: int, replicas: int) -> config.Config:
    lines = [
        '[cluster]\nname = "simulated"\nsecret-file = "cluster.key"\n',
        f"[raft]\ntrailing-bytes = {TRAILING_BYTES}\n",
        f"[storage]\nfree-bytes-min = {FREE_BYTES_MIN}\nreserve-bytes = {RESERVE_BYTES}\n",
        f"collect-interval-ms = {COLLECT_MS}\ncollect-grace-ms = {COLLECT_MS // 2}\n",
    ]
    for number in range(1, size + replicas + 1):
        role = "voter" if number <= size else "replica"
        lines.append(
            f'[[node]]\nname = "n{number}"\nhost = "10.0.0.{number}"\nrole = "{role}"\n'
            "peer = 1000\nhttp = 80\nimap = 143\nlmtp = 24\n"
        )
    for address, password in [*ACCOUNTS.items(), REGISTERS]:
        lines.append(f'[[bootstrap.account]]\naddress = "{address}"\npassword = "{password}"\n')
    parsed = config.parse("\n".join(lines), directory / "cluster.toml")
    parsed.secret_path.write_text("the same secret in every simulation\n")
    parsed.secret_path.chmod(0o600)
    return parsed


def _founding(parsed: config.Config) -> Membership:
    cluster = cluster_id(parsed.cluster.name, read_secret(parsed))
    voters = frozenset(replica_id(cluster, name) for name in parsed.voters)
    everyone = frozenset(replica_id(cluster, node.name) for node in parsed.node)
    return Membership(voters, learners=everyone - voters)


class Run:
    """One seed."""

    def __init__(self, job: Job, directory: Path, out: TextIO | None) -> None:
        self.seed, self.seconds, self._always = job.seed, job.seconds, job.always
        seed = job.seed
        self.clock = SimClock()
        self.trace = Trace(out, self.clock.current_time)
        self.history = History()
        self.bugs: list[str] = []
        shape = random.Random(f"{seed}/shape")
        voters = shape.choice([3, 3, 3, 5])
        self._clients, self._pause_s = shape.choice([2, 3, 5]), shape.choice([0.4, 1.2, 4.0])
        self.network = SimNetwork(self.clock, random.Random(f"{seed}/network"), self.trace)
        has_replica = voters == 3 and random.Random(f"{seed}/roles").random() < WITH_REPLICA
        if has_replica:
            self.trace.faults["founded with a replica that does not vote"] += 1
        self.size = voters + has_replica
        parsed = _config(directory, voters, int(has_replica))
        self.watch = Watch(_founding(parsed))
        self.machines = [
            Machine(node.name, parsed, self.network, self.clock, self.trace, seed, self.watch)
            for node in parsed.node
        ]
        self.nemesis: Nemesis

    async def main(self) -> None:
        async with trio.open_nursery() as nursery:
            village = Village(self.machines, self.network, nursery)
            self.nemesis = Nemesis(
                self.machines,
                self.network,
                random.Random(f"{self.seed}/nemesis"),
                self.trace,
                village.boot,
                self._always,
                self.seed,
            )
            for machine in self.machines:
                village.boot(machine)
            with trio.fail_after(START_S):
                await village.ready()
                await make_registers(self._client(village, 0))
            nursery.start_soon(self.nemesis.keep_running)
            await self._trouble(village)
            self.nemesis.heal()
            await self.nemesis.last_orders()
            with trio.fail_after(HEAL_S):
                await self._converge(village)
            await self._see_each_other()
            await self._rest()  # the leader's collector goes on
            self.bugs += [*judge.states(self.machines, self.trace), *judge.logs(self.machines)]
            nursery.cancel_scope.cancel()
        self.bugs += self.history.wrong()

    def _client(self, village: Village, number: int) -> Client:
        return Client(
            village,
            self.history,
            random.Random(f"{self.seed}/client/{number}"),
            self._pause_s,
            self.trace,
            number,
        )

    async def _trouble(self, village: Village) -> None:
        with trio.move_on_after(self.seconds):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.nemesis.run)
                for number in range(1, self._clients + 1):
                    nursery.start_soon(self._client(village, number).run)

    async def _converge(self, village: Village) -> None:
        """34: everybody ready, a new write accepted at each node, and all have applied it all."""
        await village.ready()
        for number, machine in enumerate(self.machines):
            token, client = f"healed-{number}", self._client(village, 100 + number)
            door = Lmtp(await village.dial(machine.name, "lmtp"))
            await door.greet()
            await client.deliver(door, sorted(ACCOUNTS)[0], token)
            await door.close()
        await self._rest()
        held = {}
        for machine in self.machines:
            began = trio.current_time()
            held[machine.name] = await holdings(village, machine.name)
            span = Span(began, trio.current_time())
            for place, (validity, rows) in held[machine.name].items():
                self.history.listings.append(Listing(place, machine.name, span, validity, rows))
            self._whole_accounts(machine.name, span, held[machine.name])
        self.bugs += compare(held)

    async def _rest(self) -> None:
        """All have applied the same."""
        while len({m.state.applier.index for m in self.machines if m.state is not None}) != 1:
            await trio.sleep(0.05)

    def _whole_accounts(self, node: str, span: Span, held: dict[Any, Any]) -> None:
        """13, 17-19: at rest both mailboxes together are the account."""
        for account in sorted({account for account, _ in held}):
            tokens = [r.token for (a, _), (_, rows) in held.items() if a == account for r in rows]
            self.history.censuses.append(Census(account, node, span, "", tuple(tokens)))

    async def _see_each_other(self) -> None:
        """33: gossip calls everybody alive, everywhere, soon after healing."""
        with trio.move_on_after(GOSSIP_S):
            while judge.unseen(self.machines):
                await trio.sleep(0.1)
        self.bugs += judge.unseen(self.machines)


def run_seed(
    seed: str, seconds: float, always: Sequence[str] = (), out: TextIO | None = None
) -> Report:
    """Raises SeedFailed with a way back; `out` gets every line of the trace."""
    job = Job("b", seed, seconds, tuple(always))
    started = process_time()
    with tempfile.TemporaryDirectory(prefix="trireme-sim-") as directory:
        run = Run(job, Path(directory), out)
        try:
            with _stand_ins(run.trace, run.watch, run.bugs), tripwires():
                scheduling.run(run.main, seed=seed, clock=run.clock)
            if run.bugs:
                raise AssertionError("\n".join(run.bugs[:20]))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            enabled = run.nemesis.enabled if hasattr(run, "nemesis") else ["none yet"]
            path = Path(tempfile.gettempdir()) / f"trireme-sim-{seed[:40].replace('/', '-')}.trace"
            path.write_text("\n".join(line[:300] for line in run.trace.tail))
            said = f"{_said(error)}\nthe end of its trace: {path}"
            raise job.failed(run.clock.current_time(), run.size, enabled, said) from error
    return Report(
        tier="b",
        seed=seed,
        seconds=run.clock.current_time(),
        cpu_s=process_time() - started,
        events=run.trace.lines,
        digest=run.trace.digest(),
        faults=run.trace.faults,
        counts=run.history.counts,
    )


def _said(error: BaseException) -> str:
    """The innermost errors of a group, one a line."""
    if isinstance(error, BaseExceptionGroup):
        return "\n".join(_said(inner) for inner in error.exceptions)
    return f"{type(error).__name__}: {error}"[:2000]
