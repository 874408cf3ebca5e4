"""`trireme status` on a terminal: every cell is whole, also where there are 80 columns only."""

from io import StringIO
from typing import Any

from rich.console import Console

from node.cli.status import down, table_of

UP: dict[str, Any] = {
    "name": "n1",
    "pid": 1234567,
    "up": True,
    "role": "follower",
    "standing": "voter",
    "term": 1234,
    "commit": 12345678,
    "applied": 12345678,
    "lag": 0,
    "sync_ms": 17,
    "rtt_ms": {"n2": 0.4, "n3": 11.2, "n4": 0.5, "n5": 0.6},
    "free_bytes": 118 << 30,
    "space": "ample",
    "scrub": "whole",
    "agrees": "agree",
    "doors": "http 18081, imap 11431, lmtp 11241, sieve 14191",
}


def printed(nodes: list[dict[str, Any]], width: int) -> list[str]:
    out = StringIO()
    Console(file=out, width=width).print(table_of(nodes))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_nothing_is_cut_or_folded_on_80_columns() -> None:
    lines = printed([UP, {**UP, "name": "n2", "role": "leader"}], 80)
    assert len(lines) == 3 * (1 + 2)
    assert lines[0].split() == ["node", "pid", "state", "role", "term", "commit", "applied", "lag"]
    assert lines[1].split() == [
        *("n1", "1234567", "up", "follower"),
        *("1234", "12345678", "12345678", "0"),
    ]
    assert "n2 0.4 n3 11.2 n4 0.5 n5 0.6" in lines[4] and "17 ms, 118.0 GiB free" in lines[4]
    assert lines[7].endswith(UP["doors"])


def test_a_replica_is_told_from_a_learner_that_will_vote() -> None:
    node = {**UP, "role": "learner", "standing": "replica"}
    assert printed([node], 80)[1].split()[3] == "replica"


def test_of_a_node_that_is_down_nothing_is_made_up() -> None:
    lines = printed([down("n3")], 80)
    assert lines[1].split() == ["n3", "-", "down", *"-----"]


def test_a_node_that_differs_says_so() -> None:
    lines = printed([{**UP, "agrees": "outvoted at 17", "space": "short"}], 100)
    assert "differs: outvoted at 17" in lines[3] and "short" in lines[3]
