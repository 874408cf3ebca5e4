"""Who may hand mail in, and who may ask what is here.

A peer is trusted by its network, or proves to be one of the accounts named for it. By themselves
networks that nobody reaches from outside are trusted: the MTA is there, or is named.
"""

import ipaddress
from collections.abc import Sequence
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# RFC 1122 3.2.1.3 and RFC 4291 2.5.3 loopback, RFC 1918, RFC 3927, RFC 4193, RFC 4291 2.5.6.
PRIVATE: Final[tuple[str, ...]] = (
    *("127.0.0.0/8", "::1/128"),
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
    *("fc00::/7", "fe80::/10"),
)


class Policy:
    """Frozen once made."""

    def __init__(
        self,
        *,
        trusted: Sequence[str] = PRIVATE,
        accounts: Sequence[str] = (),
    ) -> None:
        """`trusted` are networks as text (raises ValueError), `accounts` addresses folded."""
        self._trusted: tuple[Network, ...] = tuple(ipaddress.ip_network(each) for each in trusted)
        self._accounts = frozenset(accounts)

    @property
    def some_authenticate(self) -> bool:
        """There are accounts that may hand mail in from anywhere."""
        return bool(self._accounts)

    def trusts(self, peer_ip: str) -> bool:
        """The peer comes from a trusted network."""
        try:
            address = ipaddress.ip_address(peer_ip.partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._trusted)

    def admits(self, account: str) -> bool:
        """The account may hand mail in."""
        return account in self._accounts
