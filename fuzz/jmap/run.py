"""`python -m fuzz jmap`: requests drawn from the schema of every method, for a bounded time.

Batches of examples, each from a seed of its own, so that a batch that failed is drawn again with
its seed alone. A request that is answered wrongly is made as small as it can be and saved in the
corpus, where the tests replay it for ever. Exit status 1 when there was one.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings

from fuzz.jmap.judge import faults_of
from fuzz.jmap.requests import requests

CORPUS: Final = Path(__file__).parents[1] / "corpus" / "calls"
EXAMPLES_A_BATCH: Final = 100
# A program that fails this often is broken: no more of the same is saved.
FAILURES_MAX: Final = 10


class AnsweredWrongly(AssertionError):
    """What is wrong; hypothesis makes the request smaller while something is."""


def batch(
    number: int, examples: int, *, judge: Callable[[Any], list[str]] = faults_of
) -> tuple[Any, list[str]] | None:
    """The smallest request of a batch that is answered wrongly, and how; None: all were well."""
    smallest: list[tuple[Any, list[str]]] = []

    @seed(number)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )
    @given(requests())
    def every_request(request: Any) -> None:
        faults = judge(request)
        if faults:
            smallest[:] = [(request, faults)]
            raise AnsweredWrongly

    try:
        every_request()
    except AnsweredWrongly:
        return smallest[0]
    return None


def save(request: Any) -> Path:
    """Into the corpus, under the name of its hash."""
    text = json.dumps(request, indent=1, ensure_ascii=True) + "\n"
    path = CORPUS / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def main(words: list[str] | None = None) -> int:
    """Exit status 1 when anything was answered wrongly."""
    parser = argparse.ArgumentParser(prog="trireme fuzz jmap", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=120.0)
    options = parser.parse_args(words)
    ends, batches, failures = time.monotonic() + options.seconds, 0, 0
    while time.monotonic() < ends and failures < FAILURES_MAX:
        found = batch(options.seed * 1_000_000 + batches, EXAMPLES_A_BATCH)
        batches += 1
        if found is not None:
            failures += 1
            request, faults = found
            print(f"jmap: answered wrongly: {save(request)}", *faults, sep="\n", flush=True)
    print(
        f"jmap: seed {options.seed}, {batches * EXAMPLES_A_BATCH} requests at most,"
        f" {failures} answered wrongly, {time.process_time():.0f} s of CPU",
        flush=True,
    )
    return 1 if failures else 0
