"""Small files that are replaced whole: written beside, made durable, renamed over the old one.

Over the log's disk port, so that a simulated disk tears and forgets these too.
"""

from pathlib import Path

from raft import Disk

_UNFINISHED = ".new"


def read_small(disk: Disk, directory: Path, name: str) -> bytes | None:
    """What was last written under this name, without white space at its ends; None if never."""
    if name not in disk.list_names(str(directory)):
        return None
    return disk.read(str(directory / name)).strip()


def write_small(disk: Disk, directory: Path, name: str, text: bytes) -> None:
    """Replace the file durably. Raises DiskFailed."""
    line = text + b"\n"
    unfinished = str(directory / (name + _UNFINISHED))
    file = disk.create_zeroed(unfinished, len(line))
    try:
        file.write_at(0, [line])
        file.sync_data()
    finally:
        file.close()
    disk.rename(unfinished, str(directory / name))
    disk.sync_directory(str(directory))
