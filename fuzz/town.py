"""Real nodes with a network and disks that can be troubled, as far as this machine lets us.

As root each node gets a network namespace behind fuzz.switch and a loop disk of its own, so that
partitions and power cuts are real. Otherwise nodes share loopback and a directory, and only
signals trouble them.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import trio

from fuzz.disks import LoopDisk
from tests.e2e.cluster import PORTS, ROOT, RealCluster, RealNode
from tests.simulation.mail.workload import ACCOUNTS, REGISTERS

CLONE_NEWNET: Final = 0x40000000
DOORS: Final = dict(zip(PORTS, (7000, 8000, 1143, 1124), strict=True))
READY_ASK: Final = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

_libc = ctypes.CDLL(None, use_errno=True)


def can_isolate() -> bool:
    """Whether namespaces, TUN devices and loop mounts can be had here."""
    tools = all(shutil.which(tool) for tool in ("ip", "nsenter", "mkfs.ext4", "mount"))
    return os.geteuid() == 0 and tools and Path("/dev/net/tun").exists()


@dataclass
class Town:
    """The cluster of one run. Implements World for clients."""

    cluster: RealCluster
    isolated: bool
    tag: str = ""
    switch: "subprocess.Popen[str] | None" = None
    disks: dict[str, LoopDisk] = field(default_factory=dict)
    cut: set[tuple[int, int]] = field(default_factory=set)
    weather: dict[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> Sequence[str]:
        """All nodes."""
        return [node.name for node in self.cluster.nodes]

    # --- the way in ---

    async def dial(self, name: str, door: str) -> trio.abc.Stream:
        """A stream to a node's door, from inside its namespace."""
        node = self.cluster.node(name)
        sock = trio.socket.from_stdlib_socket(self._socket(name))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await sock.connect(node.address(door))
        return trio.SocketStream(sock)

    def _socket(self, name: str) -> socket.socket:
        if not self.isolated:
            return socket.socket()
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.tag}{self.names.index(name)}", os.O_RDONLY)
        try:
            _enter(there)
            try:
                return socket.socket()  # it stays in the namespace where it was made
            finally:
                _enter(home)
        finally:
            os.close(there)
            os.close(home)

    # --- processes ---

    def start(self, name: str) -> None:
        """Start a node that does not run."""
        node = self.cluster.node(name)
        if node.alive:
            return
        command = [sys.executable, "-m", "node", "node", name, "-c", "cluster.toml"]
        if self.isolated:
            command = ["nsenter", f"--net=/run/netns/{self.tag}{self.names.index(name)}", *command]
        with (self.cluster.directory / f"{name}.log").open("ab") as log:
            node.process = subprocess.Popen(
                command,
                cwd=self.cluster.directory,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a node that runs."""
        process = self.cluster.node(name).process
        if process is not None and process.poll() is None:
            process.send_signal(number)
            if number == signal.SIGKILL:
                process.wait()

    def cut_power(self, name: str) -> None:
        """The node's machine: what was not synced is lost."""
        disk = self.disks[name]
        disk.cut_power()
        self.signal(name, signal.SIGKILL)
        disk.unmount()
        disk.mount()

    def partition(self, links: Sequence[tuple[int, int]], *, cut: bool) -> None:
        """Cut these links from one node's number to another's, or mend them."""
        self.cut = self.cut | set(links) if cut else self.cut - set(links)
        self._tell()

    def set_weather(self, **weather: float) -> None:
        """loss, repeat and delay_s of every packet from now on."""
        self.weather = weather
        self._tell()

    def _tell(self) -> None:
        assert self.switch is not None and self.switch.stdin is not None
        self.switch.stdin.write(json.dumps({"cut": sorted(self.cut), **self.weather}) + "\n")
        self.switch.stdin.flush()

    async def is_ready(self, name: str) -> bool:
        """Whether the node says that it has a leader and is caught up."""
        if not self.cluster.node(name).alive:
            return False
        with trio.move_on_after(2), contextlib.suppress(OSError, trio.BrokenResourceError):
            async with await self.dial(name, "http") as stream:
                await stream.send_all(READY_ASK)
                return (await stream.receive_some(64)).startswith(b"HTTP/1.1 200")
        return False

    def status(self) -> list[dict[str, Any]]:
        """What `trireme status` says; nothing when no node answers."""
        return self.cluster.status()

    def data(self, name: str) -> Path:
        """The node's directory."""
        return self.cluster.directory / "var" / name


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _write_config(cluster: RealCluster, size: int) -> None:
    """Nodes 10.98.0.x behind the switch, each listening everywhere inside its namespace."""
    lines = ['[cluster]\nname = "fuzz"\ndata = "var"\nsecret-file = "cluster.key"\n']
    for number in range(1, size + 1):
        cluster.nodes.append(RealNode(f"n{number}", dict(DOORS)))
        doors = "".join(f"{door} = {port}\n" for door, port in DOORS.items())
        address = f'host = "10.98.0.{number}"\nlisten = "0.0.0.0"\n'
        lines.append(f'[[node]]\nname = "n{number}"\n{address}{doors}')
    lines += _accounts()
    (cluster.directory / "cluster.toml").write_text("\n".join(lines))
    secret = cluster.directory / "cluster.key"
    secret.touch(mode=0o600)
    secret.write_text(os.urandom(32).hex())


def _accounts() -> list[str]:
    return [
        f'[[bootstrap.account]]\naddress = "{address}"\npassword = "{password}"\n'
        for address, password in [*ACCOUNTS.items(), REGISTERS]
    ]


@contextlib.contextmanager
def town(directory: Path, size: int, seed: int, *, isolated: bool) -> Iterator[Town]:
    """A cluster that has not started yet; everything is taken down at the end."""
    if not isolated:
        cluster = RealCluster.make(directory, size)
        toml = directory / "cluster.toml"
        address, password = REGISTERS
        more = f'[[bootstrap.account]]\naddress = "{address}"\npassword = "{password}"\n'
        toml.write_text(toml.read_text() + "\n" + more)
        try:
            yield Town(cluster, isolated=False)
        finally:
            _end_processes(cluster)
        return
    cluster = RealCluster(directory)
    _write_config(cluster, size)
    made = Town(cluster, isolated=True, tag=f"tr{os.getpid() % 10_000}x")
    made.switch = subprocess.Popen(
        [sys.executable, "-m", "fuzz.switch", made.tag, str(size), str(seed)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert made.switch.stdout is not None and made.switch.stdout.readline() == "ready\n"
        for name in made.names:
            made.disks[name] = LoopDisk(directory / f"{name}.img", made.data(name))
        yield made
    finally:
        _end_processes(cluster)
        for disk in made.disks.values():
            with contextlib.suppress(subprocess.CalledProcessError):
                disk.unmount()
        made.switch.communicate(timeout=30)


def _end_processes(cluster: RealCluster) -> None:
    for node in cluster.nodes:
        if node.alive:
            assert node.process is not None
            node.process.kill()
            node.process.wait()
