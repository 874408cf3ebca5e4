"""This node's standing in the cluster (trio): it joins, is told of members, and is told to go.

Keeps the roster in step with the log's membership. A member that was removed is reached a little
longer, so that it learns of it; a node that finds itself removed stops, with a sentence.
"""

from functools import partial
from typing import Final

import trio

from node.config import Config
from node.env import RunBlocking
from node.foundation import Foundation
from node.joining import LeaderDesk, check_in, join, removed
from node.members import NOBODY, Card, Members, cards_of, founding_cards, places
from node.network import Address
from node.remembered import read_peers, write_peers
from node.roster import Roster
from node.rpc import HelloAnswer, Peers, Remote
from raft import Driver, Membership
from storage.engine import Rows

# A member that was removed is reached this long, to learn that it was.
FAREWELL_S: Final = 2.0
# How often we look whether the others are still where we remember them.
REMEMBER_S: Final = 10.0
# Who sees no leader asks this often whether it was removed while nobody could reach it.
ASK_AGAIN_S: Final = 10.0


class Belonging:
    """Who we are to the others, and they to us, by the log."""

    def __init__(
        self,
        foundation: Foundation,
        config: Config,
        driver: Driver,
        roster: Roster,
        peers: Peers,
        run_blocking: RunBlocking,
    ) -> None:
        self._base = foundation
        self._run_blocking = run_blocking
        self._remembered = read_peers(foundation.disk, foundation.directory)
        self._steering = driver.steering
        self._driver: Final = driver
        self._roster = roster
        self._peers = peers
        founding = {} if foundation.joined else founding_cards(config, foundation.replica_of)
        self.members: Final = Members(driver, founding, voters_wanted=config.voters_wanted)
        self.desk: Final = LeaderDesk(
            self.members, peers, lambda: driver.status().leader, foundation.replica
        )
        self._changed = trio.Event()

    def seeds(self) -> list[Address]:
        """Where others may be found: members, the file's nodes, whom we were told to ask, and
        where we met others before."""
        return [*self._roster.seeds(self._base.replica), *self._base.join, *self._remembered]

    def changed(self, membership: Membership, committed: bool) -> None:
        """The log has another membership; this is raft's `on_membership`."""
        self._roster.settle(places(cards_of(membership)))
        if committed:
            self._changed.set()

    def names(self) -> list[str]:
        """Every member's name, and ours."""
        return sorted({card.name for card in self.members.cards.values()} | {self._base.own.name})

    def hello(self, remote: Remote, rows: Rows, *, formed: bool) -> HelloAnswer:
        """What we know, for one who asks."""
        steering = self._steering
        says = steering.is_settled and steering.membership_index > 0
        return HelloAnswer(
            self._base.own.name,
            self._base.replica,
            self._base.registered(rows),
            formed,
            steering.membership.everyone if says else (),
            says and remote.replica in steering.membership.removed,
        )

    async def run(self) -> None:
        """Become a member, stop when we are none any more, let go of those who left.

        Raises IdentityError.
        """
        base = self._base
        async with trio.open_nursery() as nursery:
            if base.join:
                nursery.start_soon(self._join)
            elif not base.fresh:
                nursery.start_soon(check_in, self._peers, self.seeds(), str(base.directory))
            nursery.start_soon(self._remember)
            nursery.start_soon(self._ask_again)
            while True:
                await self._changed.wait()
                await trio.sleep(FAREWELL_S)
                self._changed = trio.Event()
                self._let_go()

    async def _remember(self) -> None:
        """Keep where the others are; while nobody is met, what was kept stays."""
        base = self._base
        while True:
            await trio.sleep(REMEMBER_S)
            met = self._roster.met(base.replica)
            if met and met != self._remembered:
                self._remembered = met
                await self._run_blocking(partial(write_peers, base.disk, base.directory, met))

    async def _ask_again(self) -> None:
        """A member that was cut off while it was removed had no farewell, and nobody heeds it."""
        while True:
            await trio.sleep(ASK_AGAIN_S)
            if self._driver.status().leader == NOBODY:
                await check_in(self._peers, self.seeds(), str(self._base.directory))

    async def _join(self) -> None:
        base, own = self._base, self._base.own
        await join(
            self._peers,
            self.seeds(),
            Card(own.name, own.host, own.peer, own.role),
            base.replica,
            is_member=lambda: base.replica in self._steering.membership.everyone,
            settle=self._roster.settle,
        )

    def _let_go(self) -> None:
        if not self._steering.is_settled:
            return  # the change that follows rings again
        gone = self._steering.membership.removed
        if self._base.replica in gone:
            raise removed(str(self._base.directory), "its log")
        for replica in self._roster.settled & gone:
            self._roster.dismiss(replica)
