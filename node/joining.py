"""How a node becomes a member, and how it learns that it is one no more (trio).

A joiner asks the addresses it was given, over and over, until the leader has put it into the log
as a learner; from then on it is sent the log like everybody. Questions only a leader can answer
are passed on once, by whichever node was asked.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import trio

from node import logs
from node.admin import AdminDoor, AdminRefused, Answer, Call, Request
from node.identity import IdentityError
from node.members import CHANGE_S, NOBODY, Card, Members
from node.network import Address
from node.roster import Place
from node.rpc import AdminAnswer, AdminCall, Hello, HelloAnswer, Peers, RpcError

# A joiner asks the next address after this, and a node asks its leader for at most so long.
JOIN_PAUSE_S: Final = 0.5
ASK_S: Final = CHANGE_S + 0.5
# For an election that is under way to end; with the answer's time less than an operator waits.
LEADER_S: Final = 2.0
LOOK_S: Final = 0.05
# A peer asked over a fresh connection whether it knows us.
HELLO_S: Final = 2.0

log = logs.named("node.joining")


class LeaderDesk:
    """The calls of `Members`, from whichever node an operator asks."""

    def __init__(self, members: Members, peers: Peers, leader: Callable[[], int], own: int) -> None:
        """`leader` is the replica that leads, as far as this one knows."""
        self._peers = peers
        self._leader = leader
        self._own = own
        self._leads = members.calls()
        self._door = AdminDoor({})
        self.know({"member.ask-join": self._ask_join}, {})

    def know(self, calls: Mapping[str, Call], leads: Mapping[str, Call]) -> None:
        """Answer other nodes these calls too; the second kind only the leader can do."""
        self._leads |= leads
        self._door.know({**calls, **self._leads})

    async def ask(self, call: str, args: dict[str, Any]) -> Any:
        """What the leader says; raises AdminRefused. An election may pass in the meantime."""
        leader = NOBODY
        with trio.move_on_after(LEADER_S):
            while (leader := self._leader()) != self._own:
                if leader != NOBODY and self._peers.is_up(leader):
                    break
                await trio.sleep(LOOK_S)
        if leader == self._own:
            return await self._leads[call](args)
        if leader == NOBODY or not self._peers.is_up(leader):
            raise AdminRefused("no leader is reached from here: see trireme status, try again.")
        question = AdminCall(msgspec.json.encode(Request(call, args)))
        try:
            reply = await self._peers.call(leader, question, timeout_s=ASK_S)
        except RpcError as error:
            raise AdminRefused(f"the leader did not answer ({error}): try again.") from error
        return result_of(reply)

    async def _ask_join(self, args: Mapping[str, Any]) -> Any:
        return await self.ask("member.join", dict(args))

    async def answer(self, payload: bytes) -> bytes:
        """Another node's question, answered here or not at all; a joiner's may go on once."""
        return msgspec.json.encode(await self._door.answer(payload))

    def calls(self) -> dict[str, Call]:
        """What `trireme cluster` asks, by name."""
        passed_on = {
            "cluster.remove-node": "member.remove",
            "cluster.promote": "member.promote",
            "cluster.transfer-leader": "member.lead",
            "cluster.rotate-key": "keys.rotate",
            "cluster.report-key": "keys.report",
        }

        def pass_on(call: str) -> Call:
            return lambda args: self.ask(call, dict(args))

        return {name: pass_on(call) for name, call in passed_on.items()} | {
            "cluster.add-node": self._add
        }

    async def _add(self, args: Mapping[str, Any]) -> Any:
        """A node that waits at an address becomes a learner: {name, host, port, role}."""
        try:
            card = msgspec.convert(dict(args), Card)
        except msgspec.ValidationError as error:
            raise AdminRefused(f"that is no node to add: {error}.") from error
        where = f"{card.host}:{card.port}"
        try:
            remote, _ = await self._peers.call_at(
                (card.host, card.port), Hello(), timeout_s=HELLO_S
            )
        except RpcError as error:
            raise AdminRefused(
                f"no node of this cluster answers at {where} ({error}): "
                f"start it there with trireme node {card.name} --join ADDRESS."
            ) from error
        if remote.name != card.name:
            raise AdminRefused(f"at {where} is {remote.name}, not {card.name}: check the address.")
        asked = {"replica": remote.replica} | msgspec.structs.asdict(card)
        return await self.ask("member.join", asked)


def result_of(reply: object) -> Any:
    """What an AdminAnswer holds; raises AdminRefused."""
    if not isinstance(reply, AdminAnswer):
        raise AdminRefused("the leader gave another answer than was asked for: is it newer?")
    answer = msgspec.json.decode(reply.payload, type=Answer)
    if not answer.ok:
        raise AdminRefused(answer.error)
    return answer.result


async def join(
    peers: Peers,
    addresses: Sequence[Address],
    own: Card,
    replica: int,
    *,
    is_member: Callable[[], bool],
    settle: Callable[[list[Place]], None],
) -> None:
    """Ask to be a member until we are; `settle` hears where the members are."""
    asked = {"replica": replica} | msgspec.structs.asdict(own)
    question = AdminCall(msgspec.json.encode(Request("member.ask-join", asked)))
    told = ""
    while not is_member():
        for address in addresses:
            try:
                _, reply = await peers.call_at(address, question, timeout_s=ASK_S)
                members = result_of(reply)["members"]
            except (RpcError, AdminRefused) as error:
                if str(error) != told:
                    told = str(error)
                    log.warning("not a member yet", asked=f"{address[0]}:{address[1]}", reason=told)
                continue
            settle([Place(m["replica"], m["name"], (m["host"], m["port"])) for m in members])
            log.info("asked to be a member, and taken in", members=len(members))
            return
        await trio.sleep(JOIN_PAUSE_S)


async def check_in(peers: Peers, addresses: Sequence[Address], directory: str) -> None:
    """Whoever was removed while it was down hears of it; raises IdentityError."""

    async def ask(address: Address) -> None:
        try:
            remote, answer = await peers.call_at(address, Hello(), timeout_s=HELLO_S)
        except RpcError:
            return
        if isinstance(answer, HelloAnswer) and answer.removed:
            raise removed(directory, remote.name)

    async with trio.open_nursery() as nursery:
        for address in addresses:
            nursery.start_soon(ask, address)


def removed(directory: str, by: str) -> IdentityError:
    """What a node that is no member any more says as it stops."""
    return IdentityError(
        f"this node was removed from the cluster, as {by} has it: "
        f"to come back, empty {directory} and start it with --join."
    )
