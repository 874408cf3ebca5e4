"""The key file: the cluster's secret for a node that starts for the first time, 0600.

    32 random bytes, or more                       made here, or by hand for several machines
    cluster <32 hex digits> key <number>           written with each later key

A cluster on one machine makes its own; several machines are given one (`secret-file`). From the
secret come the keys of gossip packets and of the connections between nodes. The first secret also
names the cluster; a later one (node/keyring.py) does not, so the name stands beside it. A node
that has seen a change of keys has its own ring and does not read this file any more.
"""

import os
import re
import secrets
import stat
from pathlib import Path
from typing import Final

from node.config import Config, ConfigError
from node.identity import cluster_id
from node.keyring import Key, Ring, first_ring

SECRET_BYTES: Final = 32
SECRET_BYTES_MAX: Final = 4096
_LATER_KEY: Final = re.compile(
    rb"(.{%d,})\ncluster ([0-9a-f]{32}) key ([1-9][0-9]{0,8})" % SECRET_BYTES, re.DOTALL
)


def ensure_secret(config: Config) -> None:
    """Make the secret of a one-machine cluster if it is not there; safe for several at once."""
    path = config.secret_path
    if config.cluster.secret_file or path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    made = _written_beside(path, secrets.token_hex(SECRET_BYTES).encode() + b"\n")
    try:
        try:
            os.link(made, path)  # fails when another node made one first: then theirs is ours
        except FileExistsError:
            return
    finally:
        made.unlink()


def read_first_ring(config: Config) -> Ring:
    """What a node holds that has never seen a change of keys; ConfigError as `read_secret`."""
    text = read_secret(config)
    found = _LATER_KEY.fullmatch(text)
    if found is None:
        return first_ring(cluster_id(config.cluster.name, text), Key(1, text))
    secret, cluster, number = found.groups()
    return first_ring(bytes.fromhex(cluster.decode()), Key(int(number), secret))


def write_key_file(config: Config, ring: Ring) -> None:
    """Put the key in use into the key file, for nodes still to come; raises OSError."""
    path, key = config.secret_path.resolve(), ring.in_use
    text = key.secret + f"\ncluster {ring.cluster.hex()} key {key.number}\n".encode()
    if path.exists() and path.read_bytes() == text:
        return
    made = _written_beside(path, text)
    try:
        made.replace(path)
    except OSError:
        made.unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _written_beside(path: Path, text: bytes) -> Path:
    """A durable file next to `path`, to take its name."""
    made = path.with_name(f"{path.name}.{os.getpid()}")
    handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return made


def read_secret(config: Config) -> bytes:
    """The text of the key file; ConfigError when it is missing, short, or open to others."""
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
