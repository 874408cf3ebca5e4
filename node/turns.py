"""Whose turn it is to change an account that several nodes write to at once. No I/O.

Each node plans on what it has applied, so of several that plan on one state the first in the log
wins, and that is mostly the node nearest to the leader. Every node sees the conflicts of all
others in the log, though: whoever met one stands in line, in the order of the log, and the others
let it go first. So a command meets about as many conflicts as there are nodes, never more and
more.

The line is courtesy, not safety: expectations guard the rows. A node that does not take its turn
within TURN_S loses it, so one that died holds nobody up for long.
"""

from collections.abc import Sequence
from typing import Final

from protocols.ports import Clock
from storage.apply import Applied, Outcome
from storage.ids import AccountId

TURN_S: Final = 0.25


class _Line:
    """Replicas that met a conflict on one account, and since when the first has had its turn."""

    __slots__ = ("replicas", "since_s")

    def __init__(self, since_s: float) -> None:
        self.replicas: dict[int, None] = {}
        self.since_s = since_s


class Turns:
    """The lines of all accounts that are contended now."""

    def __init__(self, replica: int, clock: Clock) -> None:
        """For the proposer of this replica."""
        self._replica = replica
        self._clock = clock
        self._lines: dict[AccountId, _Line] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def is_ours(self, account: AccountId) -> bool:
        """Whether we may plan: nobody waits in line, or we are first."""
        line = self._lines.get(account)
        return line is None or next(iter(line.replicas)) == self._replica

    def note(self, results: Sequence[Applied]) -> list[AccountId]:
        """Learn from what was applied; returns the accounts whose turn has passed on."""
        moved = []
        for result in results:
            if result.pid is None:
                continue
            if result.outcome is Outcome.CONFLICT:
                for account in result.contended:
                    self._join(account, result.pid.replica)
            elif self._lines:
                for announce in result.announces:
                    if self._leave(announce.account, result.pid.replica):
                        moved.append(announce.account)
        return moved

    def expire(self) -> list[AccountId]:
        """Take the turn from whoever has not used it; returns the accounts this concerns."""
        old_s = self._clock.monotonic_s() - TURN_S
        late = [account for account, line in self._lines.items() if line.since_s <= old_s]
        for account in late:
            self._leave(account, next(iter(self._lines[account].replicas)))
        return late

    def _join(self, account: AccountId, replica: int) -> None:
        line = self._lines.get(account)
        if line is None:
            line = self._lines[account] = _Line(self._clock.monotonic_s())
        line.replicas.setdefault(replica)

    def _leave(self, account: AccountId, replica: int) -> bool:
        line = self._lines.get(account)
        if line is None or replica not in line.replicas:
            return False
        del line.replicas[replica]
        line.since_s = self._clock.monotonic_s()
        if not line.replicas:
            del self._lines[account]
        return True
