"""What an operator asks of the leader: change the membership, hand over leadership (trio).

Only the replica that leads can do either; asked of another it says no at once. Each waits until
it is done, within a time: an answer that does not come leaves the outcome open, as with writes.
"""

from collections.abc import Callable

import trio

from raft.core import Core
from raft.membership import Change, ChangeRefused
from raft.model import NOBODY, Index, Membership, ReplicaId
from raft.progress import Progress
from raft.state import Role

# How often a waiting caller looks whether it is done.
_LOOK_S = 0.015


class ChangeUnknown(Exception):
    """The change was begun; whether it stands is for whoever leads now to say."""


class Steering:
    """The helm of one replica, in its driver's task or beside it on the same loop."""

    def __init__(self, core: Core, now_ms: Callable[[], int], wake: Callable[[], None]) -> None:
        """`wake` makes the driver take a turn."""
        self._core = core
        self._now_ms = now_ms
        self._wake = wake

    @property
    def membership(self) -> Membership:
        """Who counts now, committed or not."""
        return self._core.state.membership

    @property
    def membership_index(self) -> Index:
        """The entry that brought it; 0 while the log holds none."""
        return self._core.state.configs.active_index

    @property
    def is_settled(self) -> bool:
        """No change is under way."""
        state = self._core.state
        return state.configs.active_index <= state.commit and not state.membership.is_joint

    @property
    def leads(self) -> bool:
        """This replica leads."""
        return self._core.state.role is Role.LEADER

    def refuse_payloads(self, refused: bool) -> None:
        """Append nothing for proposers while we lead, or go on; what a term needs still is."""
        self._core.state.refuses_payloads = refused

    def begin_change(self, change: Change) -> Index:
        """Begin it and return; raises ChangeRefused."""
        index = self._core.change_membership(change, self._now_ms())
        self._wake()
        return index

    async def change(self, change: Change, *, timeout_s: float) -> Membership:
        """Change the membership and wait until that has committed.

        Raises ChangeRefused (nothing happened) or ChangeUnknown.
        """
        index = self.begin_change(change)
        term = self._core.state.term
        with trio.move_on_after(timeout_s):
            await _until(lambda: self._is_over(index, term))
            return self.membership
        raise ChangeUnknown("no majority confirmed the change in time")

    def _is_over(self, index: Index, term: int) -> bool:
        state = self._core.state
        if self.is_settled and state.configs.active_index >= index:
            # Still the entry we appended, or what followed from it: only this leader's term, or
            # what is committed, can say so.
            if state.log.term(index) == term:
                return True
            raise ChangeUnknown("another leader's log took the place of the change")
        if state.role is not Role.LEADER and state.log.last < index:
            raise ChangeUnknown("leadership was lost before the change had committed")
        return False

    async def hand_over(self, target: ReplicaId, *, timeout_s: float) -> bool:
        """Hand leadership to a voter, NOBODY for the furthest; True when it leads.

        False when it did not work in time; then whoever leads goes on. Raises ChangeRefused.
        """
        if not self.leads:
            raise ChangeRefused("this replica does not lead")
        if target not in (NOBODY, *self.membership.voters):
            raise ChangeRefused("only a voter can lead")
        if target == self._core.state.replica:
            return True
        with trio.move_on_after(timeout_s):
            await _until(lambda: self._has_handed_over(target))
        return self._has_handed_over(target)

    async def step_down(self, *, timeout_s: float) -> bool:
        """Hand leadership to the furthest voter; True when we do not lead any more."""
        with trio.move_on_after(timeout_s):
            await _until(lambda: not self._others() or self._tried_to_leave(NOBODY))
        return not self.leads

    def _has_handed_over(self, target: ReplicaId) -> bool:
        if not self._tried_to_leave(target):
            return False
        leader = self._core.state.leader
        return leader != NOBODY if target == NOBODY else leader == target

    def _tried_to_leave(self, target: ReplicaId) -> bool:
        """Whether we do not lead any more; if we do, one more try is under way."""
        state = self._core.state
        if state.role is not Role.LEADER:
            return True
        others = self._others()
        if state.handover is None and others:
            best = max(others, key=lambda p: (p.match, p.heard_ms))
            self._core.hand_over(target or best.replica, self._now_ms())
            self._wake()
        return False

    def _others(self) -> list[Progress]:
        state = self._core.state
        return [p for p in state.progress.values() if p.replica in state.membership.voters]


async def _until(is_done: Callable[[], bool]) -> None:
    while True:
        if is_done():
            return
        await trio.sleep(_LOOK_S)
