"""The runner of real clusters: its schedules, its records, and short runs of real processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from fuzz import cluster
from fuzz.actions import KINDS, OPENING, draw, left_out, possible
from fuzz.means import Means
from fuzz.performer import Performer
from fuzz.record import Record, read, write
from fuzz.town import Town, town
from fuzz.watchers import Watchers
from tests.e2e.cluster import ROOT, RealCluster

NAMES = ["n1", "n2", "n3"]
EVERYTHING = Means(isolated=True, strace=True, faketime=Path("libfaketime"))
NOTHING = Means(isolated=False, strace=False, faketime=None)


def test_a_seed_draws_the_same_actions() -> None:
    kinds = list(KINDS)
    assert draw(7, 60, NAMES, kinds) == draw(7, 60, NAMES, kinds)
    assert draw(7, 60, NAMES, kinds) != draw(8, 60, NAMES, kinds)


def test_a_long_enough_schedule_has_every_kind_after_the_opening() -> None:
    actions = draw(1, 200, NAMES, list(KINDS))
    assert tuple(action["do"] for action in actions[: len(OPENING)]) == OPENING
    assert {action["do"] for action in actions} == set(KINDS)
    assert sum(action["after_s"] for action in actions) >= 200


def test_a_leader_is_frozen_for_ten_seconds_at_least_once() -> None:
    frozen = [a["for_s"] for a in draw(5, 300, NAMES, list(KINDS)) if a["do"] == "freeze leader"]
    assert frozen[0] == 10


def test_what_a_machine_cannot_do_is_left_out_and_told() -> None:
    assert possible(EVERYTHING) == list(KINDS) and left_out(EVERYTHING) == {}
    bare = possible(NOTHING)
    assert {"kill leader", "freeze leader", "restart all", "replace member"} <= set(bare)
    assert set(bare) | left_out(NOTHING).keys() == set(KINDS)
    assert "strace" in left_out(NOTHING)["slow disk"]
    assert "root" in left_out(NOTHING)["power on slow disks"]


def test_every_kind_has_a_deed(tmp_path: Path) -> None:
    here = Town(RealCluster(tmp_path), NOTHING)
    performer = Performer(here, Watchers(lambda _: pytest.fail("no client yet")), None)  # type: ignore[arg-type]
    assert performer.deeds.keys() == KINDS.keys()


async def test_without_a_leader_nothing_is_done_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fuzz.performer.LEADER_S", 0.01)
    with town(tmp_path, 3, 1, NOTHING) as made:
        async with trio.open_nursery() as nursery:
            watchers = Watchers(lambda _: pytest.fail("no client yet"))
            performer = Performer(made, watchers, nursery)
            action, *_ = draw(1, 9, NAMES, ["kill leader"])
            assert not await performer.perform(action, 1.0)
    assert performer.done == [] and not performer.counts


def test_a_record_survives_being_written_down(tmp_path: Path) -> None:
    actions = draw(3, 60, NAMES, list(KINDS))
    record = Record(3, "0123456789ab", 3, 60.0, None, actions)
    write(tmp_path / "run.json", record, actions[:2])
    assert read(tmp_path / "run.json") == Record(3, "0123456789ab", 3, 60.0, None, actions[:2])


def test_an_unknown_fault_or_bug_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--only", "flood"], ["--broken", "nothing at all"], ["--nodes", "0"]):
        with pytest.raises(SystemExit) as ended:
            cluster.main(words)
        assert ended.value.code == 2
    assert "kill leader" in capsys.readouterr().err


def test_only_the_last_words_tell_of_a_removal(tmp_path: Path) -> None:
    with town(tmp_path, 3, 1, NOTHING) as made:
        log = made.log("n1")
        assert not made.was_removed("n1")
        log.write_text("--- started\nthis node was removed from the cluster, as n2 has it\n")
        assert made.was_removed("n1") and not made.was_removed("n2")
        log.write_text(log.read_text() + "--- started\nnode started\n")
        assert not made.was_removed("n1")


def test_an_emptied_node_joins_the_others(tmp_path: Path) -> None:
    with town(tmp_path, 3, 1, NOTHING) as made:
        (made.data("n2") / "raft").mkdir(parents=True)
        (made.data("n2") / "raft" / "1.wal").write_text("x")
        (made.data("n2") / "replica-id").write_text("x")
        made.empty("n2")
        assert list(made.data("n2").iterdir()) == []
        peers = [made.cluster.node(name).ports["peer"] for name in ("n1", "n3")]
        words = [word for port in peers for word in ("--join", f"127.0.0.1:{port}")]
        assert made.cluster.node("n2").arguments == tuple(words)


@pytest.mark.slow
def test_a_short_run_and_its_replay_are_clean(tmp_path: Path) -> None:
    base = {"calm": False, "nodes": ["n2", "n1", "n3"], "count": 1}
    actions = [
        {"after_s": 1.0, "do": "freeze leader", "for_s": 2.0, **base},
        {"after_s": 4.0, "do": "kill", "for_s": 0.3, **base},
        {"after_s": 2.0, "do": "kill all", "for_s": 0.2, **base},
    ]
    write(tmp_path / "run.json", Record(5, "unknown", 3, 11.0, None, []), actions)
    ended = subprocess.run(
        [sys.executable, "-m", "fuzz", "cluster", "--replay", str(tmp_path / "run.json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    summary, end = json.JSONDecoder().raw_decode(ended.stdout)
    assert summary["faults"] == {"freeze leader": 1, "kill": 1, "kill all": 1}
    assert summary["acknowledged"] > 0
    assert summary["around frozen leaders"]["leaders frozen"] == 1
    assert ended.stdout[end:].strip() == "it did not fail again this time"
