"""Where a push may go: an https URL of a client's choosing, and only to a public address.

A client could make the server speak to what only the server can reach. So the address that is
connected to is the very one that was looked at here, and nothing redirects.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

URL_OCTETS_MAX: Final = 2048

_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052


@dataclass(frozen=True, slots=True)
class Target:
    """A push resource: `path` is what stands in the request line."""

    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """RFC 6454 6.2."""
        return f"https://{self.authority}"


def read_target(url: str) -> Target | None:
    """The push resource of a URL; None for one that nothing is pushed to."""
    if not url.isascii() or len(url) > URL_OCTETS_MAX or any(c <= " " or c == "\x7f" for c in url):
        return None
    try:
        parts = urlsplit(url)
        port = 443 if parts.port is None else parts.port
    except ValueError:
        return None
    host = (parts.hostname or "").lower()
    if not url.startswith("https://") or not host or "@" in parts.netloc or not port:
        return None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(host, port, path)


def is_public(text: str) -> bool:
    """Whether an IP address is one that anybody on the Internet can reach."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        inner = _carried(address)
        if inner is not None:
            address = inner
        elif address.sixtofour or address.teredo or address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _carried(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that packets to an IPv6 address end at."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None
