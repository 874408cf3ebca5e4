"""Messages between simulated replicas: delayed, lost, repeated, reordered, damaged, cut off.

Everything travels as bytes through raft.wire, so the codec is part of every run.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from raft.messages import Message
from raft.model import ReplicaId
from raft.wire import WireError, decode, encode

CLUSTER: Final = b"simulated-raft-1"
US_PER_MS: Final = 1000


@dataclass(slots=True)
class Weather:
    """How bad the network is: chances per message."""

    loss: float = 0.0
    repeat: float = 0.0
    late: float = 0.0
    damage: float = 0.0
    in_order: bool = True  # as TCP; late and repeated messages break it anyway
    delay_us_max: int = 4 * US_PER_MS
    late_us_max: int = 600 * US_PER_MS


class Network:
    """Decides when, and whether, each message arrives."""

    def __init__(self, random: Random, faults: "Counter[str]") -> None:
        self._random = random
        self._faults = faults
        self.weather = Weather()
        self.cut: set[tuple[ReplicaId, ReplicaId]] = set()
        self._newest_us: dict[tuple[ReplicaId, ReplicaId], int] = {}

    def deliveries(self, message: Message, now_us: int) -> Iterator[tuple[int, bytes]]:
        """(delay in microseconds, bytes) for each copy that arrives."""
        if (message.sender, message.to) in self.cut:
            self._faults["message cut off"] += 1
            return
        random, weather = self._random, self.weather
        data = encode(message, cluster=CLUSTER)
        if random.random() < weather.loss:
            self._faults["message lost"] += 1
            return
        copies = 1
        if random.random() < weather.repeat:
            self._faults["message repeated"] += 1
            copies = 2
        for _ in range(copies):
            delay = self._delay(message, now_us)
            if random.random() < weather.late:
                self._faults["message late"] += 1
                delay += random.randint(0, weather.late_us_max)
            if random.random() < weather.damage:
                self._faults["message damaged"] += 1
                yield delay, self._damaged(data)
            else:
                yield delay, data

    def _delay(self, message: Message, now_us: int) -> int:
        delay = self._random.randint(150, self.weather.delay_us_max)
        if not self.weather.in_order:
            return delay
        link = (message.sender, message.to)
        arrival = max(now_us + delay, self._newest_us.get(link, 0))
        self._newest_us[link] = arrival
        return arrival - now_us

    def _damaged(self, data: bytes) -> bytes:
        broken = bytearray(data)
        broken[self._random.randrange(len(broken))] ^= 1 << self._random.randrange(8)
        return bytes(broken)

    def open(self, data: bytes) -> Message | None:
        """What the receiver's codec makes of the bytes; damage never passes."""
        try:
            return decode(data, cluster=CLUSTER)
        except WireError:
            return None

    def split(self, one: set[ReplicaId], other: set[ReplicaId], *, both_ways: bool) -> None:
        """Nothing passes from one side to the other, and back if both_ways."""
        for a in one:
            for b in other:
                self.cut.add((a, b))
                if both_ways:
                    self.cut.add((b, a))
