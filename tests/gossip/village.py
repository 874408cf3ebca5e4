"""A village of gossip cores on a simulated network: one heap, integer milliseconds, one seed.

Packets are really encoded and decoded, delayed, lost and doubled; streams fail where packets would,
save for loss. A villager can crash, come back with its data, be frozen, be slow, and be cut off.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random

from gossip.config import GossipConfig
from gossip.core import Core
from gossip.effects import Exchange, Send
from gossip.identity import Identity
from gossip.messages import Message
from gossip.model import Address, Change, MemberEvent, Status
from gossip.wire import decode, encode, pack, unpack

WALL_START_MS = 1_800_000_000_000


@dataclass
class Villager:
    """One node: its core while it runs, and what survives when it does not."""

    identity: Identity
    core: Core | None = None
    boots: int = 0
    frozen: bool = False
    slow_ms: tuple[int, int] = (0, 0)
    """How late it hears what has come, and notices that time has passed; drawn each time."""
    busy_until_ms: int = 0
    unread: list[Callable[[], None]] = field(default_factory=list)
    events: list[tuple[int, MemberEvent]] = field(default_factory=list)

    @property
    def running(self) -> Core:
        assert self.core is not None
        return self.core


class Village:
    """The simulation."""

    def __init__(
        self,
        size: int,
        seed: int,
        *,
        config: GossipConfig | None = None,
        loss: float = 0.0,
        doubling: float = 0.0,
        delay_ms: tuple[int, int] = (1, 10),
        encoded: bool = True,
    ) -> None:
        """`encoded`: packets are bytes on their way; the other way is quicker."""
        self.encoded = encoded
        self.seed = seed
        self._size = size
        self.config = config or GossipConfig()
        self.loss = loss
        self.doubling = doubling
        self.delay_ms = delay_ms
        self.now_ms = 0
        self.wall_start_ms = WALL_START_MS
        self.packets = 0
        self.trace: list[str] = []
        self.deaths: list[tuple[int, int, int, int]] = []
        """When who declared whom dead, and at which incarnation."""
        self._luck = Random(f"network {seed}")
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self._cut: set[tuple[int, int]] = set()
        self.packets_blocked: set[int] = set()
        """Nodes behind a firewall that lets streams through and no datagrams."""
        self.nodes = {
            n: Villager(Identity(n, f"n{n}", "10.0.0.1", 1000 + n)) for n in range(1, size + 1)
        }

    # What can happen to a village.

    def start(self, *numbers: int, incarnation: int | None = None) -> None:
        for n in numbers or self.nodes:
            node = self.nodes[n]
            node.boots += 1
            node.core = Core(
                self.config,
                node.identity,
                incarnation=self.wall_start_ms + self.now_ms
                if incarnation is None
                else incarnation,
                seeds=[v.identity.address for v in self.nodes.values()],
                chance=Random(f"node {n} boot {node.boots} seed {self.seed}"),
                now_ms=self.now_ms,
            )
            self._wake(n)

    def crash(self, *numbers: int) -> None:
        for n in numbers:
            self.nodes[n].core = None
            self.nodes[n].unread.clear()

    def leave(self, n: int) -> None:
        self.nodes[n].running.leave()
        self._wake(n)

    def freeze(self, n: int) -> None:
        self.nodes[n].frozen = True

    def thaw(self, n: int) -> None:
        node = self.nodes[n]
        node.frozen = False
        unread, node.unread = node.unread, []
        for act in unread:
            act()
        self._wake(n)

    def slow_down(self, *numbers: int, slow_ms: tuple[int, int]) -> None:
        for n in numbers:
            self.nodes[n].slow_ms = slow_ms

    def cut(self, left: set[int], right: set[int], *, one_way: bool = False) -> None:
        for a in left:
            for b in right:
                self._cut.add((a, b))
                if not one_way:
                    self._cut.add((b, a))

    def mend(self) -> None:
        """End all cuts; what else is wrong stays."""
        self._cut.clear()

    def heal(self) -> None:
        self.mend()
        self.loss = 0.0

    def at(self, delay_ms: int, act: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (self.now_ms + delay_ms, next(self._order), act))

    def run(self, duration_ms: int) -> None:
        end_ms = self.now_ms + duration_ms
        while self._heap and self._heap[0][0] <= end_ms:
            self.now_ms, _, act = heapq.heappop(self._heap)
            act()
        self.now_ms = end_ms

    def run_until(self, fact: Callable[[], bool], *, within_ms: int) -> int:
        """Run until a fact holds; how long that took."""
        start_ms = self.now_ms
        while not fact():
            assert self.now_ms - start_ms <= within_ms, (
                f"seed {self.seed}: not within {within_ms} ms\n{self.portrait()}"
            )
            self.run(50)
        return self.now_ms - start_ms

    # What can be seen of it.

    def running(self) -> list[int]:
        return [n for n, node in self.nodes.items() if node.core is not None]

    def view(self, n: int) -> dict[int, Status]:
        members = self.nodes[n].running.members(self.now_ms)
        return {m.replica: m.status for m in members}

    def agreed(self) -> bool:
        """All running nodes see all running nodes alive, and no other."""
        alive = {n for n in self.running() if not self.nodes[n].running.own.leaving}
        return all(
            {m for m, status in self.view(n).items() if status is Status.ALIVE} == alive
            for n in alive
        )

    def all_see(self, subject: int, status: Status) -> bool:
        return all(self.view(n).get(subject) is status for n in self.running() if n != subject)

    def changes(self, n: int, change: Change) -> list[int]:
        """Replicas of which node `n` noted a change, in order."""
        return [e.member.replica for _, e in self.nodes[n].events if e.change is change]

    def portrait(self) -> str:
        return "\n".join(
            f"  n{n}: " + " ".join(f"{m}={s.name}" for m, s in self.view(n).items())
            for n in self.running()
        )

    # The network.

    def _wake(self, n: int) -> None:
        node = self.nodes[n]
        if node.core is None or node.frozen:
            return
        core = node.core
        core.tick(self.now_ms)
        self._drain(n)
        due_ms = max(core.next_deadline_ms(), self.now_ms + 1) + self._lateness(n)
        self.at(due_ms - self.now_ms, lambda: self._wake_if_due(n, core, due_ms))

    def _wake_if_due(self, n: int, core: Core, due_ms: int) -> None:
        if self.nodes[n].core is core and core.next_deadline_ms() <= due_ms:
            self._wake(n)

    def _drain(self, n: int) -> None:
        node = self.nodes[n]
        core = node.running
        for event in core.take_events():
            node.events.append((self.now_ms, event))
            if event.change is Change.DIED:
                who = event.member
                self.deaths.append((self.now_ms, n, who.replica, who.incarnation))
            self.trace.append(f"{self.now_ms} n{n} {event.change.name} {event.member.replica}")
        for effect in core.take_effects():
            match effect:
                case Send():
                    self._carry(n, effect)
                case Exchange():
                    self._call(n, effect, core)

    def _after(self, n: int) -> None:
        """Handle effects of something heard, and look again when the core next wants to."""
        core = self.nodes[n].running
        self._drain(n)
        due_ms = max(core.next_deadline_ms(), self.now_ms) + self._lateness(n)
        self.at(due_ms - self.now_ms, lambda: self._wake_if_due(n, core, due_ms))

    def _carry(self, sender: int, effect: Send) -> None:
        messages: tuple[Message, ...] = effect.messages
        if self.encoded:
            data = pack(messages)
            assert len(data) + 64 <= self.config.packet_bytes_max
            messages = unpack(data).messages
        self.packets += 1
        receiver = self._owner(effect.to)
        copies = 2 if self._luck.random() < self.doubling else 1
        for _ in range(copies):
            delay_ms = self._luck.randint(*self.delay_ms)
            if self._luck.random() >= self.loss and receiver is not None:
                self.at(delay_ms, lambda: self._deliver(sender, receiver, messages))

    def _deliver(self, sender: int, receiver: int, messages: Sequence[Message]) -> None:
        if (sender, receiver) in self._cut or self.packets_blocked & {sender, receiver}:
            return
        source = self.nodes[sender].identity.address
        core = self.nodes[receiver].core

        def hear() -> None:
            if self.nodes[receiver].core is core and core is not None:
                core.hear_packet(source, messages, self.now_ms)
                self._after(receiver)

        self._give(receiver, hear)

    def _call(self, caller: int, effect: Exchange, core: Core) -> None:
        called = self._owner(effect.to)
        if called is None:
            return
        data = encode(effect.request)
        there, back = (self._luck.randint(*self.delay_ms) for _ in range(2))

        def arrive() -> None:
            answering = self.nodes[called].core
            both = {(caller, called), (called, caller)}
            if answering is None or both & self._cut:
                return
            answer = answering.answer_exchange(decode(data), self.now_ms)
            self._after(called)
            if answer is not None:
                self.at(back, lambda: self._give(caller, lambda: come_back(answer)))

        def come_back(answer: Message) -> None:
            if self.nodes[caller].core is core:
                core.hear_answer(decode(encode(answer)), self.now_ms)
                self._after(caller)

        self.at(there, lambda: self._give(called, arrive))

    def _give(self, n: int, act: Callable[[], None]) -> None:
        if late_ms := self._lateness(n):
            node = self.nodes[n]
            node.busy_until_ms = max(node.busy_until_ms, self.now_ms + late_ms)  # in order
            self.at(node.busy_until_ms - self.now_ms, lambda: self._hand_over(n, act))
        else:
            self._hand_over(n, act)

    def _hand_over(self, n: int, act: Callable[[], None]) -> None:
        if self.nodes[n].frozen:
            self.nodes[n].unread.append(act)
        else:
            act()

    def _lateness(self, n: int) -> int:
        slow_ms = self.nodes[n].slow_ms
        return self._luck.randint(*slow_ms) if slow_ms[1] else 0

    def _owner(self, address: Address) -> int | None:
        """Who listens at an address: the last of those claiming it that runs."""
        asked = [address[1] - 1000, *list(self.nodes)[self._size :]]
        nodes = [(n, self.nodes[n]) for n in asked if n in self.nodes]
        owners = [n for n, v in nodes if v.identity.address == address and v.core]
        return owners[-1] if owners else None
