"""The verdicts of `make bench`: who is compared with whom, and which way better is."""

import pytest

from tests.bench import imap
from tests.bench.table import CYRUS, DOVECOT, GOALS, ONE, THREE, Goal, Row, lines, markdown, show


def row(rate: float, *, unit: str = "messages/s", cpu_ms: float | None = None) -> Row:
    return {"what": "x", "rate": rate, "unit": unit, "cpu_ms": cpu_ms}


def test_so_many_times_a_peer_is_by_rate() -> None:
    goal = Goal(times={DOVECOT: 2.0})
    assert goal.verdict({ONE: row(200.0), DOVECOT: row(100.0)}) == "met"
    assert goal.verdict({ONE: row(199.0), DOVECOT: row(100.0)}) == "missed"


def test_every_peer_that_is_here_must_be_outdone() -> None:
    goal = Goal(times={DOVECOT: 3.0, CYRUS: 2.0})
    assert goal.verdict({ONE: row(300.0), DOVECOT: row(100.0), CYRUS: row(200.0)}) == "missed"
    assert goal.verdict({ONE: row(300.0), DOVECOT: row(100.0)}) == "met"
    assert goal.verdict({ONE: row(300.0)}) == ""


def test_less_is_better_of_what_is_waited_for() -> None:
    goal = Goal(times={DOVECOT: 2.0})
    cells = {ONE: row(5.0, unit="ms"), DOVECOT: row(10.0, unit="ms")}
    assert goal.verdict(cells) == "met"
    assert goal.verdict({ONE: cells[DOVECOT], DOVECOT: cells[ONE]}) == "missed"


def test_a_bound_of_its_own_is_of_cpu_or_of_three_nodes() -> None:
    assert GOALS[imap.BODY].verdict({ONE: row(5000.0, cpu_ms=0.9)}) == "met"
    assert GOALS[imap.BODY].verdict({ONE: row(5000.0, cpu_ms=1.0)}) == "missed"
    assert GOALS[imap.NOTICE].verdict({ONE: row(49.0), THREE: row(51.0)}) == "missed"
    assert GOALS[imap.NOTICE].verdict({ONE: row(49.0)}) == ""


def test_a_row_says_that_its_peer_is_not_installed(capsys: pytest.CaptureFixture[str]) -> None:
    show([row(400.0) | {"what": imap.SINGLE, "who": ONE}], [DOVECOT])
    told = capsys.readouterr().out
    assert "not installed" in told and ">= 2 x Dovecot" in told


def test_memory_that_did_not_grow_is_compared_with_nothing() -> None:
    results = [
        row(0.0, unit="MiB") | {"who": ONE},
        row(3.0, unit="MiB") | {"who": CYRUS},
    ]
    assert lines(results, [])[0][9:12] == ["3.00", "", ""]
    assert lines(results[::-1], [])[0][2] == "0.00"


def test_tables_for_a_readme_leave_out_the_peers_of_what_has_none() -> None:
    results = [
        row(3000.0) | {"what": "RSS", "unit": "MiB", "who": ONE},
        row(400.0, cpu_ms=1.5) | {"what": imap.SINGLE, "who": ONE},
        row(200.0, cpu_ms=3.25) | {"what": imap.SINGLE, "who": DOVECOT},
    ]
    nodes, peers = markdown(results, []).split("\n\n")
    assert nodes.splitlines()[2:] == [
        "| RSS, MiB | 3,000 |  |  |  |",
        "| LMTP ingest, 1 connection, messages/s | 400 | 1.500 |  |  |",
    ]
    cells = ["400", "1.500", "200", "3.250", "2.00", "", "", "", ">= 2 x Dovecot", "met"]
    expected = ["LMTP ingest, 1 connection, messages/s", *cells]
    assert [line.strip("| ").split(" | ") for line in peers.splitlines()[2:]] == [expected]
