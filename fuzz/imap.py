"""`trireme fuzz imap`: many random clients on one mailbox of a real cluster whose nodes are killed.

    python -m fuzz imap --seed 1 --seconds 120 [--clients 20] [--nodes 3] [--kill-every-s 20]

Every client counts and remembers by the rules of the RFCs (fuzz/imap_view.py) and stops the run
at the first response that breaks one; what any of them was promised is in fuzz/imap_ledger.py.
After healing all views must be what the nodes show, the nodes must show the same, and their rows
and blobs must be alike. Exit status 1 when anything was violated; then the last lines of whoever
saw it are in the summary and in a file.
"""

import argparse
import json
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import trio

from fuzz import judge
from fuzz.imap_acts import Busy
from fuzz.imap_client import MAILBOX, Client
from fuzz.imap_ledger import Held, Ledger
from fuzz.imap_line import Cut, Line, World
from fuzz.imap_view import Violation
from fuzz.judge import Unhealed
from fuzz.means import Means
from fuzz.town import Town, town
from tests.simulation.mail.workload import ACCOUNTS

LOGS_LINES: Final = 40
VIOLATIONS_SHOWN: Final = 20
# A killed node is away for so long.
AWAY_S: Final = (1.0, 8.0)
# Commands whose clients are gone may still be in the consensus; until listings stay the same.
QUIET_S: Final = 2.0
QUIET_TRIES: Final = 30
LISTING: Final = "UID FETCH 1:* (UID FLAGS MODSEQ BODY.PEEK[HEADER.FIELDS (X-Token)])"
_HELD: Final = re.compile(rb"UID ([0-9]+)")
_FLAGS: Final = re.compile(rb"FLAGS \(([^)]*)\)")
_MODSEQ: Final = re.compile(rb"MODSEQ \(([0-9]+)\)")
_TOKEN: Final = re.compile(rb"(?i)X-Token: (\S+)")


@dataclass
class Streets:
    """A town as clients see it. Implements World."""

    town: Town
    died: Counter[str] = field(default_factory=Counter)
    dying: str = ""
    user: str = "alice@example.org"
    password: str = ACCOUNTS["alice@example.org"]

    @property
    def names(self) -> Sequence[str]:
        """All nodes."""
        return self.town.names

    async def dial(self, name: str) -> trio.abc.Stream:
        """A connection to a node's IMAP door."""
        return await self.town.dial(name, "imap")

    def deaths(self, name: str) -> int:
        """How often the node was killed so far."""
        return self.died[name]

    def is_dying(self, name: str) -> bool:
        """It is being killed just now."""
        return name == self.dying

    async def kill(self, name: str) -> None:
        """End a node, at whatever it is; who connects meanwhile is cut off too."""
        self.dying = name
        await trio.to_thread.run_sync(self.town.signal, name, signal.SIGKILL)
        self.died[name] += 1
        self.dying = ""


@dataclass
class Stress:
    """The clients of one run, and what they found."""

    world: World
    clients: list[Busy]
    ledger: Ledger
    wrong: list[str] = field(default_factory=list)
    dialogues: dict[str, list[str]] = field(default_factory=dict)
    over: bool = False

    @classmethod
    def gather(cls, world: World, count: int, seed: int) -> "Stress":
        """So many clients, whom nobody has let in yet."""
        ledger = Ledger()
        return cls(world, [Busy(world, ledger, n, seed) for n in range(count)], ledger)

    async def run_one(self, client: Busy) -> None:
        """One client to the end of the run, or to the first thing that is wrong."""
        try:
            await client.run(lambda: self.over)
        except Violation as error:
            self.blame(client, str(error))

    def blame(self, client: Client, what: str) -> None:
        """Something is wrong: the run is over."""
        self.over = True
        self.wrong.append(f"client {client.number} ({client.kind}): {what}")
        if client.line is not None:
            self.dialogues[str(client.number)] = list(client.line.dialogue)

    async def judge(self) -> None:
        """All is healed: is everything as everybody was told?"""
        listings = await self._listings()
        first, *others = listings.items()
        for name, held in others:
            if held != first[1]:
                self.wrong.append(f"{first[0]} and {name} differ: {_difference(first[1], held)}")
        self.wrong += self.ledger.judge(first[1])
        for client in self.clients:
            try:
                await client.settle()
            except Violation as error:
                self.blame(client, str(error))
                continue
            for difference in differences(client, first[1]):
                self.blame(client, difference)

    async def _listings(self) -> dict[str, list[Held]]:
        """What every node shows, once it stays the same."""
        before: dict[str, list[Held]] = {}
        for _ in range(QUIET_TRIES):
            shown = {name: await listing(self.world, name) for name in self.world.names}
            if shown == before:
                break
            before = shown
            await trio.sleep(QUIET_S)
        return before

    def counts(self) -> dict[str, int]:
        """What clients did, together."""
        total: Counter[str] = Counter()
        for client in self.clients:
            total.update(client.counts)
        return dict(sorted(total.items()))


