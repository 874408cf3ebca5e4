"""Clients that stand where it matters at the moment of a fault.

Readers at a leader that is about to be frozen: what does it say when it wakes? They are logged in
before it stops. While it stands still, and the others elect another leader and write, each sends
it a read; the answers come when it goes on, if any come. Then they read in a row.

Writers at nodes with fast disks while a majority's are slow: the power goes right after one of
them was told that its message is safe.

What they ask and hear is part of the history like everything else, and judged with it.
"""

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Final

import trio

from tests.simulation.mail.clients import Gone, Jmap
from tests.simulation.mail.workload import ACCOUNTS, ANSWER_S, REGISTERS, Client

READERS: Final = 4
# Reading goes on so long after the leader was woken.
AFTER_S: Final = 2.0
LOGIN_S: Final = 5.0
WRITERS_EACH: Final = 2
PAUSE_S: Final = 0.1


class Watchers:
    """Counts the reads around frozen leaders, by what became of them."""

    def __init__(self, client: Callable[[int], Client]) -> None:
        self._client = client
        self._number = 1000
        self.counts: Counter[str] = Counter()

    async def around(
        self, node: str, for_s: float, freeze: Callable[[], None], thaw: Callable[[], None]
    ) -> None:
        """Freeze and thaw a node with readers at it."""
        gate, woken = trio.Event(), trio.Event()
        async with trio.open_nursery() as nursery:
            ready = [trio.Event() for _ in range(READERS)]
            for number, event in enumerate(ready):
                ask_after_s = for_s * (number + 1) / (READERS + 1)
                nursery.start_soon(self._read, node, ask_after_s, event, gate, woken)
            for event in ready:
                await event.wait()
            freeze()
            gate.set()
            try:
                await trio.sleep(for_s)
            finally:
                thaw()
                woken.set()
        self.counts["leaders frozen"] += 1

    async def write_until_heard(self, nodes: list[str], at_least_s: float) -> None:
        """Deliver at these nodes; returns at the first answer after so many seconds."""
        heard = trio.Event()
        async with trio.open_nursery() as nursery:
            for node in nodes * WRITERS_EACH:
                nursery.start_soon(self._write, node, trio.current_time() + at_least_s, heard)
            await heard.wait()
            nursery.cancel_scope.cancel()

    async def _write(self, node: str, armed_at: float, heard: trio.Event) -> None:
        self._number += 1
        client, account = self._client(self._number), min(ACCOUNTS)
        for number in itertools.count():
            try:
                with trio.fail_after(ANSWER_S):
                    async with client.talk(node, "lmtp", account, "") as door:
                        await client.deliver(door, account, f"w{client.number}-{number}")
            except (Gone, OSError, trio.TooSlowError):
                await trio.sleep(PAUSE_S)
                continue
            if trio.current_time() > armed_at:
                heard.set()

    async def _read(
        self, node: str, ask_after_s: float, ready: trio.Event, gate: trio.Event, woken: trio.Event
    ) -> None:
        self._number += 1
        client = self._client(self._number)
        try:
            with trio.move_on_after(LOGIN_S) as login:
                async with client.talk(node, "http", *REGISTERS) as door:
                    login.deadline = float("inf")
                    ready.set()
                    await gate.wait()
                    await trio.sleep(ask_after_s)
                    self.counts["reads asked while frozen"] += 1
                    await self._one(client, door, woken)
                    with trio.move_on_after(AFTER_S):
                        while True:
                            await self._one(client, door, woken)
        except (Gone, OSError) as error:
            self.counts[f"conversations refused: {_short(error)}"] += 1
        finally:
            ready.set()

    async def _one(self, client: Client, door: Jmap, woken: trio.Event) -> None:
        asked = "after waking" if woken.is_set() else "while frozen"
        await client.read_registers(door)
        self.counts[f"reads answered, asked {asked}"] += 1


def _short(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:40]
