"""Real clusters for end-to-end tests, benchmarks and chaos: processes on free loopback ports."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node.cli import asking

ROOT = Path(__file__).resolve().parents[2]
ACCOUNTS = {"alice@example.org": "alice-demo", "bob@example.org": "bob-demo"}
PORTS = ("peer", "http", "imap", "lmtp")
# Many clusters, each of many nodes, on one disk that may be small.
SPACE = "[storage]\nfree-bytes-min = 16777216\nreserve-bytes = 1048576\n"
# Linux dials from this port on (net.ipv4.ip_local_port_range).
DIALED_FROM = 32_768


def free_ports(count: int) -> list[int]:
    """Ports nobody uses just now, TCP and UDP.

    They are from below those that the kernel gives to whoever dials out: between now and when they
    are used, none of the many connections of the tests can take one.
    """
    held: list[socket.socket] = []
    ports: list[int] = []
    while len(ports) < count:
        address = ("127.0.0.1", random.randrange(20_000, DIALED_FROM))
        tcp, udp = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        held += [tcp, udp]
        with contextlib.suppress(OSError):
            tcp.bind(address)
            udp.bind(address)
            ports.append(address[1])
    for one in held:
        one.close()
    return ports


@dataclass
class RealNode:
    """One node's ports and its process, when it has one."""

    name: str
    ports: dict[str, int]
    process: subprocess.Popen[bytes] | None = None
    arguments: tuple[str, ...] = ()
    """More words for its command line: how it joins."""

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def address(self, door: str) -> tuple[str, int]:
        return "127.0.0.1", self.ports[door]


@dataclass
class RealCluster:
    """Nodes of one cluster.toml in a directory of their own."""

    directory: Path
    nodes: list[RealNode] = field(default_factory=list)

    @classmethod
    def make(
        cls, directory: Path, size: int, extra: str = "", *, replicas: Container[str] = ()
    ) -> "RealCluster":
        """Write the file of a cluster of `size` nodes, voters but for some; nothing runs yet."""
        ports = iter(free_ports(size * len(PORTS)))
        cluster = cls(directory)
        text = ['[cluster]\nname = "test"\ndata = "var"\n', extra]
        if "[storage]" not in extra:
            text.append(SPACE)
        for number in range(1, size + 1):
            node = RealNode(f"n{number}", {key: next(ports) for key in PORTS})
            cluster.nodes.append(node)
            lines = "".join(f"{key} = {port}\n" for key, port in node.ports.items())
            if node.name in replicas:
                lines += 'role = "replica"\n'
            text.append(f'[[node]]\nname = "{node.name}"\nhost = "127.0.0.1"\n{lines}')
        for address, password in ACCOUNTS.items():
            text.append(f'[[bootstrap.account]]\naddress = "{address}"\npassword = "{password}"\n')
        (directory / "cluster.toml").write_text("\n".join(text))
        return cluster

    def lend(self, name: str, *, role: str = "voter") -> RealNode:
        """A node that the file does not name, and that will join at the first one's address."""
        node = RealNode(name, dict(zip(PORTS, free_ports(len(PORTS)), strict=True)))
        ports = [word for key, port in node.ports.items() for word in (f"--{key}", str(port))]
        there = f"127.0.0.1:{self.nodes[0].ports['peer']}"
        node.arguments = (*ports, "--join", there, "--role", role)
        self.nodes.append(node)
        return node

    def node(self, name: str) -> RealNode:
        return next(node for node in self.nodes if node.name == name)

    def start(self, *names: str) -> None:
        """Start these nodes (all when none is named)."""
        for node in self.nodes:
            if (names and node.name not in names) or node.alive:
                continue
            log = (self.directory / f"{node.name}.log").open("ab")
            node.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "node", "node", node.name),
                    *("-c", "cluster.toml", *node.arguments),
                ],
                cwd=self.directory,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            log.close()

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to a node and, when it ends it, wait for the end."""
        process = self.node(name).process
        assert process is not None
        process.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            process.wait(30)

    def end(self) -> None:
        """Kill every node we started: nobody asks how it would have stopped."""
        for node in self.nodes:
            if node.process is not None:
                node.process.kill()
        for node in self.nodes:
            if node.process is not None:
                node.process.wait()

    def stop(self) -> None:
        """Stop every node we started in good order."""
        for node in self.nodes:
            if node.alive:
                assert node.process is not None
                node.process.terminate()
        for node in self.nodes:
            if node.process is not None:
                try:
                    node.process.wait(20)
                except subprocess.TimeoutExpired:
                    node.process.kill()
                    node.process.wait()

    def trireme(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command against this cluster."""
        return subprocess.run(
            [sys.executable, "-m", "node", *words, "-c", "cluster.toml"],
            cwd=self.directory,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def status(self) -> list[dict[str, Any]]:
        """What `trireme status --json` prints, asked without a process of its own; an empty list
        when no node answers."""
        try:
            answer = asking.ask_any(asking.load_config(self.directory / "cluster.toml"), "status")
        except asking.Refused:
            return []
        nodes: list[dict[str, Any]] = answer["nodes"]
        return nodes

    def leader(self) -> str | None:
        """The name of the leader that the cluster agrees on, if there is one."""
        leaders = [row["name"] for row in self.status() if row["up"] and row["role"] == "leader"]
        return leaders[0] if len(leaders) == 1 else None

    def wait_ready(self, *names: str, timeout_s: float = 60.0) -> None:
        """Until /readyz of these nodes (all live ones when none is named) says yes."""
        deadline = time.monotonic() + timeout_s
        waiting = [n for n in self.nodes if n.alive and (not names or n.name in names)]
        while waiting:
            waiting = [node for node in waiting if not ready(node)]
            if waiting and time.monotonic() > deadline:
                raise TimeoutError(f"not ready: {[n.name for n in waiting]}\n{self.logs()}")
            if waiting:
                time.sleep(0.05)

    def logs(self, lines: int = 20) -> str:
        """The last lines of every node's log."""
        parts = []
        for path in sorted(self.directory.glob("n*.log")):
            tail = path.read_text(errors="replace").splitlines()[-lines:]
            parts.append(f"--- {path.name}\n" + "\n".join(tail))
        return "\n".join(parts)


def ready(node: RealNode) -> bool:
    """Whether the node says that it has a leader and is caught up."""
    if not node.alive:
        return False
    try:
        with socket.create_connection(node.address("http"), 2) as sock:
            sock.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return sock.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


@contextlib.contextmanager
def running(
    directory: Path, size: int, extra: str = "", *, replicas: Container[str] = ()
) -> Iterator[RealCluster]:
    """A ready cluster of `size` nodes, killed at the end."""
    cluster = RealCluster.make(directory, size, extra, replicas=replicas)
    try:
        cluster.start()
        cluster.wait_ready()
        yield cluster
    finally:
        cluster.end()
