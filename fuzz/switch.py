"""A network for real processes: one namespace a node, and this process as the switch between them.

The kernel at hand has no netem, so packets pass through here: each namespace has a TUN device
whose other end this process holds. It delays, loses, doubles and cuts, one way or both, for TCP
and UDP alike. Needs root. Run as `python -m fuzz.switch TAG COUNT SEED`; it says `ready`, takes
one JSON object a line on its standard input ({"cut": [[0, 1]], "loss": 0.1, "delay_s": 0.01}),
and takes everything down when that ends.
"""

import contextlib
import fcntl
import heapq
import json
import os
import random
import select
import struct
import subprocess
import sys
import time
from typing import Any, Final

TUNSETIFF: Final = 0x400454CA
IFF_TUN: Final = 1
IFF_NO_PI: Final = 0x1000
PACKET_BYTES_MAX: Final = 65_535
# Packets under way at once; a router drops at a full queue too.
PACKETS_MAX: Final = 20_000
PREFIX: Final = "10.98.0."


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Switch:
    """Namespaces TAG0.. with addresses 10.98.0.1.. and what happens between them."""

    def __init__(self, tag: str, count: int, seed: int) -> None:
        self.names = [f"{tag}{number}" for number in range(count)]
        self.chance = random.Random(seed)
        self.ends: list[int] = []
        self.weather: dict[str, Any] = {}
        self.cut: set[tuple[int, int]] = set()
        self._under_way: list[tuple[float, int, int, bytes]] = []
        self._order = 0

    def open(self) -> None:
        """Make the namespaces and their devices."""
        for number, name in enumerate(self.names):
            _ip("netns", "add", name)
            end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            self.ends.append(end)
            asked = struct.pack("16sH22s", f"{name}d".encode(), IFF_TUN | IFF_NO_PI, b"")
            fcntl.ioctl(end, TUNSETIFF, asked)
            _ip("link", "set", f"{name}d", "netns", name)
            _ip("-n", name, "addr", "add", f"{PREFIX}{number + 1}/24", "dev", f"{name}d")
            _ip("-n", name, "link", "set", f"{name}d", "up")
            _ip("-n", name, "link", "set", "lo", "up")

    def close(self) -> None:
        """Take all of it down; what is not there is no error."""
        for end in self.ends:
            os.close(end)
        for name in self.names:
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("netns", "del", name)

    def run(self) -> None:
        """Carry packets until the standard input ends."""
        orders = sys.stdin.fileno()
        held = b""
        while True:
            wait_s = 1.0
            if self._under_way:
                wait_s = max(0.0, self._under_way[0][0] - time.monotonic())
            for readable in select.select([*self.ends, orders], [], [], wait_s)[0]:
                if readable != orders:
                    self._take(self.ends.index(readable))
                    continue
                data = os.read(orders, 65536)
                if not data:
                    return
                *lines, held = (held + data).split(b"\n")
                for line in lines:
                    self.weather = json.loads(line)
                    self.cut = {(a, b) for a, b in self.weather.get("cut", ())}
            self._deliver()

    def _take(self, source: int) -> None:
        weather, chance = self.weather, self.chance
        while True:
            try:
                packet = os.read(self.ends[source], PACKET_BYTES_MAX)
            except BlockingIOError:
                return
            target = packet[19] - 1  # the last octet of the IPv4 destination
            known = packet[0] >> 4 == 4 and 0 <= target < len(self.ends)
            if not known or (source, target) in self.cut:
                continue
            if chance.random() < weather.get("loss", 0) or len(self._under_way) > PACKETS_MAX:
                continue
            for _ in range(2 if chance.random() < weather.get("repeat", 0) else 1):
                delay_s = weather.get("delay_s", 0) * (0.5 + chance.random())
                self._order += 1
                entry = (time.monotonic() + delay_s, self._order, target, packet)
                heapq.heappush(self._under_way, entry)

    def _deliver(self) -> None:
        now = time.monotonic()
        while self._under_way and self._under_way[0][0] <= now:
            _, _, target, packet = heapq.heappop(self._under_way)
            # A device that is full or gone loses the packet, as any network may.
            with contextlib.suppress(OSError):
                os.write(self.ends[target], packet)


def main() -> int:
    """TAG COUNT SEED."""
    tag, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    switch = Switch(tag, count, seed)
    try:
        switch.open()
        print("ready", flush=True)
        switch.run()
    finally:
        switch.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