def differences(client: Client, held: list[Held]) -> list[str]:
    """Where a client's view is not what there is."""
    messages = client.view.messages
    if len(messages) != len(held):
        return [f"counts {len(messages)} messages, and there are {len(held)}"]
    wrong = []
    for at, (message, one) in enumerate(zip(messages, held, strict=True), 1):
        if message.uid not in (None, one.uid):
            wrong.append(f"message {at} is UID {one.uid}, not {message.uid}")
        if message.flags not in (None, one.flags):
            wrong.append(
                f"UID {one.uid} has {sorted(one.flags)}, not {sorted(message.flags or ())}"
            )
        if client.modseqs and message.flags is not None and message.modseq != one.modseq:
            wrong.append(f"UID {one.uid} has MODSEQ {one.modseq}, not {message.modseq}")
    return wrong[:3]


def _difference(one: list[Held], other: list[Held]) -> str:
    return next((f"{a} and {b}" for a, b in zip(one, other, strict=False) if a != b), "in number")


async def listing(world: World, name: str) -> list[Held]:
    """Everything in the mailbox, as one node shows it to a new client."""
    login = f"LOGIN {world.user} {world.password}"
    while True:
        try:
            line = await Line.dial(world, name)
            await line.response()
            held: list[Held] = []
            for words in (login, f"EXAMINE {MAILBOX}", LISTING, "LOGOUT"):
                await line.send(b"z " + words.encode() + b"\r\n")
                while not (said := await line.response())[0].startswith(b"z "):
                    if b" FETCH (" in said[0] and said[1]:
                        held.append(_held(*said))
                if not said[0].startswith(b"z OK"):
                    raise Cut(said[0].decode())
            await line.close()
        except Cut:
            await trio.sleep(1)
            continue
        return held


def _held(text: bytes, literals: list[bytes]) -> Held:
    uid, flags, modseq = _HELD.search(text), _FLAGS.search(text), _MODSEQ.search(text)
    token = _TOKEN.search(literals[0])
    assert uid and flags and modseq, text
    return Held(
        int(uid[1]),
        frozenset(flags[1].lower().split()),
        int(modseq[1]),
        token[1].decode() if token else "",
    )


async def _trouble(stress: Stress, streets: Streets, options: argparse.Namespace) -> None:
    """Clients, and a node killed every so often."""
    chance = random.Random(f"{options.seed}/imap/kills")
    ends = trio.current_time() + options.seconds
    async with trio.open_nursery() as nursery:
        for client in stress.clients:
            nursery.start_soon(stress.run_one, client)
        while not stress.over and trio.current_time() < ends:
            with trio.move_on_at(min(ends, trio.current_time() + options.kill_every_s)):
                while not stress.over:
                    await trio.sleep(0.2)
            if stress.over or trio.current_time() >= ends:
                break
            name = chance.choice(streets.names)
            await streets.kill(name)
            await trio.sleep(chance.uniform(*AWAY_S))
            streets.town.start(name)
            while not stress.over and trio.current_time() < ends:
                # The others keep their majority: on a busy machine a start takes its time.
                if await streets.town.is_ready(name):
                    break
                await trio.sleep(judge.LOOK_S)
        stress.over = True


async def _run(stress: Stress, streets: Streets, options: argparse.Namespace) -> None:
    for name in streets.names:
        streets.town.start(name)
    await judge.wait_ready(streets.town)
    await _trouble(stress, streets, options)
    await judge.wait_ready(streets.town)
    if not stress.wrong:
        await stress.judge()
    for client in stress.clients:
        await client.hang_up()


def run(directory: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One run; what came of it."""
    began = time.monotonic()
    means = Means(isolated=False, strace=False, faketime=None)
    with town(directory, options.nodes, options.seed, means) as made:
        streets = Streets(made)
        stress = Stress.gather(streets, options.clients, options.seed)
        try:
            trio.run(_run, stress, streets, options)
            stress.wrong += judge.stop_and_compare(made)
        except Unhealed as error:
            stress.wrong.append(str(error))
        wrong = [*stress.wrong, *judge.bugs(made)]
        summary: dict[str, Any] = {
            "seed": options.seed,
            "nodes": options.nodes,
            "seconds": round(time.monotonic() - began, 1),
            "killed": dict(sorted(streets.died.items())),
            "commands": stress.counts(),
            "messages given UIDs": len(stress.ledger.added),
            "violations": wrong[:VIOLATIONS_SHOWN],
        }
        if wrong:
            summary["dialogues"] = stress.dialogues
            summary["logs"] = made.cluster.logs(LOGS_LINES).splitlines()
        return summary


def main(words: list[str] | None = None) -> int:
    """Exit status 1 when anything was violated."""
    parser = argparse.ArgumentParser(
        prog="trireme fuzz imap",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--kill-every-s", type=float, default=20.0)
    parser.add_argument("--record", type=Path, help="where to write what was wrong")
    options = parser.parse_args(words)
    if min(options.nodes, options.clients, options.seconds, options.kill_every_s) <= 0:
        parser.error("all numbers must be greater than 0")
    with tempfile.TemporaryDirectory(prefix="trireme-imap-") as directory:
        summary = run(Path(directory), options)
    print(json.dumps(summary, indent=1))
    if not summary["violations"]:
        return 0
    path = options.record or Path(tempfile.gettempdir()) / f"trireme-imap-{options.seed}.json"
    path.write_text(json.dumps(summary, indent=1))
    print(f"kept in {path}", file=sys.stderr)
    return 1
