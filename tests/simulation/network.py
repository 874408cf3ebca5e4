"""Messages between simulated replicas: delayed, lost, repeated, reordered, damaged, cut off.

Some travel as bytes through raft.wire, so that the codec is part of every run: all that get
damaged, and one in CODED_EVERY of the others. The rest are handed over as they are, since nobody
can change a message; tier B sends bytes only.
"""

from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Final

from raft.messages import Message
from raft.model import ReplicaId
from raft.wire import WireError, decode, encode

CLUSTER: Final = b"simulated-raft-1"
US_PER_MS: Final = 1000
CODED_EVERY: Final = 8
DELAY_US_MIN: Final = 150


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
        self._sent = 0

    def deliveries(self, message: Message, now_us: int) -> list[tuple[int, Message | bytes]]:
        """(delay in microseconds, what arrives) for each copy that arrives."""
        link = (message.sender, message.to)
        if link in self.cut:
            self._faults["message cut off"] += 1
            return []
        chance, weather = self._random.random, self.weather
        if weather.loss and chance() < weather.loss:
            self._faults["message lost"] += 1
            return []
        self._sent += 1
        parcel: Message | bytes = message
        if not self._sent % CODED_EVERY:
            parcel = encode(message, cluster=CLUSTER)
        arrivals: list[tuple[int, Message | bytes]] = [(self._delay(link, now_us), parcel)]
        if weather.repeat and chance() < weather.repeat:
            self._faults["message repeated"] += 1
            arrivals.append((self._delay(link, now_us), parcel))
        if not weather.late and not weather.damage:
            return arrivals
        return [self._disturbed(*arrival) for arrival in arrivals]

    def _delay(self, link: tuple[ReplicaId, ReplicaId], now_us: int) -> int:
        weather = self.weather
        arrival = now_us + DELAY_US_MIN + int(self._random.random() * weather.delay_us_max)
        if weather.in_order:
            if (newest := self._newest_us.get(link, 0)) > arrival:
                arrival = newest
            self._newest_us[link] = arrival
        return arrival - now_us

    def _disturbed(self, delay: int, parcel: Message | bytes) -> tuple[int, Message | bytes]:
        chance, weather = self._random.random, self.weather
        if chance() < weather.late:
            self._faults["message late"] += 1
            delay += int(chance() * weather.late_us_max)
        if chance() < weather.damage:
            self._faults["message damaged"] += 1
            data = parcel if isinstance(parcel, bytes) else encode(parcel, cluster=CLUSTER)
            return delay, self._damaged(data)
        return delay, parcel

    def _damaged(self, data: bytes) -> bytes:
        broken = bytearray(data)
        broken[self._random.randrange(len(broken))] ^= 1 << self._random.randrange(8)
        return bytes(broken)

    def open(self, parcel: Message | bytes) -> Message | None:
        """What the receiver's codec makes of the bytes; damage never passes."""
        if not isinstance(parcel, bytes):
            return parcel
        try:
            return decode(parcel, cluster=CLUSTER)
        except WireError:
            return None

    def split(self, one: set[ReplicaId], other: set[ReplicaId], *, both_ways: bool) -> None:
        """Nothing passes from one side to the other, and back if both_ways."""
        for a in one:
            for b in other:
                self.cut.add((a, b))
                if both_ways:
                    self.cut.add((b, a))
