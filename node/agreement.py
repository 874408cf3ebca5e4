"""Whether this node's state is the others': chain hashes compared at equal indexes (trio).

Every AGREE_S each node asks the others for the hashes they had on the way (storage.apply marks).
`judge` decides, and no leader's word counts more than another's: who differs from a majority of the
voters is wrong and has its rows rebuilt; if all voters have spoken and none has a majority, nobody
can be right, and every node stops and says so. Unheard voters may still decide.

The calls measure the round trip to each peer besides.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import Final

import trio

from node import logs
from node.damage import DamageBell
from node.machine import Machine
from node.rpc.calls import Marks, MarksAnswer
from node.rpc.errors import RpcError
from node.rpc.peers import Peers
from raft import Membership

AGREE_S: Final = 5.0
ANSWER_S: Final = 2.0
# Each new round trip counts for so much of the smoothed one (as RFC 6298 2.3).
RTT_SHARE: Final = 1 / 8

log = logs.named("node.agreement")

Told = Mapping[int, bytes]
"""The chain hash by index."""


class NoAgreement(Exception):
    """The voters hold different states and none has a majority; the text is for an operator."""


class Verdict(Enum):
    """What the hashes say of us."""

    AGREE = "agree"
    OPEN = "open"
    """Some differ, and those who would decide were not heard."""
    OTHERS_DIFFER = "others differ"
    WE_DIFFER = "we differ"
    TIE = "tie"


def judge(own: int, told: Mapping[int, Told], voters: frozenset[int]) -> tuple[Verdict, int]:
    """The verdict on `own`, and the first index at which anybody differs; 0: nobody does."""
    for index in sorted(told[own]):
        at = {replica: hashes[index] for replica, hashes in told.items() if index in hashes}
        if len(set(at.values())) < 2:
            continue
        counts = Counter(chain for replica, chain in at.items() if replica in voters)
        chain, count = counts.most_common(1)[0] if counts else (b"", 0)
        if 2 * count > len(voters):
            verdict = Verdict.OTHERS_DIFFER if at[own] == chain else Verdict.WE_DIFFER
        else:
            verdict = Verdict.TIE if voters <= at.keys() else Verdict.OPEN
        return verdict, index
    return Verdict.AGREE, 0


class Agreement:
    """Compares, and acts on what it finds."""

    def __init__(
        self,
        machine: Machine,
        peers: Peers,
        bell: DamageBell,
        members: Callable[[], Membership],
        name: Callable[[int], str],
        *,
        own: int,
    ) -> None:
        """`name` is what an operator calls a replica."""
        self._machine = machine
        self._peers = peers
        self._bell = bell
        self._members = members
        self._name = name
        self._own = own
        self._rtt_ms: dict[int, float] = {}
        self.verdict = Verdict.AGREE

    async def run(self) -> None:
        """Until cancelled. Raises NoAgreement."""
        while True:
            await self._compare()
            await trio.sleep(AGREE_S)

    def marks(self) -> MarksAnswer:
        """Ours."""
        applier = self._machine.state.applier
        return MarksAnswer((*applier.marks, (applier.index, applier.chain)))

    @property
    def rtt_ms(self) -> dict[str, float]:
        """The smoothed round trip to each peer that was heard, by name."""
        return {self._name(replica): round(ms, 2) for replica, ms in self._rtt_ms.items()}

    async def _compare(self) -> None:
        members = self._members()
        told: dict[int, Told] = {}
        async with trio.open_nursery() as nursery:
            for replica in members.everyone:
                if replica != self._own:
                    nursery.start_soon(partial(self._ask, replica, told))
        told[self._own] = dict(self.marks().marks)
        self.verdict, index = judge(self._own, told, members.voters)
        if self.verdict is Verdict.AGREE:
            return
        names = self._sides(told, index)
        log.error("nodes hold different states", at=index, sides=names, verdict=self.verdict.value)
        if self.verdict is Verdict.WE_DIFFER:
            self._bell.condemn(f"its state differs from the other nodes' at entry {index}")
        elif self.verdict is Verdict.TIE:
            raise NoAgreement(
                f"the nodes hold different states at entry {index} and none has a majority "
                f"({names}): keep their data directories, and start the ones that are right."
            )

    async def _ask(self, replica: int, told: dict[int, Told]) -> None:
        if not self._peers.is_up(replica):
            self._rtt_ms.pop(replica, None)
            return
        began_s = trio.current_time()
        try:
            answer = await self._peers.call(replica, Marks(), timeout_s=ANSWER_S)
        except RpcError:
            return  # silent now; the next round asks again
        if isinstance(answer, MarksAnswer):
            told[replica] = dict(answer.marks)
            took_ms = (trio.current_time() - began_s) * 1000
            before_ms = self._rtt_ms.get(replica, took_ms)
            self._rtt_ms[replica] = before_ms + (took_ms - before_ms) * RTT_SHARE

    def _sides(self, told: Mapping[int, Told], index: int) -> str:
        sides: dict[bytes, list[str]] = {}
        for replica in sorted(told):
            if index in told[replica]:
                sides.setdefault(told[replica][index], []).append(self._name(replica))
        groups: Sequence[str] = ["+".join(names) for names in sides.values()]
        return " against ".join(groups)
