"""One POST to a push service over HTTP/1.1, sans-IO, over h11: a status, and what it says of later.

The answer's body is of no interest and is not waited for; redirects are answers like others.
"""

from collections.abc import Sequence
from typing import Final

import h11

HEAD_OCTETS_MAX: Final = 16 * 1024
# However long a service asks us to wait, we look again after that.
RETRY_AFTER_S_MAX: Final = 24 * 3600


class ExchangeFailed(Exception):
    """What came is no HTTP answer."""


class Exchange:
    """Say `request`; `feed` what comes until `status` is known."""

    def __init__(self, authority: str, path: str, headers: Sequence[tuple[str, str]], body: bytes):
        """The request, all of it at once."""
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_OCTETS_MAX)
        fields = [("Host", authority), *headers, ("Content-Length", str(len(body)))]
        try:
            self.request = b"".join(
                self._connection.send(event) or b""
                for event in (
                    h11.Request(method="POST", target=path, headers=[*fields, _CLOSE]),
                    h11.Data(data=body),
                    h11.EndOfMessage(),
                )
            )
        except h11.LocalProtocolError as error:
            raise ExchangeFailed(str(error)) from error
        self.status: int | None = None
        self.retry_after_s = 0
        """How long the service wants to be left alone."""

    def feed(self, data: bytes) -> None:
        """Octets that came; none at the end. Raises ExchangeFailed."""
        try:
            self._connection.receive_data(data)
            while self.status is None:
                event = self._connection.next_event()
                match event:
                    case h11.Response():
                        self.status = event.status_code
                        self.retry_after_s = _retry_after(event)
                    case h11.InformationalResponse():
                        continue
                    case h11.NEED_DATA if data:
                        return
                    case _:
                        raise ExchangeFailed("the service hung up")
        except h11.RemoteProtocolError as error:
            raise ExchangeFailed(str(error)) from error


_CLOSE: Final = ("Connection", "close")


def _retry_after(response: h11.Response) -> int:
    """RFC 9110 10.2.3, in seconds; a date is taken for none."""
    for name, value in response.headers:
        if name == b"retry-after" and value.isdigit() and len(value) < 10:
            return min(int(value), RETRY_AFTER_S_MAX)
    return 0
