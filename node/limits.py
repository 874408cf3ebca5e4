"""How often somebody may: token buckets by key, bounded in number, on a clock lent from outside.

A bucket holds `burst` tokens and fills at `per_s`; a full one is as good as none and is not kept.
What a key is, is the caller's business; `network_of` makes the key of an IP address.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Final

# Keys remembered; at more, the longest unused is forgotten. An entry takes some 200 octets.
KEYS_MAX: Final = 32_768
# One customer of a provider has this much of IPv6 at least; single addresses cost him nothing.
IPV6_NETWORK_BITS: Final = 64
# And this much at most (RFC 6177 2), which is 65,536 of those; many get it for nothing.
IPV6_SITE_BITS: Final = 48


class Buckets:
    """One limit, applied to each key by itself."""

    def __init__(
        self,
        *,
        burst: float,
        per_s: float,
        monotonic_s: Callable[[], float],
        keys_max: int = KEYS_MAX,
    ) -> None:
        assert burst >= 1 and per_s > 0 and keys_max > 0
        self._burst = burst
        self._per_s = per_s
        self._monotonic_s = monotonic_s
        self._keys_max = keys_max
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def ready(self, key: str) -> bool:
        """A token could be taken now."""
        return self._level(key) >= 1

    def take(self, key: str) -> bool:
        """Take one token; False, and none taken, when there is none."""
        level = self._level(key)
        if level < 1:
            return False
        self._keep(key, level - 1)
        return True

    def put_back(self, key: str) -> None:
        """What the token was taken for need not be counted."""
        level = self._level(key) + 1
        if level >= self._burst:
            self._levels.pop(key, None)
        else:
            self._keep(key, level)

    def _level(self, key: str) -> float:
        held = self._levels.get(key)
        if held is None:
            return self._burst
        level, at = held
        return min(self._burst, level + (self._monotonic_s() - at) * self._per_s)

    def _keep(self, key: str, level: float) -> None:
        self._levels[key] = (level, self._monotonic_s())
        self._levels.move_to_end(key)
        if len(self._levels) > self._keys_max:
            self._levels.popitem(last=False)


@lru_cache(maxsize=4096)
def network_of(ip: str, ipv6_bits: int = IPV6_NETWORK_BITS) -> str:
    """The key of a peer: its IPv4 address, its IPv6 /64; text that is no address is itself."""
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return ip
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, ipv6_bits), strict=False))
