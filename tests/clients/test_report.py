"""What a run of real clients says at its end."""

import pytest

from tests.clients.report import Report


def fails() -> None:
    raise LookupError("no such mailbox")


def good() -> None:
    pass


def test_every_step_is_told_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    report.take("curl", "n1", "list", good)
    report.take("curl", "n1", "move", fails)
    report.take("curl", "n2", "list", good)
    report.lacks("mbsync", "not installed: apt install isync")
    told = capsys.readouterr().out.splitlines()
    assert told[0].split()[:3] == ["curl", "n1", "list"]
    assert told[1].endswith("LookupError: no such mailbox")
    assert [one.step for one in report.failures] == ["move"]
    assert [line.split() for line in report.table().splitlines()] == [
        ["client", "n1", "n2"],
        ["curl", "1/2", "not", "move", "1/1"],
        ["mbsync", "not", "installed:", "apt", "install", "isync"],
    ]


def test_a_client_that_works_at_one_node_leaves_the_others_empty() -> None:
    report = Report()
    report.take("mbsync", "n2", "up", good)
    report.take("mbsync-large", "n1", "up", good)
    assert report.table().splitlines()[1].split() == ["mbsync", "1/1"]


def test_a_machine_that_has_none_of_them_is_told_so() -> None:
    report = Report()
    report.lacks("mbsync", "not installed: apt install isync")
    assert report.table().splitlines()[1] == "mbsync  not installed: apt install isync"
