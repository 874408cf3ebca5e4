"""`trireme fuzz cluster`: real nodes, real faults, mail clients at every door; then the judges.

    python -m fuzz cluster --seed 1 --seconds 120 [--nodes 5] [--only "power all,kill leader"]
    python -m fuzz cluster --replay failed.json
    python -m fuzz cluster --broken "ack before fsync"

Clients and actions follow from the seed; the timing is the machine's own. Afterwards all is
healed, and what clients saw is judged as in the simulation; all nodes must show the same messages
with the same UIDs and flags, be at the same chain of applied entries and, stopped, hold the same
rows, with every counter and index as a recount has it. Exit status 1 when anything was violated;
then the actions are written as they were done, and `--replay` does them again.
"""

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any, Final

import trio

from fuzz import broken, judge
from fuzz.actions import KINDS, Action, draw, left_out, possible
from fuzz.judge import Unhealed
from fuzz.means import Means, find_means
from fuzz.performer import Performer
from fuzz.record import Record, read, write
from fuzz.town import Town, town
from fuzz.watchers import Watchers
from tests.simulation.mail.clients import Gone
from tests.simulation.mail.history import History
from tests.simulation.mail.workload import Client, make_registers

CLIENTS: Final = 6
CLIENT_PAUSE_S: Final = 0.3
CLIENT_DOINGS_MAX: Final = 12
# Most actions wait until so many writes were answered after the one before, but only so long.
CALM_WRITES: Final = 5
CALM_S: Final = 30.0
# One for which there was no leader is tried again after so many others.
LATER: Final = 2
VIOLATIONS_SHOWN: Final = 20
LOG_LINES_SHOWN: Final = 40
ENDED_EARLY: Final = 130


class Fuzz:
    """One run against one town."""

    def __init__(self, made: Town, record: Record) -> None:
        self.town, self.record = made, record
        self.history = History()
        self.watchers = Watchers(self._client)
        self.performer: Performer | None = None
        self.wrong: list[str] = []

    async def main(self) -> None:
        """Start, trouble, heal, judge."""
        for name in self.town.names:
            self.town.start(name)
        await judge.wait_ready(self.town)
        await make_registers(self._client(0))
        await self._trouble()
        self.town.heal()
        await judge.wait_ready(self.town)
        self.wrong += await judge.settle(self.town, self.history, self._client(100))
        stopped = await trio.to_thread.run_sync(lambda: [*judge.stop_and_compare(self.town)])
        self.wrong += stopped

    def judge_history(self) -> None:
        """What clients were told, and what nodes said; also of a run that broke off."""
        self.wrong += self.history.wrong()
        self.wrong += judge.bugs(self.town)

    def _client(self, number: int) -> Client:
        chance = random.Random(f"{self.record.seed}/client/{number}")
        return Client(
            self.town,
            self.history,
            chance,
            CLIENT_PAUSE_S,
            number=number,
            doings_max=CLIENT_DOINGS_MAX,
        )

    async def _trouble(self) -> None:
        began = trio.current_time()
        async with trio.open_nursery() as nursery, trio.open_nursery() as mending:
            self.performer = performer = Performer(self.town, self.watchers, mending)
            nursery.start_soon(performer.keep_running)
            for number in range(1, CLIENTS + 1):
                nursery.start_soon(self._client(number).run)
            coming = deque(self.record.actions)
            while coming:
                action = coming.popleft()
                await trio.sleep(action["after_s"])
                if action["calm"]:
                    await self._calm()
                now_s = trio.current_time() - began
                if now_s > self.record.seconds:
                    break
                if not await performer.perform(action, now_s):
                    coming.insert(LATER, action)
            await trio.sleep_until(began + self.record.seconds)
            mending.cancel_scope.cancel()  # ends what still goes on: mending stands in `finally`
            nursery.cancel_scope.cancel()

    async def _calm(self) -> None:
        """Until clients have got something done since, if they do."""
        enough = self.history.acknowledged + CALM_WRITES
        with trio.move_on_after(CALM_S):
            while self.history.acknowledged < enough:
                await trio.sleep(0.1)

    def summary(self, began: float) -> dict[str, Any]:
        """Everything that was done, and what came of it."""
        performer = self.performer
        return {
            "seed": self.record.seed,
            "commit": self.record.commit,
            "broken": self.record.broken,
            "nodes": len(self.town.names),
            "seconds": round(time.monotonic() - began, 1),
            "faults": dict(sorted(performer.counts.items())) if performer is not None else {},
            "left out": left_out(self.town.means),
            "processes ended": {n: dict(c) for n, c in sorted(self.town.ended.items())},
            "clients": dict(sorted(self.history.counts.items())),
            "acknowledged": self.history.acknowledged,
            "unknown": self.history.unheard,
            "around frozen leaders": dict(sorted(self.watchers.counts.items())),
            "violations": self.wrong[:VIOLATIONS_SHOWN],
        }


