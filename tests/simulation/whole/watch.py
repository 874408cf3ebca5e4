"""The invariants of tests.simulation.checkers over whole nodes: what the cores do, seen from
outside, is compared with what the disks hold.

The nodes do not know: their log, driver and transport are listened to while a run lasts. Who died
is not listened to any more, though its tasks may take some last steps.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from node.raft_transport import RaftTransport
from raft.core import Core
from raft.driver import Driver
from raft.messages import Message
from raft.model import Entry, Membership, Persist, ReplicaId
from raft.stable import DurableLog
from tests.simulation.checkers import Checker


class Watch:
    """Every replica's core while it runs, and what its log is doing."""

    def __init__(self, founding: Membership) -> None:
        """`founding` is what the cluster is formed with."""
        self.checker = Checker(sorted(founding.voters), founding=founding)
        self._cores: dict[ReplicaId, Core] = {}
        self._in_doubt: dict[ReplicaId, list[Sequence[Persist]]] = {}

    def ended(self, replica: ReplicaId) -> None:
        """Its process is gone: nothing that it still does counts."""
        self._cores.pop(replica, None)

    # --- what is heard

    def _know(self, replica: ReplicaId) -> None:
        if replica not in self.checker.shadows:
            self.checker.join(replica)

    def opened(self, storage: DurableLog) -> None:
        """36: a log was opened, and must read back as it was written."""
        self._know(storage.replica)
        in_doubt = self._in_doubt.pop(storage.replica, [])
        self.checker.restarted(storage.replica, storage, in_doubt)

    def wiped(self, replica: ReplicaId) -> None:
        """Its disk was emptied, after it had been removed; its id never comes back."""
        self._in_doubt.pop(replica, None)

    def _wrote(self, write: Callable[..., None], log: DurableLog, steps: Sequence[Persist]) -> None:
        self._in_doubt[log.replica] = list(log._batches(steps))
        write(log, steps)
        self._in_doubt.pop(log.replica)
        self.checker.durable(log.replica, steps)

    def _began(self, core: Core, applied: int) -> None:
        self._know(core.state.replica)
        self._cores[core.state.replica] = core
        self.checker.lost_memory(core.state.replica, applied)

    def _is_heard(self, core: Core) -> bool:
        return self._cores.get(core.state.replica) is core

    def _took_turn(self, driver: Driver) -> None:
        if self._is_heard(driver._core):
            self.checker.after_event(driver._core.state)

    def _handed(self, core: Core, step: Persist | None) -> None:
        if step is not None and self._is_heard(core):
            self.checker.handed(core.state, step)

    def _applied(self, core: Core, entries: Sequence[Entry]) -> None:
        if entries and self._is_heard(core):
            self.checker.apply(core.state.replica, entries)

    def _installed(self, core: Core, index: int) -> None:
        if self._is_heard(core):
            self.checker.installed(core.state.replica, index)
            self.checker.applied_by[core.state.replica] = index

    def _sent(self, messages: Sequence[Message]) -> None:
        for message in messages:
            core = self._cores.get(message.sender)
            if core is not None:
                self.checker.sent(core.state, message)

    # --- where it listens

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While this is open, everything is heard."""
        init, ready, take = Core.__init__, Core.ready, Core.take_committed
        install, turn, write = Core.snapshot_installed, Driver._turn, DurableLog.write
        send = RaftTransport.send

        def core_init(core: Core, **named: Any) -> None:
            init(core, **named)
            self._began(core, named["applied"])

        def core_ready(core: Core, now_ms: int) -> Any:
            found = ready(core, now_ms)
            self._handed(core, found.persist)
            return found

        def core_take(core: Core) -> Sequence[Entry]:
            entries = take(core)
            self._applied(core, entries)
            return entries

        def core_install(core: Core, meta: Any, seen_term: int, now_ms: int) -> None:
            install(core, meta, seen_term, now_ms)
            self._installed(core, meta.index)

        def driver_turn(driver: Driver) -> bool:
            more = turn(driver)
            self._took_turn(driver)
            return more

        def log_write(log: DurableLog, steps: Sequence[Persist]) -> None:
            self._wrote(write, log, steps)

        def transport_send(transport: RaftTransport, to: ReplicaId, messages: Any) -> None:
            self._sent(messages)
            send(transport, to, messages)

        with ExitStack() as stack:
            for owner, name, ear in (
                (Core, "__init__", core_init),
                (Core, "ready", core_ready),
                (Core, "take_committed", core_take),
                (Core, "snapshot_installed", core_install),
                (Driver, "_turn", driver_turn),
                (DurableLog, "write", log_write),
                (RaftTransport, "send", transport_send),
            ):
                stack.enter_context(mock.patch.object(owner, name, ear))
            yield
