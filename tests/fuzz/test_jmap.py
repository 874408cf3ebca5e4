"""Requests drawn from the schema of every method are answered in JMAP's terms; and the judge of
that sees what it ought to see."""

import json
from pathlib import Path
from typing import Any

import pytest

from fuzz.jmap import judge, run, states
from fuzz.jmap.judge import faults_of
from fuzz.jmap.schema import schema
from fuzz.jmap.states import Seen
from fuzz.jmap.world import LIMITS, known
from protocols.jmap.capabilities import CAPABILITIES, CORE
from protocols.jmap.methods import METHODS, Method

SAVED = sorted(run.CORPUS.glob("*.json"))


def asking(*calls: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """A request."""
    named = [[name, arguments, f"c{at}"] for at, (name, arguments) in enumerate(calls)]
    return {"using": sorted(CAPABILITIES), "methodCalls": named}


@pytest.mark.parametrize("part", range(2))
def test_a_sample_of_requests_is_answered_well(part: int) -> None:
    assert run.batch(part, 60) is None


@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.stem)
def test_what_was_once_answered_wrongly_is_not_again(path: Path) -> None:
    assert faults_of(json.loads(path.read_text())) == []


def test_every_method_is_declared() -> None:
    assert schema().keys() == METHODS.keys()


def test_the_world_has_some_of_everything() -> None:
    assert len(known().ids) == 8 and all(known().ids.values())
    assert len(known().blobs) > 10


def test_a_request_that_fails_is_made_small() -> None:
    def dislikes_echo(request: Any) -> list[str]:
        return ["echo"] if any(call[0] == "Core/echo" for call in request["methodCalls"]) else []

    found = run.batch(3, 200, judge=dislikes_echo)
    assert found is not None
    request, faults = found
    assert faults == ["echo"] and request["methodCalls"] == [["Core/echo", {}, "c0"]]


def test_what_failed_is_saved_and_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = asking(("Core/echo", {}))
    monkeypatch.setattr(run, "CORPUS", tmp_path)
    monkeypatch.setattr(run, "batch", lambda *_: (wrong, ["it says serverFail"]))
    assert run.main(["--seed", "3", "--seconds", "60"]) == 1
    (path,) = tmp_path.iterdir()
    assert json.loads(path.read_text()) == wrong
    told = capsys.readouterr().out
    assert told.count("it says serverFail") == run.FAILURES_MAX and str(path) in told
    assert run.main(["--seconds", "0"]) == 0


def test_a_mistake_of_ours_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def echo(*_: object) -> Any:
        raise KeyError("ours")

    monkeypatch.setitem(dict_of(METHODS), "Core/echo", Method(CORE, echo))
    logged, told = faults_of(asking(("Core/echo", {})))
    assert "KeyError: 'ours'" in logged and "serverFail" in told


def dict_of(table: Any) -> dict[str, Method]:
    """The table of methods, to put another in."""
    assert isinstance(table, dict)
    return table


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ({"list": [{"id": "e2"}, {"id": "e2"}], "notFound": ["e1"]}, "twice"),
        ({"list": [], "notFound": []}, "neither found nor not"),
        ({"list": [{"id": "e1"}], "notFound": ["e1"]}, "more than was asked for"),
    ],
)
def test_a_wrong_get_is_seen(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, Any], fault: str
) -> None:
    async def get(*_: object) -> Any:
        return told

    monkeypatch.setitem(dict_of(METHODS), "Email/get", Method(CORE, get))
    found = faults_of(asking(("Email/get", {"accountId": "a1", "ids": ["e1"]})))
    assert any(fault in one for one in found), found


def test_other_wrong_answers_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def put(*_: object) -> Any:
        odd = {"l": {"type": "ENOENT"}}
        return {"created": {"k": {"id": "e9"}}, "notCreated": odd, "destroyed": ["e1", "e1"]}

    monkeypatch.setitem(dict_of(METHODS), "Email/set", Method(CORE, put))
    found = faults_of(asking(("Email/set", {"accountId": "a1", "create": {"k": {}}})))
    assert len(found) == 4, found
    assert "part what was asked for" in found[0] and "ENOENT" in found[2]


def test_a_state_that_stays_though_objects_change_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    first = judge._at_first()
    stuck = {"state": first["a1", "Quota"].state, "list": [], "notFound": []}

    async def get(*_: object) -> Any:
        return stuck

    monkeypatch.setitem(dict_of(METHODS), "Quota/get", Method(CORE, get))
    found = faults_of(asking(("Core/echo", {})))
    assert any("kept its state" in one for one in found), found
    assert any("destroyed [] are not those that went" in one for one in found), found


def test_changes_that_tell_too_little_are_seen() -> None:
    before = Seen("1", {"e1": {"id": "e1", "a": 1}, "e2": {"id": "e2"}})
    now = Seen("2", {"e1": {"id": "e1", "a": 2}, "e3": {"id": "e3"}})
    right = {"newState": "2", "created": ["e3"], "updated": ["e1"], "destroyed": ["e2"]}
    assert list(states.faults_between(before, now, right)) == []
    for name in right:
        assert len(list(states.faults_between(before, now, {**right, name: []}))) == 1, name
    twice = {**right, "updated": ["e1", "e3"]}
    assert list(states.faults_between(before, now, twice)) == ["an id is in two lists"]
    stayed = list(states.faults_between(Seen("2", now.objects), now, {**right, "created": []}))
    assert stayed[0] == "changes are told of a state that stayed"


def test_a_slow_answer_and_a_large_one_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "REQUEST_CPU_S_MAX", 0.0)
    monkeypatch.setattr(judge, "ANSWER_OCTETS_MAX", 10)
    found = faults_of(asking(("Core/echo", {})))
    assert [" s of CPU" in found[0], "MiB" in found[1]] == [True, True]


def test_rows_that_no_longer_agree_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "audit_account", lambda *_: _steps())
    assert len(faults_of(asking(("Core/echo", {})))) == 3


def _steps() -> Any:
    yield
    return ["one is missing"]


@pytest.mark.parametrize(
    "document",
    [
        {"using": [], "methodCalls": [["Core/echo", {}, "c"]] * (LIMITS.calls_max + 1)},
        {"using": ["urn:nobody"], "methodCalls": []},
        {"using": [CORE], "methodCalls": [["Core/echo", {}]]},
    ],
)
def test_a_request_that_is_refused_whole_is_well(document: Any) -> None:
    assert faults_of(document) == []
