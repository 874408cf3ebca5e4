"""The cluster secret: 32 random bytes in a 0600 file, the same on every machine.

A cluster on one machine makes its own; several machines are given one (`secret-file`). From it
come the keys of gossip packets and of the connections between nodes.
"""

import os
import secrets
import stat
from pathlib import Path
from typing import Final

from node.config import Config, ConfigError

SECRET_BYTES: Final = 32
SECRET_BYTES_MAX: Final = 4096


def ensure_secret(config: Config) -> None:
    """Make the secret of a one-machine cluster if it is not there; safe for several at once."""
    path = config.secret_path
    if config.cluster.secret_file or path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f"{path.name}.{os.getpid()}")
    handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(SECRET_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(made, path)  # fails when another node made one first: then theirs is ours
        except FileExistsError:
            return
    finally:
        made.unlink()


def read_secret(config: Config) -> bytes:
    """The secret; raises ConfigError when it is missing, short, or open to others."""
    path: Path = config.secret_path
    try:
        text = path.read_bytes()[: SECRET_BYTES_MAX + 1].strip()
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise ConfigError(
            f"{path}: the cluster secret cannot be read ({error.strerror}): "
            "copy it here from a node that has it, mode 0600."
        ) from error
    if mode & 0o077:
        raise ConfigError(f"{path}: others may read the cluster secret: run chmod 600 on it.")
    if not SECRET_BYTES <= len(text) <= SECRET_BYTES_MAX:
        raise ConfigError(
            f"{path}: a cluster secret has {SECRET_BYTES} to {SECRET_BYTES_MAX} bytes, "
            f"this has {len(text)}: make one from random bytes."
        )
    return text
