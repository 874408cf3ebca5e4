"""The members of the cluster as the log has them: who they are, where, and how an operator
changes them.

The first membership is the file's. As soon as a leader finds none in the log it writes it there,
with every member's card (name, address, role) as its context; from then on the log rules, and the
file only gives seeds and a node its own ports. Changes are made where the leader is; other nodes
pass the question on.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Literal

import msgspec
import trio

from node import logs
from node.admin import AdminRefused
from node.config import Config
from node.roster import Place
from raft import Change, ChangeRefused, ChangeUnknown, Driver, Membership, Role

# A change, or a handover, has this long; the operator's own patience is longer.
CHANGE_S: Final = 6.0
# How often a leader looks whether there is something to write down or somebody to promote.
KEEP_S: Final = 0.5
NOBODY: Final = 0

log = logs.named("node.members")


class Card(msgspec.Struct, frozen=True):
    """What the log keeps of a member, as a MessagePack map; fields are only added."""

    name: str
    host: str
    port: int
    role: Literal["voter", "replica"] = "voter"


_decoder: Final = msgspec.msgpack.Decoder(Card)


def encode_card(card: Card) -> bytes:
    """As a membership's context."""
    return msgspec.msgpack.encode(card)


def cards_of(membership: Membership) -> dict[int, Card]:
    """Every member's card by replica id."""
    return {replica: _decoder.decode(context) for replica, context in membership.contexts}


def founding_cards(config: Config, replica_of: Callable[[str], int]) -> dict[int, Card]:
    """The cards of the file's nodes."""
    return {
        replica_of(node.name): Card(node.name, node.host, node.peer, node.role)
        for node in config.node
    }


def places(cards: Mapping[int, Card]) -> list[Place]:
    """Where they are, for the roster."""
    return [Place(r, card.name, (card.host, card.port)) for r, card in sorted(cards.items())]


