"""What a process does for itself before it is a node."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# A thread takes memory, gives it back and lives on; then we take as much. Pieces are below the size
# that is mapped by itself; what is allocated last keeps the heap as large as it was.
STORY = """
import threading
from pathlib import Path
from node.run import share_one_heap

def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // 2**20

def take():
    return [bytes([number % 256]) * 65536 for number in range(512)]

def work():
    taken = take()
    last.append(bytes(65536))
    del taken
    done.set()
    stop.wait()

assert share_one_heap()
last, done, stop = [], threading.Event(), threading.Event()
thread = threading.Thread(target=work)
thread.start()
done.wait()
before = resident_mib()
taken = take()
print(resident_mib() - before)
stop.set()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has a heap a thread")
def test_what_one_thread_has_freed_serves_another() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", STORY], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(ended.stdout) < 16, "32 MiB were taken though as much was free"
