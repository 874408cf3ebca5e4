"""`python -m tests.bench.restart`: from the start of a node with much to remember to its serving.

A voter is filled with mail until its state has so many octets, with the newest part of the log
kept; a replica that the file names and nobody starts makes the log one that may be cut. Then the
node is killed and started again, a few times: how long until /readyz says yes, until a mailbox is
selected, and how much CPU that took. `--keep DIR` keeps what was built, and uses it again.
"""

import argparse
import base64
import json
import random
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from tests.bench.clients import Imap, Lmtp
from tests.bench.mail import message
from tests.bench.meters import cpu_s, rss_mib
from tests.e2e.cluster import PORTS, RealCluster, RealNode, ready

GIB: Final = 1 << 30
PASSWORD: Final = "alice-demo"
CROWD: Final = [f"user{number}@example.org" for number in range(8)]
# One mail of ten carries a large attachment, which makes 110 KB a mail on average.
ATTACHMENT_OCTETS: Final = (100_000, 1_300_000)
LINES: Final = 8


def large(number: int) -> bytes:
    """A mail of the mix, every tenth one with a large attachment."""
    plain = message(number)
    if number % 10:
        return plain
    chance = random.Random(number)
    raw = base64.b64encode(chance.randbytes(chance.randint(*ATTACHMENT_OCTETS)))
    folded = b"\r\n".join(raw[at : at + 76] for at in range(0, len(raw), 76))
    head, _, body = plain.partition(b"\r\n\r\n")
    top = [line for line in head.split(b"\r\n") if not line.startswith((b"Content-", b"MIME"))]
    kind = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Type"))
    return b"\r\n".join(
        [
            *top,
            b"MIME-Version: 1.0",
            b'Content-Type: multipart/mixed; boundary="=_large"\r\n',
            b"--=_large",
            kind,
            b"",
            body,
            b"--=_large",
            b"Content-Type: image/jpeg",
            b"Content-Transfer-Encoding: base64",
            b'Content-Disposition: attachment; filename="picture.jpg"\r\n',
            folded,
            b"--=_large--\r\n",
        ]
    )


def octets_under(directory: Path) -> int:
    """Of all files."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def open_cluster(directory: Path, log_octets: int) -> RealCluster:
    """The file of the cluster: written now, or as an earlier run has left it."""
    kept = directory / "ports.json"
    extra = [f"[raft]\ntrailing-bytes = {log_octets}\n"]
    extra.append('[[node]]\nname = "r1"\nhost = "127.0.0.1"\nrole = "replica"\npeer = 1\n')
    for address in CROWD:
        extra.append(f'[[bootstrap.account]]\naddress = "{address}"\npassword = "{PASSWORD}"\n')
    if kept.exists():
        ports = json.loads(kept.read_text())
        return RealCluster(directory, [RealNode("n1", dict(zip(PORTS, ports, strict=True)))])
    cluster = RealCluster.make(directory, 1, "\n".join(extra))
    kept.write_text(json.dumps(list(cluster.nodes[0].ports.values())))
    return cluster


def fill(cluster: RealCluster, state_octets: int) -> int:
    """Deliver until the state is so large; how many mails."""
    node = cluster.nodes[0]
    home = cluster.directory / "var" / node.name / "state"
    lines = [Lmtp(node.address("lmtp")) for _ in range(LINES)]
    sent = 0

    def deliver(line: int) -> None:
        number = sent + line
        reply = lines[line].deliver(large(number), CROWD[number % len(CROWD)])
        assert reply.startswith(b"250"), reply

    with ThreadPoolExecutor(LINES) as pool:
        while octets_under(home) < state_octets:
            for _ in range(50):
                list(pool.map(deliver, range(LINES)))
                sent += LINES
    for line in lines:
        line.close()
    return sent


def start_once(cluster: RealCluster) -> dict[str, Any]:
    """Start the node, and see it serve."""
    node = cluster.nodes[0]
    began = time.monotonic()
    cluster.start(node.name)
    while not ready(node):
        assert node.alive, cluster.logs()
        time.sleep(0.02)
    ready_s = time.monotonic() - began
    assert node.process is not None
    cpu = cpu_s([node.process.pid])
    imap = Imap(node.address("imap"), CROWD[0], PASSWORD)
    imap.command("SELECT INBOX")
    imap.command("FETCH * (UID FLAGS ENVELOPE)")
    imap.close()
    return {
        "ready_s": round(ready_s, 2),
        "cpu_s": round(cpu, 2),
        "selected_s": round(time.monotonic() - began, 2),
        "rss_mib": round(rss_mib(node.process.pid)),
    }


def main() -> None:
    """Build, or take what was built; restart; one JSON line each."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.restart", description=__doc__)
    parser.add_argument("--state", type=float, default=2.0, help="GiB of rows and blobs")
    parser.add_argument("--log", type=float, default=1.0, help="GiB of log")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="a directory to build in, or to use again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trireme-restart-") as scratch:
        directory: Path = options.keep or Path(scratch)
        directory.mkdir(parents=True, exist_ok=True)
        cluster = open_cluster(directory, int(options.log * GIB))
        home = directory / "var" / "n1"
        try:
            cluster.start()
            cluster.wait_ready(timeout_s=300)
            mails = fill(cluster, int(options.state * GIB))
            for number in range(options.times):
                cluster.kill("n1")
                held = {"log": octets_under(home / "raft"), "state": octets_under(home / "state")}
                in_mib = {f"{what}_mib": octets >> 20 for what, octets in held.items()}
                said = {"restart": number, "mails": mails} | in_mib | start_once(cluster)
                print(json.dumps(said), flush=True)
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
