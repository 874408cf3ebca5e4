"""What is said to other nodes' calls when no part of the house can say it."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from gossip import GossipFormatError
from node.rpc import CallRefused, GossipAnswer, GossipExchange, Hello, Remote
from node.rpc_desk import RpcDesk

REMOTE = cast(Remote, None)  # who asks makes no difference here
NOBODY = cast(Any, None)


def desk(*, fresh: bool = False, applied_index: int = 0) -> RpcDesk:
    def hear(payload: bytes) -> bytes:
        if payload != b"sync":
            raise GossipFormatError("no exchange")
        return b"state"

    foundation = cast(Any, SimpleNamespace(fresh=fresh))
    machine = cast(Any, SimpleNamespace(applied_index=applied_index, current="rows"))
    belonging = cast(Any, SimpleNamespace(hello=lambda remote, rows, formed: (rows, formed)))
    return RpcDesk(foundation, machine, NOBODY, belonging, NOBODY, NOBODY, NOBODY, hear_gossip=hear)


async def test_gossip_is_asked_and_what_is_none_is_refused() -> None:
    assert await desk().answer(REMOTE, GossipExchange(b"sync")) == GossipAnswer(b"state")
    with pytest.raises(CallRefused, match="no exchange"):
        await desk().answer(REMOTE, GossipExchange(b"?"))


async def test_who_has_not_read_its_log_does_not_say_whether_there_is_a_cluster() -> None:
    with pytest.raises(CallRefused, match="has not read it yet"):
        await desk().answer(REMOTE, Hello())
    assert await desk(fresh=True).answer(REMOTE, Hello()) == ("rows", False)
    assert await desk(applied_index=7).answer(REMOTE, Hello()) == ("rows", True)


async def test_a_call_of_a_newer_version_is_refused_in_words() -> None:
    with pytest.raises(CallRefused, match="does not know that call"):
        await desk().answer(REMOTE, cast(Any, object()))