class Members:
    """The members as this node knows them, and the calls that change them where it leads."""

    def __init__(self, driver: Driver, founding: Mapping[int, Card], *, voters_wanted: int) -> None:
        self._driver = driver
        self._founding = founding
        self._voters_wanted = voters_wanted
        self._shut = False

    @property
    def cards(self) -> Mapping[int, Card]:
        """By replica id: the log's, or the file's while the log has none."""
        return cards_of(self._driver.steering.membership) or self._founding

    @property
    def everyone(self) -> frozenset[int]:
        """Every replica that is a member, with a card or without."""
        return frozenset(self.cards) | frozenset(self._driver.steering.membership.everyone)

    @contextmanager
    def shut_for_joiners(self) -> Iterator[None]:
        """For as long as the cluster's old key is being removed."""
        self._shut = True
        try:
            yield
        finally:
            self._shut = False

    def named(self, name: str) -> int:
        """The member of that name; AdminRefused names the ones there are."""
        for replica, card in self.cards.items():
            if card.name == name:
                return replica
        known = ", ".join(sorted(card.name for card in self.cards.values()))
        raise AdminRefused(f"no member is named '{name}': the members are {known}.")

    def role(self, replica: int) -> str:
        """What the log has a member for: voter, learner, replica; or joining, if for nothing."""
        membership = self._driver.steering.membership
        if membership.counts(replica):
            return "voter"
        if replica not in membership.learners:
            return "joining"
        card = self.cards.get(replica)
        return "replica" if card is not None and card.role == "replica" else "learner"

    def calls(self) -> dict[str, Callable[[Mapping[str, Any]], Awaitable[Any]]]:
        """What only the leader can do, by name."""
        return {
            "member.join": self.join,
            "member.remove": self.remove,
            "member.promote": self.promote,
            "member.lead": self.lead,
        }

    async def join(self, args: Mapping[str, Any]) -> Any:
        """A node asks to be a member: {replica, name, host, port, role} -> {members}."""
        try:
            replica = msgspec.convert(args.get("replica"), int)
            card = msgspec.convert(dict(args), Card)
        except msgspec.ValidationError as error:
            raise AdminRefused(f"that is no request to join: {error}.") from error
        membership = self._driver.steering.membership
        if replica in membership.removed:
            raise AdminRefused(
                f"{card.name} was removed with the disk it has: empty its directory, then join."
            )
        if replica not in membership.everyone:
            if self._shut:
                raise AdminRefused("the cluster's old key is being removed: try again soon.")
            for held, other in self.cards.items():
                if other.name == card.name and held != replica:
                    raise AdminRefused(
                        f"{card.name} is a member with another disk: if that one is lost, "
                        f"run trireme cluster remove-node {card.name}."
                    )
            await self._change(
                Change(learners=frozenset({replica}), contexts=((replica, encode_card(card)),))
            )
            log.info("member added as a learner", name=card.name, role=card.role)
        return {"members": self.rows()}

    def rows(self) -> list[dict[str, Any]]:
        """Every member, for an answer."""
        membership = self._driver.steering.membership
        return [
            {
                "replica": replica,
                "name": card.name,
                "host": card.host,
                "port": card.port,
                "role": card.role,
                "votes": membership.counts(replica),
            }
            for replica, card in sorted(self.cards.items(), key=lambda item: item[1].name)
        ]

    async def remove(self, args: Mapping[str, Any]) -> Any:
        """A member is one no more: {name, force}; its id never comes back."""
        replica = self.named(str(args.get("name")))
        await self._change(Change(remove=frozenset({replica}), force=args.get("force") is True))
        return {"members": self.rows()}

    async def promote(self, args: Mapping[str, Any]) -> Any:
        """A learner becomes a voter: {name}."""
        name = str(args.get("name"))
        replica = self.named(name)
        if self.role(replica) == "replica":
            raise AdminRefused(f"{name} is a replica, which never votes: give it the role voter.")
        await self._change(Change(promote=frozenset({replica})))
        return {"members": self.rows()}

    async def lead(self, args: Mapping[str, Any]) -> Any:
        """Leadership passes to a voter: {name}, or to the furthest one -> {leader}."""
        name = args.get("name")
        target = self.named(str(name)) if name else NOBODY
        try:
            handed_over = await self._driver.steering.hand_over(target, timeout_s=CHANGE_S)
        except ChangeRefused as error:
            raise AdminRefused(f"leadership stays where it is: {error}.") from error
        if not handed_over:
            raise AdminRefused(
                "leadership stays where it is: the other is too far behind or silent, "
                "see trireme status."
            )
        leader = self.cards.get(self._driver.status().leader)
        return {"leader": leader.name if leader else None}

    async def _change(self, change: Change) -> None:
        try:
            await self._driver.steering.change(change, timeout_s=CHANGE_S)
        except ChangeRefused as error:
            raise AdminRefused(f"the members stay as they are: {error}.") from error
        except ChangeUnknown as error:
            raise AdminRefused(
                f"it is not known whether the change stands ({error}): see trireme status."
            ) from error

    # --- what a leader does unasked

    async def keep(self) -> None:
        """Until cancelled: write the founding members down, promote up to the number wanted."""
        while True:
            await trio.sleep(KEEP_S)
            change = self._due()
            if change is None:
                continue
            try:
                self._driver.steering.begin_change(change)
            except ChangeRefused as error:
                log.debug("the members stay as they are for now", reason=str(error))

    def _due(self) -> Change | None:
        steering = self._driver.steering
        if self._driver.status().role is not Role.LEADER or not steering.is_settled:
            return None
        membership = steering.membership
        if not membership.contexts:
            return Change(contexts=_contexts(membership.everyone, self._founding))
        if len(membership.voters) >= self._voters_wanted:
            return None
        return self._promotion(membership)

    def _promotion(self, membership: Membership) -> Change | None:
        peers = {peer.replica: peer for peer in self._driver.status().peers}
        waiting = [
            peers[replica]
            for replica, card in self.cards.items()
            if replica in membership.learners and card.role == "voter" and replica in peers
        ]
        if not waiting:
            return None
        nearest = min(waiting, key=lambda peer: (peer.lag, peer.replica))
        return Change(promote=frozenset({nearest.replica}))


def _contexts(members: Iterable[int], cards: Mapping[int, Card]) -> tuple[tuple[int, bytes], ...]:
    return tuple((r, encode_card(cards[r])) for r in members if r in cards)
