"""Changing the cluster's key (trio): what members answer, and what the leader does about it.

Every member answers `keys.show`, `keys.install`, `keys.use`, `keys.remove`, over links that only
the cluster's keys open. The leader looks at everybody's rings every now and then, and while they
are not all of one key takes the next step of key_rotation.py. An operator only begins a rotation;
it goes on by itself, also under another leader, and when a member that was down comes back.

A key is pushed to members and never handed out to who asks: somebody that knows the old key gets
the new one only where a member is expected. `keys.spread` asks one that has it to push it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import trio

from node import logs
from node.admin import AdminRefused, Call, Request
from node.belonging import Belonging
from node.joining import result_of
from node.key_holder import KeyHolder
from node.key_rotation import Phase, Step, next_step
from node.keyring import (
    SECRET_BYTES,
    Key,
    Ring,
    RingRefused,
    RingView,
    install,
    next_key,
    remove_before,
    use,
)
from node.rpc import AdminCall, Peers, RpcError, Server
from raft import Driver, Role

# The leader looks at the rings this often; while a rotation is under way, more often.
LOOK_S: Final = 5.0
STEP_S: Final = 0.5
# A member that is there says what it holds, or takes a step and makes it durable, in this time.
ANSWER_S: Final = 1.0

# Links that a removed key opened live so much longer, for answers under way.
FAREWELL_S: Final = 0.2
# A peer that refuses all our keys over and over: so many handshakes are worth a line in the log.
REFUSALS_TOLD: Final = 8

log = logs.named("node.keys")


class KeyDesk:
    """This node's part in every rotation."""

    def __init__(
        self,
        holder: KeyHolder,
        belonging: Belonging,
        peers: Peers,
        server: Server,
        driver: Driver,
        *,
        draw: Callable[[int], bytes],
    ) -> None:
        self._holder = holder
        self._members = belonging.members
        self._peers = peers
        self._server = server
        self._driver = driver
        self._own = driver.status().replica
        self._draw = draw
        self._views: dict[int, RingView | None] = {}
        self._reasons: dict[int, str] = {}
        self._changing = trio.Lock()
        """Held while the ring here changes."""
        self._driving = trio.Lock()
        """Held while members are asked for a step."""
        self._begun = trio.Event()
        self._told: frozenset[int] = frozenset()
        belonging.desk.know(self.calls(), self.leader_calls())

    # --- what members answer each other

    def calls(self) -> dict[str, Call]:
        """What a member may ask of another."""
        return {
            "keys.show": self._show,
            "keys.install": self._install,
            "keys.spread": self._spread,
            "keys.use": self._use,
            "keys.remove": self._remove,
        }

    async def _show(self, args: Mapping[str, Any]) -> Any:
        return msgspec.to_builtins(self._holder.view())

    async def _install(self, args: Mapping[str, Any]) -> Any:
        try:
            key = msgspec.convert(dict(args), Key)
        except msgspec.ValidationError as error:
            raise AdminRefused(f"that is no key: {error}.") from error
        return await self._change(lambda ring: install(ring, key))

    async def _use(self, args: Mapping[str, Any]) -> Any:
        return await self._change(lambda ring: use(ring, str(args.get("id"))))

    async def _remove(self, args: Mapping[str, Any]) -> Any:
        return await self._change(lambda ring: remove_before(ring, str(args.get("id"))))

    async def _change(self, change: Callable[[Ring], Ring]) -> Any:
        async with self._changing:
            try:
                ring = change(self._holder.ring)
            except RingRefused as error:
                raise AdminRefused(f"{error}.") from error
            await self._holder.take(ring)
        return await self._show({})

    async def _spread(self, args: Mapping[str, Any]) -> Any:
        """Have every member that lacks our newest key install it."""
        key = self._holder.ring.keys[-1]
        views = await self._look()
        lacking = [m for m, view in views.items() if view and key.name not in view.keys]
        await self._ask_each(lacking, "keys.install", msgspec.to_builtins(key))
        return await self._show({})

    # --- what the leader does

    def leader_calls(self) -> dict[str, Call]:
        """What only the leader can do, by name."""
        return {"keys.rotate": self._rotate, "keys.report": self._report}

    def _leads(self) -> bool:
        return self._driver.status().role is Role.LEADER

    async def run(self) -> None:
        """Until cancelled: while we lead, see to it that what was begun is ended."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._end_removed_links)
            await self._keep()

    async def _end_removed_links(self) -> None:
        """Links that a removed key opened are ended; who asked for that is answered before."""
        while True:
            await self._holder.removed.wait()
            self._holder.removed = trio.Event()
            await trio.sleep(FAREWELL_S)
            self._peers.end_removed()
            self._server.end_removed()

    async def _keep(self) -> None:
        pause_s = STEP_S
        while True:
            with trio.move_on_after(pause_s):
                await self._begun.wait()
            self._begun = trio.Event()
            self._tell_refusals()
            pause_s = LOOK_S
            if self._leads() and await self._drive() is not Phase.DONE:
                pause_s = STEP_S

    async def _rotate(self, args: Mapping[str, Any]) -> Any:
        """Begin, unless a rotation is under way: that one goes on -> the report."""
        async with self._driving:
            step = next_step(await self._look())
            if step.phase is Phase.DONE:
                secret = self._draw(SECRET_BYTES).hex().encode()
                key = next_key(self._holder.ring, secret)
                await self._change(lambda ring: install(ring, key))
                log.info("a new key is made", key=key.id, number=key.number)
        self._begun.set()
        return await self._report({})

    async def _report(self, args: Mapping[str, Any]) -> Any:
        """How far the rotation is, as every member shows it."""
        views = await self._look()
        step = next_step(views)
        cards = self._members.cards
        names = {m: cards[m].name if m in cards else f"{m:x}" for m in views}
        waiting = {*step.silent, *step.ask}
        return {
            "key": step.target.id,
            "number": step.target.number,
            "phase": step.phase,
            "done": step.phase is Phase.DONE and not step.silent,
            "members": sorted(names.values()),
            "waiting": {names[m]: self._reasons.get(m, "not asked yet") for m in sorted(waiting)},
            "key_files": {names[m]: v.key_file for m, v in views.items() if v and v.key_file},
        }

    async def _drive(self) -> Phase:
        """Take as many steps as can be taken now; which one is next then."""
        while True:
            async with self._driving:
                step = next_step(await self._look())
                if not step.ask or not self._leads():
                    return step.phase
                if step.phase is Phase.REMOVE:
                    confirmed = await self._remove_everywhere()
                else:
                    confirmed = await self._take_step(step)
            log.info("keys", step=step.phase, key=step.target.id, by_all=confirmed)
            if not confirmed:
                return step.phase

    async def _remove_everywhere(self) -> bool:
        """With the door shut for joiners: one that knows only the old key would be locked out."""
        with self._members.shut_for_joiners():
            step = next_step(await self._look())
            return step.phase is Phase.REMOVE and await self._take_step(step)

    async def _take_step(self, step: Step) -> bool:
        """Ask for the step; whether all who were asked did it."""
        if step.phase is not Phase.INSTALL:
            return await self._ask_each(step.ask, f"keys.{step.phase}", {"id": step.target.id})
        for key in self._holder.ring.keys:
            if key.name == step.target:
                return await self._ask_each(step.ask, "keys.install", msgspec.to_builtins(key))
        # A leader before us made it, and left it with others.
        views = self._views.items()
        holders = [m for m, view in views if view is not None and step.target in view.keys]
        return await self._ask_each(holders[:1], "keys.spread", {})

    # --- asking

    async def _look(self) -> dict[int, RingView | None]:
        """What every member holds; None for those that do not say."""
        answers = await self._ask_all(sorted(self._members.everyone), "keys.show", {})
        views: dict[int, RingView | None] = {}
        for member, answer in answers.items():
            try:
                views[member] = None if answer is None else msgspec.convert(answer, RingView)
            except msgspec.ValidationError as error:
                views[member] = None
                self._reasons[member] = f"its answer cannot be read: {error}"
        self._views = views | {self._own: self._holder.view()}
        return self._views

    async def _ask_each(self, members: Sequence[int], call: str, args: dict[str, Any]) -> bool:
        """Whether all of them said yes."""
        answers = await self._ask_all(members, call, args)
        return all(answer is not None for answer in answers.values())

    async def _ask_all(
        self, members: Sequence[int], call: str, args: dict[str, Any]
    ) -> dict[int, Any]:
        """Everybody's answer; None where there was none, and `_reasons` says why."""
        answers: dict[int, Any] = dict.fromkeys(members)

        async def ask(member: int) -> None:
            try:
                if member == self._own:
                    answers[member] = await self.calls()[call](args)
                else:
                    question = AdminCall(msgspec.json.encode(Request(call, args)))
                    reply = await self._peers.call(member, question, timeout_s=ANSWER_S)
                    answers[member] = result_of(reply)
                self._reasons.pop(member, None)
            except (RpcError, AdminRefused) as error:
                self._reasons[member] = str(error)

        async with trio.open_nursery() as nursery:
            for member in members:
                nursery.start_soon(ask, member)
        return answers

    def _tell_refusals(self) -> None:
        """A node whose keys are all out of date hears nobody, and says so."""
        refusing = self._peers.refusing(REFUSALS_TOLD)
        if new := refusing - self._told:
            cards = self._members.cards
            log.warning(
                "nodes refuse every key we know: if ours are out of date, stop this node, copy "
                "the keyring file of another one into its data directory and start it",
                nodes=sorted(cards[m].name if m in cards else f"{m:x}" for m in new),
            )
        self._told = refusing
