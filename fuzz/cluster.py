"""`make chaos`: real nodes, real faults, mail clients at every door; then the judges.

    python -m fuzz.cluster --nodes 5 --seed 1 --seconds 120
    python -m fuzz.cluster --replay failed.json

Clients and actions follow from the seed; the timing is the machine's own. Afterwards all is
healed, and what clients saw is judged as in the simulation; all nodes must show the same messages
with the same UIDs and flags, be at the same chain of applied entries and, stopped, hold the same
rows, with every counter and index as a recount has it. On a failure the actions are written as
they were done; `--replay` does them again at the same times.
"""

import argparse
import json
import random
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import trio

from fuzz.actions import Action, Performer, draw
from fuzz.town import Town, can_isolate, town
from storage.accounts import list_accounts
from storage.dump import state_hash
from storage.mail.recount import recount
from storage.opening import open_state
from tests.simulation.mail.clients import Gone, Lmtp
from tests.simulation.mail.history import History, Listing, Span, compare
from tests.simulation.mail.workload import ACCOUNTS, Client, holdings, make_registers

CLIENTS: Final = 6
CLIENT_PAUSE_S: Final = 0.4
READY_S: Final = 90.0
SETTLE_S: Final = 60.0
STOP_S: Final = 30.0


class Fuzz:
    """One run against one town."""

    def __init__(self, made: Town, seed: int, seconds: float, actions: list[Action]) -> None:
        self.town, self.seed, self.seconds, self.actions = made, seed, seconds, actions
        self.history = History()
        self.done: list[Action] = []
        self.wrong: list[str] = []

    async def main(self) -> None:
        """Start, trouble, heal, judge."""
        for name in self.town.names:
            self.town.start(name)
        await self._all_ready()
        await make_registers(self._client(0))
        await self._trouble()
        await self._all_ready()
        await self._settle()
        await trio.to_thread.run_sync(self._stop_and_compare_rows)
        self.wrong += self.history.wrong()

    def _client(self, number: int) -> Client:
        chance = random.Random(f"{self.seed}/client/{number}")
        return Client(self.town, self.history, chance, CLIENT_PAUSE_S, number=number)

    async def _trouble(self) -> None:
        began = trio.current_time()
        async with trio.open_nursery() as nursery, trio.open_nursery() as mending:
            performer = Performer(self.town, mending)
            self.done = performer.done
            nursery.start_soon(self._keep_running, performer)
            for number in range(1, CLIENTS + 1):
                nursery.start_soon(self._client(number).run)
            for action in self.actions:
                await trio.sleep_until(began + action["at_s"])
                await performer.perform(action)
            await trio.sleep_until(began + self.seconds)
            mending.cancel_scope.cancel()  # ends what still goes on: mending stands in `finally`
            nursery.cancel_scope.cancel()

    async def _keep_running(self, performer: Performer) -> None:
        """Start again whoever ended and is not meant to be down: a full disk ends a node too."""
        while True:
            for name in self.town.names:
                if name not in performer.down:
                    self.town.start(name)
            await trio.sleep(0.2)

    async def _all_ready(self) -> None:
        deadline = trio.current_time() + READY_S
        for name in self.town.names:
            while not await self.town.is_ready(name):
                self.town.start(name)
                if trio.current_time() > deadline:
                    raise TimeoutError(f"34: {name} is not ready {READY_S:g} s after healing")
                await trio.sleep(0.1)

    async def _settle(self) -> None:
        """34, 12: a write at each node, then equal listings and equal chains everywhere."""
        for number, name in enumerate(self.town.names):
            client, door = self._client(100 + number), Lmtp(await self.town.dial(name, "lmtp"))
            with trio.fail_after(SETTLE_S):
                await door.greet()
                await client.deliver(door, sorted(ACCOUNTS)[0], f"healed-{number}")
            await door.close()
        deadline = trio.current_time() + SETTLE_S
        while True:
            rows = await trio.to_thread.run_sync(self.town.status)
            seen = {(row["applied"], row["chain"]) for row in rows}
            if rows and len(seen) == 1 and all(row["up"] for row in rows):
                break
            if trio.current_time() > deadline:
                self.wrong.append(f"12: nodes stay apart: {rows}")
                break
            await trio.sleep(0.2)
        held = {}
        for name in self.town.names:
            began = trio.current_time()
            held[name] = await holdings(self.town, name)
            span = Span(began, trio.current_time())
            for place, (validity, rows_) in held[name].items():
                self.history.listings.append(Listing(place, name, span, validity, rows_))
        self.wrong += compare(held)

    def _stop_and_compare_rows(self) -> None:
        """12, 24, 25: every row of every node, and everything derived made anew."""
        for name in self.town.names:
            self.town.signal(name, signal.SIGTERM)
        hashes = {}
        for node in self.town.cluster.nodes:
            assert node.process is not None
            if node.process.wait(STOP_S) != 0:
                self.wrong.append(f"{node.name} ended with status {node.process.returncode}")
        for name in self.town.names:
            state = open_state(self.town.data(name))
            try:
                if state.refused is not None:
                    self.wrong.append(f"{name}: its rows were refused: {state.refused}")
                hashes[name] = state_hash(state.engine).hex()
                for account, _ in list_accounts(state.engine):
                    self.wrong += [f"24: {name}: {w}" for w in recount(state.engine, account)]
            finally:
                state.close()
        if len(set(hashes.values())) != 1:
            self.wrong.append(f"12: rows differ: {hashes}")


