"""Nodes with damaged logs ask each other before they start; answers survive the way."""

from random import Random
from types import SimpleNamespace
from typing import cast

import pytest
import trio
import trio.testing

from node.config import ConfigError, NodeSection
from node.env import Env
from node.foundation import LogToMend
from node.keyring import Key, first_ring
from node.log_desk import LogDesk, ask_of, hear, tell
from node.rpc import (
    Answer,
    Call,
    Credentials,
    HelloAnswer,
    LogQuestion,
    LogTold,
    Remote,
    Secrets,
    Server,
)
from raft.damage import DamagedLog
from raft.model import Entry, EntryKind, Membership, SnapshotMeta
from raft.repair import LogAnswer, LogAsk, LogBehind, LogLacks, LogPiece
from tests.node.memory_network import MemoryNetwork
from tests.raft.mends import Whole, damaged, reopen
from tests.raft.story import CLUSTER, LogStory, entries
from tests.raft.test_repair import hurt, written

SECRET = b"secret" * 8
RING = first_ring(CLUSTER, Key(1, SECRET))
META = SnapshotMeta(4, 2, Membership(frozenset({7, 8, 9})))


@pytest.mark.parametrize(
    "answer",
    [
        LogPiece(3, (Entry(5, 3, EntryKind.NORMAL, b"five"), Entry(6, 4, EntryKind.NOOP, b""))),
        LogPiece(3, ()),
        LogBehind(META, holds_anchor=True),
        LogBehind(META, holds_anchor=False),
        LogLacks(leads=True, is_whole=True),
        LogLacks(leads=False, is_whole=False),
    ],
)
def test_answers_travel_as_they_are(answer: LogAnswer) -> None:
    assert hear(tell(answer), 5) == answer


def test_what_is_not_understood_is_no_answer() -> None:
    assert ask_of(LogQuestion(3, 5, 2)) == LogAsk(3, 5, 2)
    assert hear(LogTold("new"), 1) is None
    assert hear(LogTold("piece", entries=((1, 99, b""),)), 1) is None
    assert hear(LogTold("piece", entries=((1, int(EntryKind.CONFIG), b"?"),)), 1) is None
    assert hear(LogTold("behind", membership=b"?"), 1) is None
    assert hear(HelloAnswer("n2", 8, {}, True), 1) is None


class Town:
    """Nodes that have not started, on one network."""

    def __init__(self) -> None:
        self.network = MemoryNetwork()

    def desk(self, number: int, log: DamagedLog, *others: int) -> LogDesk:
        random = Random(number)
        env = SimpleNamespace(network=self.network, chance=random, draw=random.randbytes)
        own = SimpleNamespace(name=f"n{number}", address="10.0.0.1", peer=number)
        need = LogToMend(log, cast(NodeSection, own), RING, number)
        return LogDesk(need, cast(Env, env), [("10.0.0.1", other) for other in others])

    async def serve(self, number: int, story: LogStory) -> None:
        """A node that has started."""
        whole = Whole(story)

        async def on_call(remote: Remote, call: Call) -> Answer:
            assert isinstance(call, LogQuestion)
            return tell(whole.answer(ask_of(call)))

        server = Server(
            Credentials(CLUSTER, Secrets(SECRET), number, f"n{number}"),
            on_message=lambda remote, kind, payload: None,
            on_call=on_call,
            on_link=lambda remote: None,
            draw=Random(number).randbytes,
        )
        await server.serve(await self.network.listen_tcp("10.0.0.1", number))


async def test_two_damaged_nodes_are_enough(autojump_clock: trio.testing.MockClock) -> None:
    mine, theirs = written(9), written(9)
    hurt(mine, 3, 4)
    hurt(theirs, 6, 7)
    town, ended = Town(), trio.Event()
    one, two = town.desk(1, damaged(mine), 2, 3), town.desk(2, damaged(theirs), 1, 3)

    async def mend_mine() -> None:
        reopen(mine, await one.run())
        ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(mend_mine)
        await trio.sleep(60)  # the other comes late
        reopen(theirs, await two.run())
        nursery.start_soon(town.serve, 2, theirs)
        with trio.fail_after(60):
            await ended.wait()
        nursery.cancel_scope.cancel()
    assert mine.read() == theirs.read() == list(entries(1, 9))


def test_a_node_that_knows_nobody_says_so() -> None:
    mine = written(9)
    hurt(mine, 3)
    with pytest.raises(ConfigError, match="nobody who could mend it"):
        Town().desk(1, damaged(mine))
