"""The cluster that clients are tried on, as far as it needs no process."""

from pathlib import Path

from tests.clients.stage import NODES, Stage, after
from tests.e2e.cluster import RealCluster


def test_after_the_last_node_comes_the_first() -> None:
    assert [after("n1"), after("n3"), after("n2", 2)] == ["n2", "n1", "n1"]


def test_what_a_node_logs_as_its_error_is_found(tmp_path: Path) -> None:
    for node in NODES:
        (tmp_path / f"{node}.log").write_text('level=info event="node started"\n')
    stage = Stage(RealCluster(tmp_path), {}, tmp_path / "authority.pem")
    assert stage.errors() == []
    with (tmp_path / "n2.log").open("a") as log:
        log.write('level=error event="connection failed"\nTraceback (most recent call last):\n')
    assert len(stage.errors()) == 2
