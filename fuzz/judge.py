"""After healing: do all nodes agree, is nothing lost, and does every count stand?

Nothing here believes what nodes say of themselves alone: clients list all mailboxes at every
node, and once the nodes have stopped their rows and blobs are read from their disks.
"""

import itertools
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import trio

from fuzz.town import Town
from storage.accounts import list_accounts
from storage.dump import state_hash
from storage.mail.recount import recount
from storage.opening import State, open_state
from tests.simulation.mail.clients import Gone, Lmtp, Row
from tests.simulation.mail.history import Census, History, Listing, Place, Span, compare
from tests.simulation.mail.states import damaged_blobs, differences
from tests.simulation.mail.workload import ACCOUNTS, Client, holdings

# Generous, so that a busy machine is no violation; what is judged is that it comes true at all.
READY_S: Final = 240.0
SETTLE_S: Final = 180.0
WRITE_S: Final = 60.0
STOP_S: Final = 90.0
LOOK_S: Final = 0.2
# What a node says at the end when the fault is its own, and not its disk's.
BUG: Final = re.compile(
    r"^(?:[| +-]*)((?:Assertion|Attribute|Index|Key|Name|Type|UnboundLocal|Value|Recursion|"
    r"NotImplemented|ZeroDivision|Memory)Error\b.*)"
)


Holdings = dict[Place, tuple[int, tuple[Row, ...]]]


class Unhealed(Exception):
    """The cluster does not come back, which is a violation (34)."""


async def wait_ready(town: Town) -> None:
    """34: every node says that it has a leader and is caught up. Raises Unhealed."""
    with trio.move_on_after(READY_S) as scope:
        for name in town.names:
            while not await town.is_ready(name):
                if town.was_removed(name):
                    await trio.to_thread.run_sync(town.empty, name)
                town.start(name)
                await trio.sleep(LOOK_S)
    if scope.cancelled_caught:
        ready = {name: await town.is_ready(name) for name in town.names}
        raise Unhealed(f"34: not ready {READY_S:g} s after healing: {ready}")


async def settle(town: Town, history: History, client: Client) -> list[str]:
    """34, 12, 13: a write at each node; then all are voters, at one chain, and show the same."""
    for number, name in enumerate(town.names):
        await _write(town, client, name, f"healed-{number}")
    wrong = await _agreement(town)
    held = {}
    for name in town.names:
        span, held[name] = await _holdings(town, name)
        for place, (validity, rows) in held[name].items():
            history.listings.append(Listing(place, name, span, validity, rows))
        for account in sorted({account for account, _ in held[name]}):
            tokens = [r.token for (a, _), (_, rs) in held[name].items() if a == account for r in rs]
            history.censuses.append(Census(account, name, span, "", tuple(tokens)))
    return wrong + compare(held)


async def _write(town: Town, client: Client, name: str, token: str) -> None:
    with trio.move_on_after(WRITE_S):
        for attempt in itertools.count():
            try:
                door = Lmtp(await town.dial(name, "lmtp"))
                await door.greet()
                await client.deliver(door, sorted(ACCOUNTS)[0], f"{token}-{attempt}")
                await door.close()
                return
            except (Gone, OSError):
                await trio.sleep(LOOK_S)
    raise Unhealed(f"34: {name} takes no mail {WRITE_S:g} s after it was ready")


async def _holdings(town: Town, name: str) -> tuple[Span, Holdings]:
    """All that a node shows; a busy one may say that it cannot now, but not for ever."""
    with trio.move_on_after(SETTLE_S):
        while True:
            began = trio.current_time()
            try:
                held = await holdings(town, name)
            except (Gone, OSError):
                await trio.sleep(LOOK_S)
                continue
            return Span(began, trio.current_time()), held
    raise Unhealed(f"34: {name} shows no mail {SETTLE_S:g} s after it was ready")


async def _agreement(town: Town) -> list[str]:
    rows: list[dict[str, Any]] = []
    with trio.move_on_after(SETTLE_S):
        while True:
            rows = await trio.to_thread.run_sync(town.status)
            up = all(row["up"] and row["role"] in ("leader", "follower") for row in rows)
            seen = {(row["applied"], row["chain"]) for row in rows}
            if up and len(rows) == len(town.names) and len(seen) == 1:
                return []
            await trio.sleep(LOOK_S)
    return [f"12, 34: {SETTLE_S:g} s after healing nodes stay apart: {rows}"]


def stop_and_compare(town: Town) -> Iterator[str]:
    """12, 24-26: every row of every node, everything derived made anew, every blob. Blocks."""
    for name in town.names:
        town.terminate(name)
    for node in town.cluster.nodes:
        assert node.process is not None
        try:
            status = node.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            yield f"{node.name} does not stop {STOP_S:g} s after SIGTERM"
            return
        if status != 0:
            yield f"{node.name} ended with status {status}"
    with ExitStack() as stack:
        states = {}
        for name in town.names:
            states[name] = state = open_state(town.data(name))
            stack.callback(state.close)
        yield from _compare(states)
        for name, state in states.items():
            yield from _derived(name, state)


def _compare(states: dict[str, State]) -> Iterator[str]:
    first, *others = states
    hashes = {name: state_hash(state.engine) for name, state in states.items()}
    for other in others:
        if hashes[other] != hashes[first]:
            for difference in differences(states[first].engine, states[other].engine):
                yield f"12: rows of {first} and {other} differ at {difference}"


def _derived(name: str, state: State) -> Iterator[str]:
    if state.refused is not None:
        yield f"{name}: its rows were refused: {state.refused}"
    for account, _ in list_accounts(state.engine):
        yield from (f"24, 25: {name}: {wrong}" for wrong in recount(state.engine, account))
    yield from (f"26: {name}: {wrong}" for wrong in damaged_blobs(state.engine, state.blobs))


def bugs(town: Town) -> Iterator[str]:
    """Errors in the nodes' logs that no fault of the world explains."""
    for name in town.names:
        for line in town.log(name).read_text(errors="replace").splitlines():
            found = BUG.match(line)
            if found is not None:
                yield f"{name} says: {found[1][:300]}"
