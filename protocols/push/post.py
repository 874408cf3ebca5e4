"""One POST to a push service, from its URL to its answer (trio): where it goes is checked first.

The name is looked up here, and the connection goes to an address that was looked at: what a name
means a moment later is nobody's to choose. TLS is verified for the name; nothing is followed.
"""

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import trio

from protocols.push.schedule import Outcome
from protocols.webpush.exchange import Exchange, ExchangeFailed
from protocols.webpush.targets import Target, is_public

# All of it: names, handshakes, request and answer.
POST_S: Final = 20.0
# Addresses of one name that are tried, each for so long.
ADDRESSES_MAX: Final = 3
CONNECT_S: Final = 5.0
RECEIVE_OCTETS: Final = 16 * 1024

_LOST: Final = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


class Dial(Protocol):
    """What is lent of the network (node/network.py)."""

    async def resolve(self, host: str) -> Sequence[str]:
        """The IP addresses of a name; raises OSError."""
        ...

    async def dial_tcp(
        self, host: str, port: int, *, tls: ssl.SSLContext | None = None, tls_name: str = ""
    ) -> trio.abc.Stream:
        """Connect; raises OSError."""
        ...


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of it, and in words for the log."""

    outcome: Outcome
    detail: str
    retry_after_s: int = 0


class Post:
    """Sends requests to push services."""

    def __init__(
        self, dial: Dial, make_tls: Callable[[], ssl.SSLContext], *, allow_private: bool = False
    ) -> None:
        """`make_tls` reads certificates, and is called when the first push is sent."""
        self._dial = dial
        self._make_tls = make_tls
        self._tls: ssl.SSLContext | None = None
        self._allow_private = allow_private

    async def send(self, target: Target, headers: Sequence[tuple[str, str]], body: bytes) -> Posted:
        """POST it; never raises for what others do."""
        asked = False
        try:
            exchange = Exchange(target.authority, target.path, headers, body)
            with trio.fail_after(POST_S):
                stream = await self._connect(target)
                try:
                    asked = True
                    await self._converse(stream, exchange)
                finally:
                    await trio.aclose_forcefully(stream)
        except (*_LOST, trio.TooSlowError, ExchangeFailed) as error:
            outcome = Outcome.FAILED if asked else Outcome.UNREACHED
            return Posted(outcome, f"{target.host}: {error!r}")
        assert exchange.status is not None
        return judge(exchange.status, exchange.retry_after_s)

    async def _connect(self, target: Target) -> trio.abc.Stream:
        found = list(dict.fromkeys(await self._dial.resolve(target.host)))
        allowed = [each for each in found if self._allow_private or is_public(each)]
        if not allowed:
            raise OSError(f"no public address among {found[:ADDRESSES_MAX]}")
        failure: Exception = OSError("no address answered")
        for address in allowed[:ADDRESSES_MAX]:
            try:
                with trio.fail_after(CONNECT_S):
                    return await self._shake(address, target)
            except (*_LOST, trio.TooSlowError) as error:
                failure = error
        raise failure

    async def _shake(self, address: str, target: Target) -> trio.abc.Stream:
        if self._tls is None:
            self._tls = self._make_tls()
        stream = await self._dial.dial_tcp(
            address, target.port, tls=self._tls, tls_name=target.host
        )
        if isinstance(stream, trio.SSLStream):
            try:
                await stream.do_handshake()
            except BaseException:
                await trio.aclose_forcefully(stream)
                raise
        return stream

    async def _converse(self, stream: trio.abc.Stream, exchange: Exchange) -> None:
        await stream.send_all(exchange.request)
        while exchange.status is None:
            exchange.feed(bytes(await stream.receive_some(RECEIVE_OCTETS)))


def judge(status: int, retry_after_s: int) -> Posted:
    """What an answer means (RFC 8030 5, 7.3)."""
    detail = f"status {status}"
    if 200 <= status < 300:
        return Posted(Outcome.DELIVERED, detail)
    if status in (404, 410):
        return Posted(Outcome.GONE, detail)
    if status == 429:
        return Posted(Outcome.BUSY, detail, retry_after_s)
    return Posted(Outcome.FAILED, detail, retry_after_s)
