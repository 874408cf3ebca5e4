"""Real nodes with a network and disks that can be troubled, as far as this machine lets us.

As root each node gets a network namespace behind fuzz.switch and a loop disk of its own, so that
partitions and power cuts are real. Otherwise nodes share loopback and a directory. strace and
libfaketime are used where they are found.
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
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import trio

from fuzz.clocks import Clock
from fuzz.disks import LoopDisk
from fuzz.means import Means
from node import admin
from tests.e2e.cluster import PORTS, ROOT, SPACE, RealCluster, RealNode
from tests.simulation.mail.workload import ACCOUNTS, REGISTERS

# A node that answers an operator at all does so within this.
ASK_S: Final = 4.0
# A member's change takes up to five seconds at the leader, and it is asked through another node.
CHANGE_S: Final = 12.0
# Logs so short that compaction and snapshots are everyday things; and patience for processes that
# wait for one of two cores, or a busy machine would do nothing but elect.
RAFT: Final = (
    "[raft]\ntrailing-bytes = 262144\nsegment-bytes = 4194304\n"
    "heartbeat-ms = 150\nelection-min-ms = 1000\nelection-max-ms = 2000\n"
    f"{SPACE}"
)
# Stands in a node's log before what each of its processes says.
STARTED: Final = b"--- started\n"
CLONE_NEWNET: Final = 0x40000000
DOORS: Final = dict(zip(PORTS, (7000, 8000, 1143, 1124), strict=True))
READY_ASK: Final = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Town:
    """The cluster of one run. Implements World for clients."""

    cluster: RealCluster
    means: Means
    tag: str = ""
    switch: "subprocess.Popen[str] | None" = None
    disks: dict[str, LoopDisk] = field(default_factory=dict)
    cut: set[tuple[int, int]] = field(default_factory=set)
    weather: dict[str, Any] = field(default_factory=dict)
    clocks: dict[str, Clock] = field(default_factory=dict)
    ended: dict[str, Counter[int]] = field(default_factory=dict)
    """How often each node's process ended with which status."""

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
        if not self.means.isolated:
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
        if node.process is not None:
            self.ended.setdefault(name, Counter())[node.process.returncode] += 1
        words = ("node", "node", name, "-c", "cluster.toml", *node.arguments)
        command = [sys.executable, "-m", *words]
        if self.means.isolated:
            command = ["nsenter", f"--net=/run/netns/{self.tag}{self.names.index(name)}", *command]
        clock = self.clocks[name].environment() if name in self.clocks else {}
        with self.log(name).open("ab") as log:
            log.write(STARTED)
            log.flush()
            node.process = subprocess.Popen(
                command,
                cwd=self.cluster.directory,
                env=os.environ | clock | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is ours alone
            )

    def log(self, name: str) -> Path:
        """What the node's processes said, one after the other."""
        return self.cluster.directory / f"{name}.log"

    def was_removed(self, name: str) -> bool:
        """Whether the node's last words are that it is no member any more."""
        log = self.log(name)
        if self.cluster.node(name).alive or not log.exists():
            return False
        return b"was removed from the cluster" in log.read_bytes().rpartition(STARTED)[2]

    def empty(self, name: str) -> None:
        """Forget all that a node had on its disk; from now on it joins as somebody new."""
        for path in self.data(name).iterdir():
            if path.name == "lost+found":
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        others = [node for node in self.cluster.nodes if node.name != name]
        host = [f"10.98.0.{self.names.index(node.name) + 1}" for node in others]
        if not self.means.isolated:
            host = ["127.0.0.1"] * len(others)
        self.cluster.node(name).arguments = tuple(
            word
            for where, node in zip(host, others, strict=True)
            for word in ("--join", f"{where}:{node.ports['peer']}")
        )

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a node that runs."""
        process = self.cluster.node(name).process
        if process is not None and process.poll() is None:
            process.send_signal(number)
            if number == signal.SIGKILL:
                process.wait()

    def terminate(self, name: str) -> None:
        """Ask a node to stop in good order."""
        self.signal(name, signal.SIGTERM)

    def heal(self) -> None:
        """Take back whatever may still be wrong with the world around the nodes."""
        for name in self.names:
            self.signal(name, signal.SIGCONT)
        for clock in self.clocks.values():
            clock.set(0)
        for disk in self.disks.values():
            disk.empty()
        if self.switch is not None:
            self.cut, self.weather = set(), {}
            self._tell()

    def cut_power(self, names: Sequence[str]) -> None:
        """These nodes' machines, one right after the other: what was not synced is lost."""
        for name in names:
            self.disks[name].cut_power()
        for name in names:
            self.signal(name, signal.SIGKILL)
        for name in names:
            self.disks[name].unmount()
            self.disks[name].mount()

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

    def ask(self, name: str, call: str, args: dict[str, Any], timeout_s: float) -> Any:
        """Ask a node as an operator would; raises OSError, AdminRefused. Blocks."""
        return admin.ask(self.data(name), call, args, timeout_s=timeout_s)

    def status(self) -> list[dict[str, Any]]:
        """Everybody's row, as the first node that answers has them. Blocks."""
        for name in self.names:
            with contextlib.suppress(OSError, admin.AdminRefused):
                rows: list[dict[str, Any]] = self.ask(name, "status", {}, ASK_S)["nodes"]
                return rows
        return []

    def leader(self) -> str | None:
        """Who leads in the newest term, as far as anybody says. Blocks."""
        rows = [row for row in self.status() if row["up"] and row["role"] == "leader"]
        newest = max(rows, key=lambda row: row["term"], default=None)
        return None if newest is None else str(newest["name"])

    def data(self, name: str) -> Path:
        """The node's directory."""
        return self.cluster.directory / "var" / name


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _write_config(cluster: RealCluster, size: int) -> None:
    """Nodes 10.98.0.x behind the switch, each listening everywhere inside its namespace."""
    lines = ['[cluster]\nname = "fuzz"\ndata = "var"\nsecret-file = "cluster.key"\n', RAFT]
    for number in range(1, size + 1):
        cluster.nodes.append(RealNode(f"n{number}", dict(DOORS)))
        doors = "".join(f"{door} = {port}\n" for door, port in DOORS.items())
        address = f'host = "10.98.0.{number}"\nlisten = "0.0.0.0"\n'
        lines.append(f'[[node]]\nname = "n{number}"\n{address}{doors}')
    for address, password in [*ACCOUNTS.items(), REGISTERS]:
        lines.append(_account(address, password))
    (cluster.directory / "cluster.toml").write_text("\n".join(lines))
    secret = cluster.directory / "cluster.key"
    secret.touch(mode=0o600)
    secret.write_text(os.urandom(32).hex())


