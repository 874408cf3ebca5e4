"""A disk of its own for each node: an ext4 file system in a file, whose power can be cut.

EXT4_IOC_SHUTDOWN without a flush forgets what was not synced, as a power cut does; from then on
every call fails, until it is mounted anew. Needs root and loop devices.
"""

import contextlib
import fcntl
import os
import struct
import subprocess
import time
from pathlib import Path
from typing import Final

MIB: Final = 1024 * 1024
DISK_BYTES: Final = 384 * MIB
EXT4_IOC_SHUTDOWN: Final = 0x8004587D
NO_LOG_FLUSH: Final = 2
BALLAST: Final = "ballast"
UNMOUNT_TRIES: Final = 50
UNMOUNT_PAUSE_S: Final = 0.1
# A disk is filled in steps of these.
FILL_STEPS: Final = (8 * MIB, 256 * 1024, 4096)


class LoopDisk:
    """One image and where it is mounted."""

    def __init__(self, image: Path, place: Path) -> None:
        self._image, self.place = image, place
        place.mkdir(parents=True, exist_ok=True)
        with image.open("wb") as file:
            file.truncate(DISK_BYTES)
        _run("mkfs.ext4", "-q", "-F", str(image))
        self.mount()

    def mount(self) -> None:
        """Put it in its place; what a power cut left is repaired from its journal."""
        _run("mount", "-o", "loop", str(self._image), str(self.place))
        self.empty()

    def unmount(self) -> None:
        """Take it out; whoever still uses it for a moment is waited for."""
        for _ in range(UNMOUNT_TRIES):
            with contextlib.suppress(subprocess.CalledProcessError):
                _run("umount", str(self.place))
                return
            time.sleep(UNMOUNT_PAUSE_S)
        _run("umount", str(self.place))

    def cut_power(self) -> None:
        """What was not synced is gone, and nothing works until it is mounted again."""
        descriptor = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def fill(self) -> None:
        """Leave no room."""
        with (self.place / BALLAST).open("wb") as file:
            at = 0
            for step in FILL_STEPS:
                with contextlib.suppress(OSError):
                    while at < DISK_BYTES:
                        os.posix_fallocate(file.fileno(), at, step)
                        at += step

    def empty(self) -> None:
        """Give the room back."""
        with contextlib.suppress(OSError):
            (self.place / BALLAST).unlink(missing_ok=True)


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