def run(
    directory: Path, nodes: int, seed: int, seconds: float, actions: list[Action] | None
) -> tuple[dict[str, Any], list[Action]]:
    """One run; what it saw, and the actions as they were done."""
    isolated = can_isolate()
    with town(directory, nodes, seed, isolated=isolated) as made:
        if actions is None:
            actions = draw(seed, seconds, made.names, isolated=isolated)
        fuzz = Fuzz(made, seed, seconds, actions)
        began = time.monotonic()
        try:
            trio.run(fuzz.main)
        except (OSError, Gone, trio.TooSlowError) as error:
            fuzz.wrong.append(f"{type(error).__name__}: {error}")
        summary = {
            "seed": seed,
            "nodes": nodes,
            "seconds": round(time.monotonic() - began, 1),
            "isolated": isolated,
            "actions": dict(Counter(action["do"] for action in fuzz.done)),
            "clients": dict(fuzz.history.counts),
            "acknowledged": fuzz.history.acknowledged,
            "violations": fuzz.wrong[:20],
        }
        if fuzz.wrong:
            summary["logs"] = made.cluster.logs(40).splitlines()
        return summary, fuzz.done


def main() -> int:
    """Exit status 1 when anything was violated."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.cluster", description=__doc__)
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--replay", type=Path, help="do the actions of this file again")
    parser.add_argument("--record", type=Path, help="where to write the actions of a failure")
    options = parser.parse_args()
    nodes, seed, seconds, actions = options.nodes, options.seed, options.seconds, None
    if options.replay is not None:
        held = json.loads(options.replay.read_text())
        nodes, seed, seconds, actions = (
            held[key] for key in ("nodes", "seed", "seconds", "actions")
        )
    with tempfile.TemporaryDirectory(prefix="trireme-fuzz-") as directory:
        summary, done = run(Path(directory), nodes, seed, seconds, actions)
    print(json.dumps(summary, indent=1))
    if not summary["violations"]:
        return 0
    path = options.record or Path(tempfile.gettempdir()) / f"trireme-fuzz-{seed}.json"
    record = {"nodes": nodes, "seed": seed, "seconds": seconds, "actions": done}
    path.write_text(json.dumps(record, indent=1))
    print(f"to do the same again: python -m fuzz.cluster --replay {path}")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