def _account(address: str, password: str) -> str:
    return f'[[bootstrap.account]]\naddress = "{address}"\npassword = "{password}"\n'


@contextlib.contextmanager
def town(directory: Path, size: int, seed: int, means: Means) -> Iterator[Town]:
    """A cluster that has not started yet; everything is taken down at the end."""
    with contextlib.ExitStack() as stack:
        if means.isolated:
            cluster = RealCluster(directory)
            _write_config(cluster, size)
            made = Town(cluster, means, tag=f"tr{os.getpid() % 10_000}x")
            made.switch = stack.enter_context(_switch(made.tag, size, seed))
            for name in made.names:
                made.disks[name] = disk = LoopDisk(directory / f"{name}.img", made.data(name))
                stack.callback(_take_out, disk)
        else:
            cluster = RealCluster.make(directory, size, RAFT)
            toml = directory / "cluster.toml"
            toml.write_text(toml.read_text() + "\n" + _account(*REGISTERS))
            made = Town(cluster, means)
        if means.faketime is not None:
            made.clocks = {n: Clock(means.faketime, directory / f"{n}.clock") for n in made.names}
        stack.callback(_end_processes, cluster)
        yield made


@contextlib.contextmanager
def _switch(tag: str, size: int, seed: int) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "fuzz.switch", tag, str(size), str(seed)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        if process.stdout.readline() != "ready\n":
            raise OSError("the switch between the namespaces did not start")
        yield process
    finally:
        process.communicate(timeout=30)


def _take_out(disk: LoopDisk) -> None:
    with contextlib.suppress(subprocess.CalledProcessError):  # a power cut had it out already
        disk.unmount()


def _end_processes(cluster: RealCluster) -> None:
    for node in cluster.nodes:
        if node.alive:
            assert node.process is not None
            node.process.kill()
            node.process.wait()
