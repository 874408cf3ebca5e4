"""The gossip driver (trio): moves packets, keeps time, runs exchanges. It decides nothing.

What it needs is lent: a datagram endpoint, a way to call an address over a stream (the node's RPC),
a way to remember the incarnation, the wall clock and chance. Monotonic time is Trio's own, so a
simulation's clock reaches here by itself.

Network failures are the business of the protocol: a packet or an exchange that fails is counted and
forgotten, and its silence is what probes are about. Any other error rises and ends `run`.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Protocol

import trio

from gossip.config import GossipConfig
from gossip.core import Core
from gossip.effects import Exchange, Send
from gossip.identity import Identity
from gossip.model import Address, Chance, Incarnation, Member, MemberEvent
from gossip.seal import Keyring, SealError
from gossip.wire import GossipFormatError, decode, encode, pack, unpack

# Exchanges of our own under way at one time; one more is left out, another round brings it again.
EXCHANGES_MAX: Final = 8

# A socket that keeps failing must not keep the processor busy.
RECEIVE_PAUSE_S: Final = 0.05

# A goodbye that nobody takes must not hold up a shutdown.
LEAVE_S_MAX: Final = 2.0


class Datagrams(Protocol):
    """A UDP endpoint."""

    async def send_to(self, data: bytes, address: Address) -> None:
        """Send one datagram, or raise `OSError`."""
        ...

    async def receive_from(self) -> tuple[bytes, Address]:
        """Wait for one datagram; raises `OSError` when a network error was queued for us."""
        ...


ExchangePort = Callable[[Address, bytes], Awaitable[bytes]]
"""Call the node at an address over a stream; raises `OSError` when there is no answer."""

SaveIncarnation = Callable[[Incarnation], Awaitable[None]]
"""Remember durably the highest incarnation used."""


def first_incarnation(stored: Incarnation, wall_ms: int) -> Incarnation:
    """Where to start: above all we used before, and at today's time if the store was lost."""
    return max(stored + 1, wall_ms)