def run(directory: Path, record: Record, means: Means) -> tuple[dict[str, Any], list[Action]]:
    """One run; what it saw, and the actions as they were done."""
    with town(directory, record.nodes, record.seed, means) as made:
        fuzz, began = Fuzz(made, record), time.monotonic()
        try:
            trio.run(fuzz.main)
        except (OSError, Gone, trio.TooSlowError, Unhealed) as error:
            fuzz.wrong.append(str(error) or type(error).__name__)
        fuzz.judge_history()
        summary = fuzz.summary(began)
        if fuzz.wrong:
            summary["logs"] = made.cluster.logs(LOG_LINES_SHOWN).splitlines()
        return summary, fuzz.performer.done if fuzz.performer is not None else []


def _options(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="trireme fuzz cluster",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--only", default="", help="kinds of faults, with commas between them")
    parser.add_argument("--replay", type=Path, help="do the actions of this file again")
    parser.add_argument("--record", type=Path, help="where to write the actions of a failure")
    parser.add_argument("--keep", type=Path, help="keep the nodes' logs in this directory")
    parser.add_argument("--broken", metavar="BUG", help="plant a bug that the run must see")
    parser.add_argument("--planted", help=argparse.SUPPRESS)  # this tree has this bug
    parser.add_argument("--commit", help=argparse.SUPPRESS)  # the one it was copied from
    options = parser.parse_args(words)
    unknown = set(filter(None, options.only.split(","))) - KINDS.keys()
    if unknown:
        parser.error(f"no such faults: {', '.join(unknown)}; there are {', '.join(KINDS)}")
    if options.nodes < 1 or options.seconds <= 0:
        parser.error("--nodes and --seconds must be greater than 0")
    if options.broken and options.broken not in broken.names():
        parser.error(f"no such bug; there are: {'; '.join(broken.names())}")
    return options


def words_again(options: argparse.Namespace) -> list[str]:
    """The options again, for the runner of another tree."""
    names = ("nodes", "seed", "seconds", "only", "replay", "record")
    given = {name: getattr(options, name) for name in names if getattr(options, name)}
    return [f"--{n}={v.resolve() if isinstance(v, Path) else v}" for n, v in given.items()]


def _record(options: argparse.Namespace, means: Means) -> Record:
    if options.replay is not None:
        return read(options.replay)
    kinds = possible(means)
    if options.only:
        kinds = [kind for kind in options.only.split(",") if kind in kinds]
    names = [f"n{number}" for number in range(1, options.nodes + 1)]
    actions = draw(options.seed, options.seconds, names, kinds) if kinds else []
    commit = options.commit or broken.commit()
    return Record(options.seed, commit, options.nodes, options.seconds, options.planted, actions)


def main(words: list[str] | None = None) -> int:
    """Exit status 1 when anything was violated, 2 when it cannot be done here."""
    # Ended by whatever signal, all is taken down: Trio and contexts know how after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    options, means = _options(words), find_means()
    record = _record(options, means)
    wanted = options.broken or record.broken
    if wanted is not None and wanted != options.planted:
        return broken.run(wanted, words_again(options))
    lacking = {action["do"] for action in record.actions} - set(possible(means))
    if lacking:
        print(f"this machine cannot do: {left_out(means)}", file=sys.stderr)
        return 2
    summary: dict[str, Any] | None = None
    done: list[Action] = []
    try:
        with tempfile.TemporaryDirectory(prefix="trireme-fuzz-") as directory:
            summary, done = run(Path(directory), record, means)
            if options.keep is not None:
                options.keep.mkdir(parents=True, exist_ok=True)
                for log in Path(directory).glob("*.log"):
                    shutil.copy(log, options.keep)
    except* KeyboardInterrupt:
        print("ended before its time; everything is taken down", file=sys.stderr)
    return ENDED_EARLY if summary is None else _tell(options, record, summary, done)


def _tell(
    options: argparse.Namespace, record: Record, summary: dict[str, Any], done: list[Action]
) -> int:
    print(json.dumps(summary, indent=1))
    path = options.record or Path(tempfile.gettempdir()) / f"trireme-fuzz-{record.seed}.json"
    if summary["violations"]:
        write(path, record, done)
        print(f"to do the same again: trireme fuzz cluster --replay {path}")
    if options.replay is not None:
        print("it failed again" if summary["violations"] else "it did not fail again this time")
    return 1 if summary["violations"] else 0
