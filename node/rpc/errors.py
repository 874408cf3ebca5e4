"""What can go wrong between two nodes, by name; all the world's mistakes, so `ConnectionError`."""

from typing import Final

import msgspec

# All that msgspec raises for bytes that are wrong: also for text that is not UTF-8, and for arrays
# nested deeper than anybody means them.
MALFORMED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class RpcError(ConnectionError):
    """The link or the call did not work out."""


class LinkLost(RpcError):
    """The connection broke, fell silent, or carried what it must not."""


class HandshakeFailed(RpcError):
    """The other end is not of our cluster, not who we meant, or not speaking our language."""


class PeerUnreachable(RpcError):
    """No link came about in the time given; the call was never sent."""


class PeerBusy(RpcError):
    """A bound was hit, here or at the peer; the call was not begun."""


class CallLost(RpcError):
    """The link broke, or patience ended, after the call was sent: whether it ran is unknown."""


class CallRefused(RpcError):
    """The peer heard the call and said no; the text says why."""
