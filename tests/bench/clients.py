"""Plain blocking clients, as cheap as can be, so that the node is what is measured."""

import base64
import json
import socket
from typing import Any
from urllib.parse import quote, urlsplit

# What of an answer is looked through for its ending.
ENDING_OCTETS = 4096


def _path(url: str, **values: str) -> str:
    """Path and query of a URI template (RFC 6570, level 1) with its variables filled in."""
    parts = urlsplit(url.format_map(values))
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


class Lines:
    """A socket read by lines and counts."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, 60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.held = b""

    def line(self) -> bytes:
        while (end := self.held.find(b"\n")) < 0:
            chunk = self.socket.recv(262144)
            if not chunk:
                raise ConnectionError("closed by the node")
            self.held += chunk
        line, self.held = self.held[: end + 1], self.held[end + 1 :]
        return line

    def exactly(self, count: int) -> bytes:
        parts, missing = [self.held[:count]], count - len(self.held)
        self.held = self.held[count:]
        while missing > 0:
            chunk = self.socket.recv(min(missing, 1 << 20))
            if not chunk:
                raise ConnectionError("closed by the node")
            parts.append(chunk)
            missing -= len(chunk)
        return b"".join(parts)

    def close(self) -> None:
        self.socket.close()


class Lmtp(Lines):
    """One LMTP connection."""

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address)
        self.reply()
        self.socket.sendall(b"LHLO bench.example\r\n")
        self.reply()

    def reply(self) -> bytes:
        while True:
            line = self.line()
            if line[3:4] != b"-":
                return line

    def deliver(self, message: bytes, to: str = "alice@example.org") -> bytes:
        """The reply to the message: starts with 250 when it is safe on a majority."""
        self.socket.sendall(
            b"MAIL FROM:<bench@example.net>\r\nRCPT TO:<" + to.encode() + b">\r\nDATA\r\n"
        )
        for wanted in (b"250", b"250", b"354"):
            reply = self.reply()
            if not reply.startswith(wanted):
                return reply
        self.socket.sendall(message.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        return self.reply()


class Imap(Lines):
    """One IMAP connection, logged in."""

    def __init__(self, address: tuple[str, int], user: str, password: str) -> None:
        super().__init__(address)
        self.line()
        self.number = 0
        self._room = bytearray(1 << 18)
        self.command(f"LOGIN {user} {password}")

    def append(
        self, mails: list[bytes], *, mailbox: str = "INBOX", told: list[bytes] | None = None
    ) -> None:
        """These into a mailbox, in one command with literals that wait for nothing; `told` are
        each one's flags and date, as they stand before its literal."""
        before = told or [b""] * len(mails)
        parts = [
            b"%b {%d+}\r\n%b" % (words, len(mail), mail)
            for words, mail in zip(before, mails, strict=True)
        ]
        self._ask(b"APPEND " + mailbox.encode() + b"".join(parts))

    def command(self, text: str) -> int:
        """Send a command, read to its tagged OK; how many bytes came."""
        return self._ask(text.encode())

    def _ask(self, command: bytes) -> int:
        self.number += 1
        tag = f"b{self.number}".encode()
        self.socket.sendall(tag + b" " + command + b"\r\n")
        received, tail = len(self.held), self.held
        self.held = b""
        start, first = b"\r\n" + tag + b" ", tag + b" "
        while True:
            at = 0 if tail.startswith(first) else tail.rfind(start) + 2
            if (at >= 2 or tail.startswith(first)) and tail.endswith(b"\r\n"):
                if not tail.startswith(b"OK", at + len(first)):
                    raise ConnectionError(tail[at:].decode())
                return received
            count = self.socket.recv_into(self._room)
            if not count:
                raise ConnectionError("closed by the node")
            received += count
            tail = (tail + self._room[max(0, count - ENDING_OCTETS) : count])[-ENDING_OCTETS:]


class Jmap(Lines):
    """One HTTP/1.1 connection with Basic authentication."""

    def __init__(
        self,
        address: tuple[str, int],
        user: str,
        password: str,
        *,
        session: str = "/.well-known/jmap",
    ) -> None:
        super().__init__(address)
        secret = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.head = f"Host: localhost\r\nAuthorization: Basic {secret}\r\n"
        told = json.loads(self.get(session))
        self.account = told["primaryAccounts"]["urn:ietf:params:jmap:mail"]
        self._api = urlsplit(told["apiUrl"]).path
        self._upload = _path(told["uploadUrl"], accountId=self.account)
        self._download = told["downloadUrl"]

    def _answer(self) -> bytes:
        return self.exactly(self._head())

    def _head(self) -> int:
        """Read to the body, past interim answers (RFC 9110 15.2); how long it is."""
        while True:
            status, length = self.line(), 0
            while (line := self.line()) != b"\r\n":
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if not status.startswith(b"HTTP/1.1 1"):
                break
        if b" 200 " not in status and b" 201 " not in status:
            raise ConnectionError(f"{status!r} {self.exactly(length)[:300]!r}")
        return length

    def get(self, path: str) -> bytes:
        self.socket.sendall(f"GET {path} HTTP/1.1\r\n{self.head}\r\n".encode())
        return self._answer()

    def upload(self, data: bytes) -> bytes:
        """Put a blob into the account; what is answered."""
        head = f"POST {self._upload} HTTP/1.1\r\n{self.head}Content-Length: {len(data)}\r\n\r\n"
        self.socket.sendall(head.encode())
        self.socket.sendall(data)
        return self._answer()

    def download(self, blob: str) -> int:
        """Get a blob and keep nothing of it; how many octets it had."""
        kind = "application/octet-stream"
        path = _path(
            self._download, accountId=self.account, blobId=blob, name="blob", type=quote(kind, "")
        )
        self.socket.sendall(f"GET {path} HTTP/1.1\r\n{self.head}\r\n".encode())
        length = self._head()
        missing = length - len(self.held)
        self.held = b""
        room = bytearray(1 << 18)
        while missing > 0:
            got = self.socket.recv_into(room, min(missing, len(room)))
            if not got:
                raise ConnectionError("closed by the node")
            missing -= got
        return length

    def prepare(self, *calls: list[Any]) -> bytes:
        """A whole request with these method calls, ready to send many times."""
        using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"]
        body = json.dumps({"using": using, "methodCalls": calls}).encode()
        head = (
            f"POST {self._api} HTTP/1.1\r\n{self.head}Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def send(self, request: bytes) -> bytes:
        self.socket.sendall(request)
        return self._answer()
