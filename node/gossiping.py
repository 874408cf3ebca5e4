"""Builds this node's gossip out of the house's parts; what it asks over TCP goes by rpc (trio)."""

from typing import Any, Final

from gossip import Gossip, Identity, first_incarnation
from node.belonging import Belonging
from node.env import Env
from node.foundation import Foundation
from node.key_holder import KeyHolder
from node.roster import Roster
from node.rpc import GossipAnswer, GossipExchange, Peers, RpcError
from node.standing import Standing

# A peer asked over a fresh connection (before links are there) answers in this time.
EXCHANGE_S: Final = 5.0


def build_gossip(
    base: Foundation,
    env: Env,
    keys: KeyHolder,
    peers: Peers,
    roster: Roster,
    belonging: Belonging,
    standing: Standing,
    datagrams: Any,
) -> Gossip:
    """What it learns the roster hears; its incarnation is on the disk before it is told."""
    own = base.own

    async def save_incarnation(incarnation: int) -> None:
        await env.run_blocking(lambda: base.write_incarnation(incarnation))

    async def exchange(address: tuple[str, int], payload: bytes) -> bytes:
        """Any failure is an OSError to gossip."""
        try:
            _, answer = await peers.call_at(address, GossipExchange(payload), timeout_s=EXCHANGE_S)
        except RpcError as error:
            raise OSError(str(error)) from error
        if not isinstance(answer, GossipAnswer):
            raise OSError("another answer than gossip's")
        return answer.payload

    return Gossip(
        base.gossip_config,
        Identity(base.replica, own.name, own.host, own.peer, standing.meta().encoded()),
        seeds=belonging.seeds(),
        keyring=keys.seals,
        datagrams=datagrams,
        exchange=exchange,
        incarnation=first_incarnation(base.read_incarnation(), env.clock.now_ms()),
        save_incarnation=save_incarnation,
        chance=env.chance,
        wall_ms=env.clock.now_ms,
        on_change=roster.hear,
    )
