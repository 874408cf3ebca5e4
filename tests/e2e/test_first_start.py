"""A new cluster that calls itself ready knows everybody its file names."""

from pathlib import Path

from tests.bench.clients import Lmtp
from tests.e2e.cluster import ACCOUNTS, running

CROWD = [f"user{number}@example.org" for number in range(12)]


def test_ready_means_that_the_files_accounts_are_made(tmp_path: Path) -> None:
    extra = "".join(
        f'[[bootstrap.account]]\naddress = "{address}"\npassword = "demo-demo"\n'
        for address in CROWD
    )
    with running(tmp_path, 1, extra) as cluster:
        line = Lmtp(cluster.node("n1").address("lmtp"))
        replies = [
            line.deliver(b"Subject: first\r\n\r\nhello\r\n", to) for to in [*CROWD, *ACCOUNTS]
        ]
        line.close()
    assert {reply[:3] for reply in replies} == {b"250"}, replies
