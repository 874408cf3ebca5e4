"""Three etcd members on loopback and puts through their HTTP gateway: what we are compared with.

`etcd` comes from Debian's etcd-server; without it there is nothing to compare with, and the bench
says so. The client is one loop over plain sockets, so that it costs the machine little.
"""

import base64
import contextlib
import json
import selectors
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.e2e.cluster import free_ports

MEMBERS: Final = 3
READY_S: Final = 30.0


def is_here() -> bool:
    """Whether this machine has etcd."""
    return shutil.which("etcd") is not None


@contextlib.contextmanager
def running(directory: Path) -> Iterator[tuple[list[int], tuple[str, int]]]:
    """Process ids of three members, and the gateway of the one that leads."""
    ports = free_ports(2 * MEMBERS)
    peers, clients = ports[:MEMBERS], ports[MEMBERS:]
    cluster = ",".join(f"m{n}=http://127.0.0.1:{port}" for n, port in enumerate(peers))
    members = []
    with (directory / "etcd.log").open("ab") as log:
        for number in range(MEMBERS):
            place = str(directory / str(number))
            here = f"http://127.0.0.1:{peers[number]}"
            door = f"http://127.0.0.1:{clients[number]}"
            members.append(
                subprocess.Popen(
                    [
                        *("etcd", "--name", f"m{number}", "--data-dir", place),
                        *("--listen-peer-urls", here, "--initial-advertise-peer-urls", here),
                        *("--listen-client-urls", door, "--advertise-client-urls", door),
                        *("--initial-cluster", cluster, "--log-level", "error"),
                    ],
                    stdout=log,
                    stderr=log,
                )
            )
    try:
        yield [member.pid for member in members], _leader(clients)
    finally:
        for member in members:
            member.terminate()
        for member in members:
            member.wait(20)


def _leader(ports: list[int]) -> tuple[str, int]:
    """The client address of the member that leads, once there is one."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        for port in ports:
            with contextlib.suppress(OSError, ValueError, KeyError):
                status = json.loads(_post(port, "/v3/maintenance/status", b"{}"))
                if status["header"]["member_id"] == status["leader"]:
                    return "127.0.0.1", port
        time.sleep(0.1)
    raise TimeoutError("etcd found no leader")


def _request(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _post(port: int, path: str, body: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(_request(path, body))
        held = b""
        while not _is_whole(held):
            chunk = sock.recv(65536)
            if not chunk:
                raise OSError("etcd closed the connection")
            held += chunk
    return held.partition(b"\r\n\r\n")[2]


def _is_whole(held: bytes) -> bool:
    """A response with its body; the gateway tells the length of short ones."""
    head, end, body = held.partition(b"\r\n\r\n")
    if not end:
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line[15:])
    return held.endswith(b"0\r\n\r\n")


class _Client:
    """One connection: a put at a time."""

    def __init__(self, address: tuple[str, int], number: int, octets: int) -> None:
        self.socket = socket.create_connection(address, 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(f"bench/{number}".encode()).decode()
        value = base64.b64encode(bytes([number % 256]) * octets).decode()
        self.request = _request("/v3/kv/put", json.dumps({"key": key, "value": value}).encode())
        self.held = b""

    def begin(self) -> None:
        self.socket.sendall(self.request)

    def is_answered(self) -> bool:
        """Read what came; whether the put is acknowledged."""
        self.held += self.socket.recv(65536)
        if not _is_whole(self.held):
            return False
        if not self.held.startswith(b"HTTP/1.1 200"):
            raise OSError(f"etcd said {self.held[:200]!r}")
        self.held = b""
        return True


def puts(address: tuple[str, int], clients: int, seconds: float, octets: int) -> float:
    """Puts a second, by so many clients with a key each."""
    selector = selectors.DefaultSelector()
    everyone = [_Client(address, number, octets) for number in range(clients)]
    for client in everyone:
        selector.register(client.socket, selectors.EVENT_READ, client)
        client.begin()
    done, began = 0, time.perf_counter()
    until = began + seconds
    while time.perf_counter() < until:
        for key, _ in selector.select(1):
            client = key.data
            if client.is_answered():
                done += 1
                client.begin()
    rate = done / (time.perf_counter() - began)
    for client in everyone:
        client.socket.close()
    return rate
