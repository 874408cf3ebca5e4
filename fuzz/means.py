"""What this machine lets us do to real nodes, found by trying; and what is left out without it."""

import glob
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FAKETIME: Final = "/usr/lib/*/faketime/libfaketimeMT.so.1"
TRY_S: Final = 10.0

# The means an action needs, and the sentence when they are not there.
ISOLATED: Final = "isolated"
STRACE: Final = "strace"
CLOCKS: Final = "clocks"
MISSING: Final[Mapping[str, str]] = {
    ISOLATED: "needs root, ip, nsenter, mkfs.ext4, mount, /dev/net/tun and loop devices",
    STRACE: "needs strace, and to be allowed to attach it to the nodes (root)",
    CLOCKS: "needs libfaketime (Debian: apt-get install libfaketime)",
}


@dataclass(frozen=True, slots=True)
class Means:
    """What is there: namespaces and loop disks, strace, and where libfaketime lies."""

    isolated: bool
    strace: bool
    faketime: Path | None

    def has(self, need: str) -> bool:
        """Whether actions that need this can be done."""
        return {
            ISOLATED: self.isolated,
            STRACE: self.strace,
            CLOCKS: self.faketime is not None,
        }[need]


def find_means() -> Means:
    """Look, and try."""
    places = sorted(glob.glob(FAKETIME))
    return Means(_can_isolate(), _can_trace(), Path(places[0]) if places else None)


def _can_isolate() -> bool:
    tools = all(shutil.which(tool) for tool in ("ip", "nsenter", "mkfs.ext4", "mount"))
    places = (Path("/dev/net/tun"), Path("/dev/loop-control"))
    return os.geteuid() == 0 and tools and all(place.exists() for place in places)


def _can_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    child = subprocess.Popen(["sleep", str(TRY_S)])
    try:
        tracer = subprocess.Popen(
            ["strace", "-o", os.devnull, "-p", str(child.pid)],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert tracer.stderr is not None
        attached = "attached" in tracer.stderr.readline()
        tracer.terminate()
        tracer.communicate(timeout=TRY_S)
        return attached
    finally:
        child.kill()
        child.wait()
