"""Many seeds over processes: failures, dead workers and unequal traces are all told."""

import io
from collections import Counter
from collections.abc import Callable

import pytest

from tests.simulation import crew, run
from tests.simulation.__main__ import main
from tests.simulation.crew import Campaign, Outcome, some_of
from tests.simulation.report import Job, Report
from tests.simulation.run import run_seed


def job(seed: str, tier: str = "a") -> Job:
    return Job(tier, seed, 1)


def report(seed: str, digest: str = "same") -> Report:
    return Report("a", seed, 1.0, 0.5, 10, digest, Counter(kill=2), Counter(reads=3))


def test_jobs_and_reports_travel_as_lines() -> None:
    asked = Job("b", "planted 1", 2.5, ("rows lost",))
    assert Job.of_line(asked.line()) == asked
    assert Report.of_line(report("x").line()) == report("x")
    assert asked.command == (
        "python -m tests.simulation --tier b --seed 'planted 1' --seconds 2.5 --always 'rows lost'"
    )


def test_workers_run_seeds_and_one_that_dies_is_a_failure() -> None:
    """A tier that nobody knows kills its worker; the next one goes on."""
    came: dict[str, Outcome] = {}
    jobs = [job("dead", tier="none"), job("one"), job("two")]
    crew.run_all(
        jobs,
        processes=1,
        hash_seed="7",
        on_outcome=lambda job, outcome: came.update({job.seed: outcome}),
    )
    assert "the process died (status 1)" in str(came["dead"])
    assert jobs[0].command in str(came["dead"])
    here = run_seed("one", 1)
    there = came["one"]
    assert isinstance(there, Report) and there.digest == here.digest
    assert isinstance(came["two"], Report)


def campaign(
    monkeypatch: pytest.MonkeyPatch,
    first: Callable[[Job], Outcome],
    again: Callable[[Job], Outcome],
) -> tuple[bool, str]:
    """Four seeds, two of them twice, answered by these."""

    def run_all(jobs: list[Job], *, hash_seed: str, on_outcome: object, **_: object) -> None:
        for one in jobs:
            answer = first if hash_seed == crew.FIRST else again
            on_outcome(one, answer(one))  # type: ignore[operator]

    monkeypatch.setattr(crew, "run_all", run_all)
    out = io.StringIO()
    went_well = Campaign(2, out).run([job(str(number)) for number in range(4)], again=2)
    return went_well, out.getvalue()


def test_a_campaign_adds_up_and_runs_some_seeds_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    def well(job: Job) -> Outcome:
        return report(job.seed)

    went_well, told = campaign(monkeypatch, well, well)
    assert went_well
    assert "tier a: 4 seeds passed, 40 events, 4 virtual seconds" in told
    assert "8  kill" in told and "12  reads" in told
    assert "4 seeds passed, 0 failures, 2 seeds run twice" in told


def test_a_failed_seed_and_another_trace_are_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    def first(job: Job) -> Outcome:
        return "34: nothing goes on" if job.seed == "1" else report(job.seed)

    went_well, told = campaign(monkeypatch, first, lambda job: report(job.seed, digest="other"))
    assert not went_well
    assert "FAILED 34: nothing goes on" in told
    assert "FAILED another trace in another process: python -m tests.simulation --seed 0" in told
    assert "3 seeds passed, 3 failures" in told


def test_seeds_that_run_twice_are_spread_over_both_tiers() -> None:
    jobs = [job(str(n), "b") for n in range(40)] + [job(str(n)) for n in range(500)]
    chosen = some_of(jobs, 20)
    assert Counter(one.tier for one in chosen) == {"a": 18, "b": 2}
    assert len(set(chosen)) == 20
    assert [one.seed for one in chosen[:4]] == ["0", "20", "0", "27"]
    assert some_of(jobs[:3], 20) == jobs[:3]


def test_a_failure_found_from_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "draw_config", lambda random: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["--seed", "1", "--seconds", "1"])
    monkeypatch.undo()
    monkeypatch.setattr(run, "HEAL_US_MAX", 0)
    assert main(["--seeds", "1", "--seconds", "1"]) == 1
    told = capsys.readouterr().out
    assert "FAILED tier a, seed 1" in told and "34: no write went through" in told
    assert "to see it again: python -m tests.simulation --seed 1 --seconds 1" in told
