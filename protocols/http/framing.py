"""HTTP/1.1 requests out of a stream of octets (RFC 9112), sans-IO, over llhttp.

llhttp is strict about what makes smuggling possible: both Content-Length and Transfer-Encoding,
two lengths, folded lines, bare LF, space before a colon. This file adds the rest: bounds on the
head, exactly one Host (3.2), no transfer coding but chunked, versions 1.0 and 1.1 alone.
A pipelining client's further requests wait in `requests`; at most one read's worth of them.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import httptools

# The request line and all header fields together; a larger head is answered 431.
HEAD_OCTETS_MAX: Final = 32 * 1024
HEADERS_MAX: Final = 100

Headers = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Incoming:
    """One request: its head, and its body as far as it has come."""

    method: str
    target: bytes
    version: str
    headers: Headers
    keep_alive: bool
    body: deque[bytes] = field(default_factory=deque)
    complete: bool = False
    expects_continue: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """What the connection is ended with: a status, and words for whoever debugs the client."""

    status: int
    detail: str


class Framer:
    """One connection's parser. After `failure` or `upgrade` it takes no more octets."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self.requests: deque[Incoming] = deque()
        self.failure: Failure | None = None
        self.upgrade: bytes | None = None
        """The octets to replay to a server for other protocols, head first."""
        self._refused: Failure | None = None  # found in a callback, which cannot raise cleanly
        self._target = b""
        self._headers: Headers = []
        self._current: Incoming | None = None
        self._head_octets = 0
        self._trailers = 0

    @property
    def in_head(self) -> bool:
        """A head has begun and is not complete."""
        return self._head_octets > 0 and self._current is None

    def feed(self, data: bytes) -> None:
        """Take octets; afterwards look at `requests`, `upgrade` and `failure`."""
        assert self.failure is None and self.upgrade is None, "fed after its end"
        if self._current is None:
            self._head_octets += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as stop:
            self._upgrade(data[stop.args[0] :])
        except httptools.HttpParserError as error:
            self.failure = self._refused or Failure(400, str(error) or "malformed request")
        else:
            self.failure = self._refused
        if self.failure is None and self.in_head and self._head_octets > HEAD_OCTETS_MAX:
            self.failure = Failure(431, f"the head is over {HEAD_OCTETS_MAX} octets")

    def _upgrade(self, rest: bytes) -> None:
        # llhttp stops at any Upgrade or CONNECT; its message_complete has queued the request.
        request = self.requests.pop() if self.requests else None
        if self._refused is not None or request is None or request.method == "CONNECT":
            self.failure = self._refused or Failure(400, "CONNECT is not served")
            return
        head = [f"{request.method} ".encode(), request.target, b" HTTP/1.1\r\n"]
        for name, value in request.headers:
            # Deflate makes a small frame cost a hundred megabytes; see the guard.
            if name != b"sec-websocket-extensions":
                head += [name, b": ", value, b"\r\n"]
        self.upgrade = b"".join(head) + b"\r\n" + rest

    # Callbacks of llhttp, in the order they come.

    def on_message_begin(self) -> None:
        """A new request line begins."""
        self._head_octets = max(self._head_octets, 1)
        self._target = b""
        self._headers = []
        self._current = None

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A whole header field, or trailer field, which is dropped (RFC 9110 6.5.1)."""
        if self._current is not None:
            self._trailers += 1
            if self._trailers > HEADERS_MAX:
                self._refuse(431, "too many trailer fields")
            return
        self._headers.append((name.lower(), value))
        if len(self._headers) > HEADERS_MAX:
            self._refuse(431, f"more than {HEADERS_MAX} header fields")

    def on_headers_complete(self) -> None:
        """The head is complete: its rules are checked, and it may be served."""
        version = self._parser.get_http_version()
        octets = len(self._target) + sum(len(n) + len(v) + 4 for n, v in self._headers)
        if octets > HEAD_OCTETS_MAX:
            self._refuse(431, f"the head is over {HEAD_OCTETS_MAX} octets")
        if version not in ("1.0", "1.1"):
            self._refuse(505, "HTTP/1.0 and HTTP/1.1 are served")
        request = Incoming(
            method=self._parser.get_method().decode("ascii"),
            target=self._target,
            version=version,
            headers=self._headers,
            keep_alive=self._parser.should_keep_alive(),
        )
        self._check(request)
        self._trailers = 0
        self._current = request
        if self._refused is None:
            self.requests.append(request)

    def _check(self, request: Incoming) -> None:
        hosts = 0
        for name, value in request.headers:
            if name == b"host":
                hosts += 1
            elif name == b"transfer-encoding":
                # RFC 9112 6.1: a 1.0 client that sends it is faulty; other codings are not ours.
                if request.version == "1.0":
                    self._refuse(400, "Transfer-Encoding in HTTP/1.0")
                elif value.strip().lower() != b"chunked":
                    self._refuse(501, "the only transfer coding is chunked")
            elif name == b"expect" and value.strip().lower() == b"100-continue":
                request.expects_continue = request.version == "1.1"
        if hosts > 1 or (hosts == 0 and request.version == "1.1"):
            self._refuse(400, "there must be one Host header")

    def on_body(self, body: bytes) -> None:
        """A piece of the current request's body."""
        assert self._current is not None
        self._current.body.append(body)

    def on_message_complete(self) -> None:
        """The current request's body is complete."""
        assert self._current is not None
        self._current.complete = True
        self._current = None
        self._head_octets = 0

    def _refuse(self, status: int, detail: str) -> None:
        if self._refused is None:
            self._refused = Failure(status, detail)
