"""`trireme verify` at the node that was asked: every node inspects itself, one looks at all (trio).

All nodes must digest their states at one index of the log, which goes on meanwhile. So an index is
named: what the furthest has applied, which is right when nothing happens, or else one so far
ahead that all hear of it before they come there.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec
import trio

from node import logs
from node.admin import AdminRefused
from node.comparison import Conclusion, conclude
from node.damage import DamageBell
from node.inspection import FAILED, INDEX_S, RUNNING, Inspector, Report
from node.machine import Machine
from node.rpc.calls import (
    Marks,
    MarksAnswer,
    Rebuild,
    VerifyAnswer,
    VerifyBegin,
    VerifyLook,
)
from node.rpc.errors import MALFORMED, CallRefused, RpcError
from node.rpc.peers import Peers

# Indexes tried, and how far ahead of the newest: the first is for a cluster at rest.
AHEAD: Final = (0, 0, 16, 64, 0, 256, 1_024, 4_096, 0)
BEGIN_S: Final = INDEX_S + 2.0
LOOK_S: Final = 0.3
ANSWER_S: Final = 3.0
# A node that is silent for this long while it verifies has ended, or found its rows damaged.
SILENT_S: Final = 10.0

log = logs.named("node.verify")


class Verify:
    """Coordinates one verification at a time."""

    def __init__(
        self,
        machine: Machine,
        peers: Peers,
        inspector: Inspector,
        bell: DamageBell,
        members: Callable[[], Mapping[str, int]],
        *,
        own: int,
    ) -> None:
        """`members` are the replicas of the cluster by name, ours too."""
        self._machine = machine
        self._peers = peers
        self._inspector = inspector
        self._bell = bell
        self._members = members
        self._own = own
        self._asked = trio.Event()
        self._repair = False
        self._reports: dict[str, Report | None] = {}
        self._conclusion: Conclusion | None = None
        self._busy = False
        self.last = ""
        """What the last verification that began here came to."""

    def calls(self) -> dict[str, Any]:
        """What an operator asks."""
        return {"verify.begin": self._begin, "verify.look": self._look}

    async def _begin(self, args: Mapping[str, Any]) -> Any:
        if self._busy:
            raise AdminRefused("a verification is under way: wait for its end and try again.")
        self._busy, self._repair = True, bool(args.get("repair"))
        self._reports, self._conclusion = dict.fromkeys(self._members()), None
        self._asked.set()
        return {"nodes": list(self._reports)}

    async def _look(self, args: Mapping[str, Any]) -> Any:
        conclusion = self._conclusion
        return {
            "done": conclusion is not None,
            "nodes": [
                {"name": name, "verified": report is not None} | _row(report)
                for name, report in self._reports.items()
            ],
            "differences": []
            if conclusion is None
            else msgspec.to_builtins(conclusion.differences),
            "rebuilding": conclusion.outvoted if conclusion is not None and self._repair else [],
        }

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            members = dict(self._members())
            begun = await self._begin_all(members)
            await self._look_until_done(members, begun)
            self._conclusion = conclude(self._reports)
            found = len(self._conclusion.differences)
            self.last = "clean" if not found else f"{found} differences"
            log.info("verified", nodes=",".join(members), result=self.last)
            self._busy = False
            if self._repair:
                await self._rebuild(members, self._conclusion.outvoted)

    async def _begin_all(self, members: Mapping[str, int]) -> set[str]:
        """Start an inspection on every node that is reached; their names."""
        for ahead in AHEAD:
            index = await self._furthest(members) + ahead
            refused: dict[str, str] = {}
            begun: set[str] = set()
            async with trio.open_nursery() as nursery:
                for name, replica in members.items():
                    nursery.start_soon(self._begin_one, name, replica, index, begun, refused)
            if not refused:
                return begun
            log.debug("no common index yet", index=index, refused=refused)
        for name, why in refused.items():
            self._reports[name] = Report(state=FAILED, error=f"no index in common, {why}")
        return begun

    async def _begin_one(
        self, name: str, replica: int, index: int, begun: set[str], refused: dict[str, str]
    ) -> None:
        try:
            if replica == self._own:
                await self._inspector.begin(index, repair=self._repair)
            else:
                call = VerifyBegin(index, self._repair)
                await self._peers.call(replica, call, timeout_s=BEGIN_S)
            begun.add(name)
        except CallRefused as error:
            refused[name] = str(error)
        except RpcError as error:
            log.warning("a node is not verified", node=name, reason=str(error))

    async def _furthest(self, members: Mapping[str, int]) -> int:
        indexes = [self._machine.applied_index]

        async def ask(replica: int) -> None:
            try:
                answer = await self._peers.call(replica, Marks(), timeout_s=ANSWER_S)
            except RpcError:
                return
            if isinstance(answer, MarksAnswer) and answer.marks:
                indexes.append(answer.marks[-1][0])

        async with trio.open_nursery() as nursery:
            for replica in members.values():
                if replica != self._own:
                    nursery.start_soon(ask, replica)
        return max(indexes)

    async def _look_until_done(self, members: Mapping[str, int], begun: set[str]) -> None:
        heard_s = dict.fromkeys(begun, trio.current_time())
        while begun:
            async with trio.open_nursery() as nursery:
                for name in begun:
                    nursery.start_soon(partial(self._look_at, name, members[name], heard_s))
            for name in sorted(begun):
                report = self._reports[name]
                if report is not None and report.state != RUNNING:
                    begun.discard(name)
                elif trio.current_time() - heard_s[name] > SILENT_S:
                    begun.discard(name)
                    error = "it fell silent: it ended, or rebuilds rows that it found damaged"
                    self._reports[name] = Report(state=FAILED, error=error)
            await trio.sleep(LOOK_S)

    async def _look_at(self, name: str, replica: int, heard_s: dict[str, float]) -> None:
        if replica == self._own:
            self._reports[name] = self._inspector.report
            heard_s[name] = trio.current_time()
            return
        try:
            answer = await self._peers.call(replica, VerifyLook(), timeout_s=ANSWER_S)
            if isinstance(answer, VerifyAnswer):
                self._reports[name] = msgspec.json.decode(answer.payload, type=Report)
                heard_s[name] = trio.current_time()
        except CallRefused as error:
            self._reports[name] = Report(state=FAILED, error=str(error))
        except (RpcError, *MALFORMED) as error:
            log.debug("no report", node=name, reason=str(error))

    async def _rebuild(self, members: Mapping[str, int], names: list[str]) -> None:
        """Those that are outvoted move their rows aside; ours last, for it ends this process."""
        reason = "a verification found that its rows differ from the other nodes'"
        for name in sorted(names, key=lambda name: members[name] == self._own):
            if members[name] == self._own:
                await trio.sleep(2 * LOOK_S)  # whoever asked looks once more
                self._bell.condemn(reason)
                return
            try:
                await self._peers.call(members[name], Rebuild(reason), timeout_s=ANSWER_S)
            except RpcError as error:
                log.warning("a node was not told to rebuild", node=name, reason=str(error))


def _row(report: Report | None) -> dict[str, Any]:
    """What is told of one node; its digests one by one are between nodes."""
    told: dict[str, Any] = msgspec.to_builtins(report or Report(state="not reached"))
    del told["account_digests"]
    return told
