"""A cluster of three nodes with a certificate, and an account for each client at each node.

Everything is in one temporary directory and on loopback ports.
"""

import contextlib
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.e2e.cluster import RealCluster, free_ports

NODES = ("n1", "n2", "n3")
DOMAIN = "example.org"
PASSWORD = "clients-demo"
# Whom the clients write to: an account that the demo cluster has too.
BOB = "bob@example.org"
BOBS_PASSWORD = "bob-demo"
SECURE = ("https", "imaps")


@dataclass(frozen=True)
class Stage:
    """The running cluster, and what clients trust."""

    cluster: RealCluster
    secure: dict[tuple[str, str], int]
    """The ports of TLS doors, by node and door."""
    authority: Path
    """The certificate of the authority that signed the nodes', in PEM."""

    def port(self, node: str, door: str) -> int:
        """Where a door of a node listens."""
        if door in SECURE:
            return self.secure[node, door]
        return self.cluster.node(node).ports[door]

    def errors(self) -> list[str]:
        """What the nodes logged as their own errors: no client should bring any about."""
        logs = [self.cluster.directory / f"{node}.log" for node in NODES]
        lines = (line for log in logs for line in log.read_text(errors="replace").splitlines())
        return [line for line in lines if "level=error" in line or "Traceback" in line]

    def trust(self) -> ssl.SSLContext:
        """For clients that take a context."""
        return ssl.create_default_context(cafile=str(self.authority))


def after(node: str, steps: int = 1) -> str:
    """The node that comes so many after this one, round and round."""
    return NODES[(NODES.index(node) + steps) % len(NODES)]


def address(client: str, node: str) -> str:
    """The account that a client uses at a node, and nobody else."""
    return f"{client}-{node}@{DOMAIN}"


@contextlib.contextmanager
def staged(directory: Path, clients: Sequence[str]) -> Iterator[Stage]:
    """A ready cluster in this directory, with the accounts of these clients."""
    issuer = trustme.CA()
    # fetchmail looks at the common name only, which the others have no use for.
    issued = issuer.issue_cert("localhost", "127.0.0.1", common_name="localhost")
    issued.private_key_pem.write_to_path(directory / "key.pem")
    (directory / "chain.pem").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    issuer.cert_pem.write_to_path(directory / "authority.pem")
    extra = ['[tls]\ncertificate = "chain.pem"\nkey = "key.pem"\n']
    for user in (address(client, node) for client in clients for node in NODES):
        extra.append(f'[[bootstrap.account]]\naddress = "{user}"\npassword = "{PASSWORD}"\n')
    cluster = RealCluster.make(directory, len(NODES), "\n".join(extra))
    names = [(node, door) for node in NODES for door in SECURE]
    secure = dict(zip(names, free_ports(len(names)), strict=True))
    file = directory / "cluster.toml"
    text = file.read_text()
    for node in NODES:
        lines = "".join(f"{door} = {secure[node, door]}\n" for door in SECURE)
        text = text.replace(f'name = "{node}"\n', f'name = "{node}"\n{lines}')
    file.write_text(text)
    try:
        cluster.start()
        cluster.wait_ready()
        yield Stage(cluster, secure, directory / "authority.pem")
    finally:
        cluster.stop()
