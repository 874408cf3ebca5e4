"""What a node that has lost its rows may start from, and when nobody has them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from node.env import Env
from node.foundation import StateLost, check_source
from raft import LogStorage, Membership, SnapshotMeta
from storage.opening import State

ME, OTHER = 1, 2


def check(
    *, applied: int, start: int | None, members: Membership, newest: Membership | None = None
) -> None:
    """A state of that index, over a log that begins behind `start`."""
    state: Any = SimpleNamespace(applier=SimpleNamespace(index=applied), refused="bad block")
    log: Any = SimpleNamespace(
        snapshot=None if start is None else SnapshotMeta(start, 1, members),
        configs=[] if newest is None else [((start or 0) + 1, newest)],
    )
    env: Any = SimpleNamespace(data=Path("/data/n1"))
    check_source(cast(Env, env), cast(State, state), cast(LogStorage, log), ME)


ALONE = Membership(frozenset({ME}))
TWO = Membership(frozenset({ME, OTHER}))
WITH_A_REPLICA = Membership(frozenset({ME}), learners=frozenset({OTHER}))


def test_a_lone_voter_without_rows_and_without_the_logs_beginning_says_so() -> None:
    with pytest.raises(StateLost) as said:
        check(applied=0, start=500, members=ALONE)
    text = str(said.value)
    assert "/data/n1" in text and "bad block" in text and "begins behind entry 500" in text
    assert "put back a copy" in text


def test_a_cluster_that_shrank_to_one_is_judged_by_its_newest_members() -> None:
    with pytest.raises(StateLost):
        check(applied=0, start=500, members=TWO, newest=ALONE)
    check(applied=0, start=500, members=ALONE, newest=TWO)


def test_whoever_else_has_the_rows_gives_them() -> None:
    check(applied=0, start=500, members=TWO)
    check(applied=0, start=500, members=WITH_A_REPLICA)


def test_a_log_from_its_beginning_or_a_state_that_reaches_it_is_enough() -> None:
    check(applied=0, start=None, members=ALONE)
    check(applied=500, start=500, members=ALONE)
