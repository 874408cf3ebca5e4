"""The runner of real clusters: its schedules, and one short run without root's means."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.actions import ANYWHERE, ISOLATED, draw
from fuzz.town import ROOT

NAMES = ["n1", "n2", "n3"]


def test_a_seed_draws_the_same_actions() -> None:
    assert draw(7, 60, NAMES, isolated=True) == draw(7, 60, NAMES, isolated=True)
    assert draw(7, 60, NAMES, isolated=True) != draw(8, 60, NAMES, isolated=True)


def test_a_long_enough_schedule_has_every_kind() -> None:
    kinds = {action["do"] for action in draw(1, 120, NAMES, isolated=True)}
    assert kinds == {*ANYWHERE, *ISOLATED}
    assert {action["do"] for action in draw(1, 120, NAMES, isolated=False)} == {*ANYWHERE}


def test_actions_survive_being_written_down() -> None:
    actions = draw(3, 60, NAMES, isolated=True)
    assert json.loads(json.dumps(actions)) == actions
    assert all(0 < action["at_s"] < 60 for action in actions)


@pytest.mark.slow
def test_a_short_run_and_its_replay_are_clean(tmp_path: Path) -> None:
    actions = [
        {"at_s": 1.0, "do": "kill leader", "nodes": ["n1"], "for_s": 0.3},
        {"at_s": 3.0, "do": "freeze", "nodes": ["n2"], "for_s": 1.0},
        {"at_s": 5.0, "do": "kill all", "nodes": ["n1"], "for_s": 0.2},
    ]
    record = {"nodes": 3, "seed": 5, "seconds": 8.0, "actions": actions}
    (tmp_path / "actions.json").write_text(json.dumps(record))
    ended = subprocess.run(
        [sys.executable, "-m", "fuzz.cluster", "--replay", str(tmp_path / "actions.json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    summary = json.loads(ended.stdout)
    assert summary["actions"] == {"kill leader": 1, "freeze": 1, "kill all": 1}
    assert summary["acknowledged"] > 0
