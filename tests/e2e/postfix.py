"""Postfix hands mail to three nodes, one of which is killed: nothing is lost, nothing comes twice.

    python -m tests.e2e.postfix [--messages 300]

Debian's Postfix runs as an instance of its own, in a temporary directory and on loopback ports;
the system's is not touched. It needs root (Postfix does) and skips, saying so, where either is
missing. Not part of `make test`.
"""

import argparse
import imaplib
import json
import os
import re
import shutil
import smtplib
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from tests.e2e.cluster import ACCOUNTS, RealCluster, free_ports, running

DRAINED_S = 120.0
SENDERS = 4

MAIN_CF = """
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
maillog_file = {home}/maillog
maillog_file_prefixes = {home}
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.example.net
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
relay_domains = example.org
relay_recipient_maps =
smtpd_recipient_restrictions = permit_mynetworks, reject
transport_maps = randmap:{{{routes}}}
disable_dns_lookups = yes
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
lmtp_connect_timeout = 2s
lmtp_cname_overrides_servername = no
lmtp_connection_cache_on_demand = yes
destination_concurrency_failed_cohort_limit = 0
smtpd_peername_lookup = no
"""

MASTER_CF = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """An instance in a directory of its own."""

    def __init__(self, home: Path, lmtp_ports: list[int]) -> None:
        self.home = home
        (self.port,) = free_ports(1)
        # At random for each attempt: what one node did not take another is asked to.
        routes = ", ".join(f"lmtp:inet:[127.0.0.1]:{port}" for port in lmtp_ports)
        home.chmod(0o755)
        for name in ("queue", "data"):
            (home / name).mkdir()
        shutil.chown(home / "data", "postfix")
        (home / "main.cf").write_text(MAIN_CF.format(home=home, routes=routes))
        (home / "master.cf").write_text(MASTER_CF.format(port=self.port))

    def command(self, *words: str) -> str:
        """Run one of Postfix's commands on this instance."""
        name, *rest = words
        ended = subprocess.run(
            [name, "-c", str(self.home), *rest],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if ended.returncode:
            raise RuntimeError(f"{' '.join(words)}: {ended.stdout}{ended.stderr}")
        return ended.stdout

    def queued(self) -> list[dict[str, object]]:
        """What waits, message by message."""
        return [json.loads(line) for line in self.command("postqueue", "-j").splitlines()]

    def log(self) -> str:
        """All it has logged."""
        return (self.home / "maillog").read_text(errors="replace")


def missing() -> str:
    """Why this cannot run here; empty when it can."""
    if shutil.which("postfix") is None:
        return "Postfix is not installed: apt-get install postfix"
    return "" if os.geteuid() == 0 else "Postfix runs for root only"


def inject(postfix: Postfix, numbers: list[int]) -> None:
    """Hand messages in, each to everybody."""
    with smtplib.SMTP("127.0.0.1", postfix.port, timeout=60) as client:
        for number in numbers:
            text = f"Subject: m{number}\r\nMessage-ID: <m{number}@x>\r\n\r\nNumber {number}.\r\n"
            client.sendmail("carol@example.net", list(ACCOUNTS), text)


def received(cluster: RealCluster, name: str, address: str) -> Counter[int]:
    """How often each message is in an inbox, as a node tells it."""
    client = imaplib.IMAP4(*cluster.node(name).address("imap"))
    try:
        client.login(address, ACCOUNTS[address])
        client.select("INBOX", readonly=True)
        _, data = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        subjects = b"".join(each[1] for each in data if isinstance(each, tuple))
    finally:
        client.logout()
    return Counter(int(found) for found in re.findall(rb"Subject: m(\d+)", subjects))


def drain(postfix: Postfix) -> float:
    """Seconds until nothing waits."""
    began = time.monotonic()
    while queued := postfix.queued():
        if time.monotonic() - began > DRAINED_S:
            raise SystemExit(f"{len(queued)} messages still wait: {queued[:3]}")
        time.sleep(0.5)
    return time.monotonic() - began


def tell(cluster: RealCluster, messages: int) -> None:
    """Raise SystemExit when a node misses a message or has one twice."""
    for node in cluster.nodes:
        if not node.alive:
            continue
        for address in ACCOUNTS:
            counts = received(cluster, node.name, address)
            lost = [number for number in range(messages) if not counts[number]]
            twice = [number for number, count in counts.items() if count > 1]
            if lost or twice:
                raise SystemExit(f"{node.name}, {address}: lost {lost}, twice {twice}")
            print(f"{node.name}: {address} has all {messages}, each once")


def run(messages: int) -> None:
    """The whole story."""
    with tempfile.TemporaryDirectory(prefix="trireme-postfix-") as directory:
        home, nodes = Path(directory) / "postfix", Path(directory) / "cluster"
        Path(directory).chmod(0o755)
        home.mkdir()
        nodes.mkdir()
        with running(nodes, 3) as cluster:
            postfix = Postfix(home, [node.ports["lmtp"] for node in cluster.nodes])
            postfix.command("postfix", "start")
            try:
                story(cluster, postfix, messages)
            finally:
                postfix.command("postfix", "stop")


def story(cluster: RealCluster, postfix: Postfix, messages: int) -> None:
    """Mail comes in, the leader is killed in the midst of it, the queue drains all the same."""
    shares = [list(range(at, messages, SENDERS)) for at in range(SENDERS)]
    threads = [threading.Thread(target=inject, args=(postfix, share)) for share in shares]
    for thread in threads:
        thread.start()
    leader = cluster.leader() or "n1"
    while postfix.log().count("status=sent") < messages // 2:
        time.sleep(0.05)
    cluster.kill(leader)
    print(f"{leader}, the leader, killed after {postfix.log().count('status=sent')} deliveries")
    for thread in threads:
        thread.join()
    print(f"{messages} messages handed in; the queue is empty after {drain(postfix):.0f} s more")
    log = postfix.log()
    for node in cluster.nodes:
        sent = len(re.findall(rf"relay=[^ ]*:{node.ports['lmtp']},.*status=sent", log))
        print(f"{node.name} took {sent}")
    print(f"deferred {log.count('status=deferred')} times, bounced {log.count('status=bounced')}")
    if "status=bounced" in log:
        raise SystemExit("mail bounced")
    tell(cluster, messages)
    cluster.start(leader)
    cluster.wait_ready(leader)
    tell(cluster, messages)


def main() -> None:
    """Run it, or say why not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=300)
    words = parser.parse_args()
    if reason := missing():
        print(f"skipped: {reason}")
        return
    run(words.messages)
    print("ok")


if __name__ == "__main__":
    sys.exit(main())