class Gossip:
    """One node's gossip, from sockets to member events."""

    def __init__(
        self,
        config: GossipConfig,
        identity: Identity,
        *,
        seeds: Iterable[Address],
        keyring: Keyring,
        datagrams: Datagrams,
        exchange: ExchangePort,
        incarnation: Incarnation,
        save_incarnation: SaveIncarnation,
        chance: Chance,
        wall_ms: Callable[[], int],
        on_change: Callable[[MemberEvent], None],
    ) -> None:
        """`incarnation` comes from `first_incarnation` and what `save_incarnation` saved last.

        `on_change` is called in order, without delay, and must neither block nor call back.
        """
        self._config = config
        self._keyring = keyring
        self._datagrams = datagrams
        self._exchange = exchange
        self._save_port = save_incarnation
        self._wall_ms = wall_ms
        self._on_change = on_change
        self._core = Core(
            config,
            identity,
            incarnation=incarnation,
            seeds=seeds,
            chance=chance,
            now_ms=_now_ms(),
        )
        self._goodbye_said = trio.Event()
        self._saved: Incarnation = 0
        self._wake = trio.Event()
        self._save = trio.Event()
        self._exchanging = 0
        self.counts: Counter[str] = Counter()

    async def run(self) -> None:
        """Take part until cancelled."""
        await self._save_incarnation()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._receive)
            nursery.start_soon(self._keep_saved)
            await self._tick(nursery)

    def members(self) -> list[Member]:
        """Everyone known, ourselves included."""
        return self._core.members(_now_ms())

    def set_seeds(self, seeds: Iterable[Address]) -> None:
        """Where members are to be found from now on."""
        self._core.set_seeds(seeds)
        self._wake.set()

    def set_meta(self, meta: bytes) -> None:
        """Say something new about ourselves, at most `META_BYTES_MAX` bytes."""
        self._core.set_meta(meta)
        self._wake.set()

    def handle_exchange(self, request: bytes) -> bytes:
        """Answer another node's exchange; raises `GossipFormatError` for what is not one."""
        message = decode(request)
        answer = self._core.answer_exchange(message, _now_ms())
        if answer is None:
            raise GossipFormatError("not a question for an exchange")
        self._after()
        return encode(answer)

    async def leave(self) -> None:
        """Say goodbye and give it time to be heard; call while `run` still runs."""
        self._core.leave()
        self._wake.set()
        with trio.move_on_after(LEAVE_S_MAX):
            await self._goodbye_said.wait()

    def statistics(self) -> dict[str, int]:
        """Counters for the metrics page, by name."""
        sealed = {f"sealed_{reason}": n for reason, n in self._keyring.counts.items()}
        health = {
            "awareness": self._core.awareness.score,
            "incarnation": self._core.own.incarnation,
        }
        return {**self.counts, **self._core.counts, **sealed, **health}

    async def _tick(self, nursery: trio.Nursery) -> None:
        while True:
            self._wake = trio.Event()
            self._core.tick(_now_ms())
            await self._perform(nursery)
            if self._core.own.leaving and self._core.goodbye_said(_now_ms()):
                self._goodbye_said.set()
            wait_ms = self._core.next_deadline_ms() - _now_ms()
            with trio.move_on_after(max(0, wait_ms) / 1000):
                await self._wake.wait()

    async def _receive(self) -> None:
        while True:
            try:
                data, source = await self._datagrams.receive_from()
                packet = unpack(self._keyring.open(data, self._wall_ms()))
            except SealError:
                self.counts["packets_unsealed"] += 1
                continue
            except GossipFormatError:
                self.counts["packets_malformed"] += 1
                continue
            except OSError:
                # An ICMP answer to something we sent, queued on our socket; not about this packet.
                self.counts["receive_errors"] += 1
                await trio.sleep(RECEIVE_PAUSE_S)
                continue
            self.counts["packets_in"] += 1
            self.counts["messages_unknown"] += packet.unknown
            self._core.hear_packet(source, packet.messages, _now_ms())
            self._after()

    def _after(self) -> None:
        """Have the ticking task do what the core decided, and tell the house what it learnt."""
        for event in self._core.take_events():
            self._on_change(event)
        self._wake.set()

    async def _perform(self, nursery: trio.Nursery) -> None:
        for event in self._core.take_events():
            self._on_change(event)
        if self._core.own.incarnation != self._saved:
            self._save.set()
        for effect in self._core.take_effects():
            match effect:
                case Send():
                    await self._send(effect)
                case Exchange() if self._exchanging < EXCHANGES_MAX:
                    self._exchanging += 1
                    nursery.start_soon(self._run_exchange, effect)
                case Exchange():
                    self.counts["exchanges_left_out"] += 1

    async def _send(self, effect: Send) -> None:
        packet = self._keyring.seal(pack(effect.messages), self._wall_ms())
        assert len(packet) <= self._config.packet_bytes_max
        try:
            await self._datagrams.send_to(packet, effect.to)
        except OSError:
            self.counts["send_errors"] += 1
        else:
            self.counts["packets_out"] += 1

    async def _run_exchange(self, effect: Exchange) -> None:
        try:
            with trio.fail_after(self._config.exchange_timeout_ms / 1000):
                answer = decode(await self._exchange(effect.to, encode(effect.request)))
        except (OSError, trio.TooSlowError):
            self.counts["exchanges_failed"] += 1
        except GossipFormatError:
            self.counts["exchanges_malformed"] += 1
        else:
            self.counts["exchanges"] += 1
            self._core.hear_answer(answer, _now_ms())
            self._after()
        finally:
            self._exchanging -= 1

    async def _keep_saved(self) -> None:
        """Save after each refutation, in the background: a slow disk must not look like death."""
        while True:
            await self._save.wait()
            self._save = trio.Event()
            await self._save_incarnation()

    async def _save_incarnation(self) -> None:
        incarnation = self._core.own.incarnation
        await self._save_port(incarnation)
        self._saved = incarnation


def _now_ms() -> int:
    return int(trio.current_time() * 1000)
