"""What a benchmark reads beside the clock: CPU and memory of processes, and the disk's own rate."""

import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path


def cpu_s(pids: Iterable[int]) -> float:
    """CPU seconds that these processes have used, user and system.

    By each process's own clock (clock_getcpuclockid(3)), since /proc counts in steps of 10 ms.
    """
    return sum(time.clock_gettime(~pid << 3 | 2) for pid in pids)


def rss_mib(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no VmRSS for {pid}")


def memory_mib(pids: Iterable[int]) -> float:
    """Resident memory of processes, what several of them share counted once; of those there are."""
    kib = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            kib += sum(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    return kib / 1024


def is_there(pid: int) -> bool:
    """Whether the process has memory still: it has not ended, nor is it only remembered."""
    try:
        return "RssAnon:" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def anonymous_mib(pid: int) -> float:
    """Resident memory of a process that is its own, without mapped files."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no RssAnon for {pid}")


@dataclass(frozen=True)
class Rate:
    """How many operations a second, and what each cost the nodes."""

    operations: int
    seconds: float
    cpu_seconds: float

    @property
    def per_s(self) -> float:
        return self.operations / self.seconds

    @property
    def cpu_ms(self) -> float:
        return 1000 * self.cpu_seconds / self.operations


def measure(
    pids: list[int], connections: int, operations: int, work: Callable[[int, int], None]
) -> Rate:
    """Run work(connection, operation) `operations` times in all, over `connections` threads."""

    def one(connection: int) -> None:
        for number in range(connection, operations, connections):
            work(connection, number)

    before, start = _cpu_of_each(pids), time.perf_counter()
    with ThreadPoolExecutor(connections) as pool:
        for done in [pool.submit(one, connection) for connection in range(connections)]:
            done.result()
    seconds = time.perf_counter() - start
    after = _cpu_of_each(before)
    return Rate(operations, seconds, sum(used - before[pid] for pid, used in after.items()))


def _cpu_of_each(pids: Iterable[int]) -> dict[int, float]:
    """CPU seconds by process; a peer's worker that was idle may have ended and is left out."""
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            found[pid] = cpu_s([pid])
    return found


def interpreter() -> str:
    """Which one runs this, and the nodes."""
    return f"{platform.python_implementation()} {platform.python_version()}"


def steps_per_cpu_s(*, count: int = 300_000) -> float:
    """How many small steps this interpreter makes in a second of CPU: a call, a format, a
    look-up, a store. One that was built without optimisation makes a fifth less."""
    told: dict[int, bytes] = {}

    def step(number: int) -> None:
        told[number & 63] = b"* %d FETCH (UID %d)" % (number, number)

    start = time.thread_time()
    for number in range(count):
        step(number)
    return count / (time.thread_time() - start)


def fdatasyncs_per_s(directory: Path, *, octets: int = 16384, count: int = 1000) -> float:
    """How often this disk makes a block of a prepared file durable, one after the other."""
    path = directory / "fdatasync.probe"
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.write(handle, b"\0" * octets * 64)
        os.fsync(handle)
        block, start = os.urandom(octets), time.perf_counter()
        for number in range(count):
            os.pwrite(handle, block, octets * (number % 64))
            os.fdatasync(handle)
        return count / (time.perf_counter() - start)
    finally:
        os.close(handle)
        path.unlink()
