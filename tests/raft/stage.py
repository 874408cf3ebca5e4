"""Scenarios played before an audience: commands in, everything that cores say and do printed.

A scenario is a text file of remarks (`#`), commands (`>`) and, indented, what followed, which is
written by the run. The commands are the methods of `Stage` whose name begins with `do_`, and
`group`, which opens the scene: voters=3 spares=1 leader=1 and settings of RaftConfig.
Heartbeats and their answers are not printed: every scenario is full of them.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from raft.config import RaftConfig
from raft.configs import Configs
from raft.core import Core
from raft.membership import Change, ChangeRefused
from raft.messages import Append, Heartbeat, HeartbeatReply, Message
from raft.model import Entry, EntryKind, Index, Membership, Persist, ReplicaId
from raft.state import Role
from tests.raft.story import Council

_HIDDEN: Final = (Heartbeat, HeartbeatReply)
# Every message has these; the line begins with them.
_COMMON: Final = ("group", "sender", "to", "term")


class Stage(Council):
    """A council that tells what happens."""

    def __init__(self, founders: int, spares: int, config: RaftConfig) -> None:
        self.founders = frozenset(range(1, founders + 1))
        self.lines: list[str] = []
        self._known: dict[ReplicaId, tuple[Role, int, Index]] = {}
        self._lost: tuple[str, str, str] | None = None
        super().__init__(founders + spares, config)
        self.drop = self._is_lost

    def _is_lost(self, message: Message) -> bool:
        if self._lost is None:
            return False
        facts = (type(message).__name__, str(message.sender), str(message.to))
        return all(want in ("*", fact) for want, fact in zip(self._lost, facts, strict=True))

    def new_core(self, replica: ReplicaId) -> Core:
        core = super().new_core(replica)
        storage = self.storage[replica]
        start = 0 if storage.snapshot is None else storage.snapshot.index
        base = Membership(self.founders if replica in self.founders else frozenset())
        if storage.snapshot is not None:
            base = storage.snapshot.membership
        core.state.configs = Configs(base, base_index=start, entries=storage.configs)
        self._known[replica] = _standing(core)
        return core

    # --- what is seen

    def _turn(self, replica: ReplicaId) -> bool:
        before = len(self.sent)
        moved = super()._turn(replica)
        for message in self.sent[before:]:
            if not isinstance(message, _HIDDEN):
                away = {message.sender, message.to} & self.cut or self.drop(message)
                self.lines.append(f"  {_spoken(message)}{'   (lost)' if away else ''}")
        self._tell_standing(replica)
        return moved

    def finish_disk(self, replica: ReplicaId) -> bool:
        steps = list(self.steps[replica])
        finished = super().finish_disk(replica)
        if finished:
            self.lines += [f"  {replica} has on disk: {_written(step)}" for step in steps]
        return finished

    def _tell_standing(self, replica: ReplicaId) -> None:
        old, new = self._known[replica], _standing(self.cores[replica])
        self._known[replica] = new
        if old[:2] != new[:2]:
            self.lines.append(f"  {replica} is {_role(new[0])} in term {new[1]}")
        if old[2] != new[2]:
            self.lines.append(f"  {replica} has committed up to {new[2]}")

    # --- what is done

    def do_elect(self, replica: str) -> None:
        """Its clock says that no leader was heard for too long."""
        core = self.cores[int(replica)]
        core.state.election_due_ms = self.now_ms
        core.tick(self.now_ms)
        self.settle()

    def do_propose(self, replica: str, *payloads: str) -> None:
        """Somebody there wants these written."""
        if not self.propose(int(replica), *(payload.encode() for payload in payloads)):
            self.lines.append("  nobody takes it")

    def do_cut(self, *replicas: str) -> None:
        """They neither hear nor are heard."""
        self.cut |= set(map(int, replicas))

    def do_heal(self, *replicas: str) -> None:
        """They are back."""
        self.cut -= set(map(int, replicas))
        self.settle()

    def do_lose(self, kind: str, sender: str, to: str) -> None:
        """All messages of a kind between two; `*` for any."""
        self._lost = (kind, sender, to)

    def do_lose_nothing(self) -> None:
        """The network is whole again."""
        self._lost = None

    def do_stick(self, replica: str) -> None:
        """Its disk does not finish what it is given."""
        self.stuck_disks.add(int(replica))

    def do_unstick(self, replica: str) -> None:
        """Now it does."""
        self.stuck_disks.discard(int(replica))
        self.settle()

    def do_finish_one(self, replica: str) -> None:
        """A stuck disk gets one step done, and is stuck again."""
        number = int(replica)
        step = self.steps[number].pop(0)
        self.storage[number].write([step])
        self.lines.append(f"  {number} has on disk: {_written(step)}")
        self.cores[number].persisted(step.number, self.now_ms)
        self.settle()

    def do_pass(self, milliseconds: str) -> None:
        """Time goes by."""
        self.pass_ms(int(milliseconds))

    def do_restart(self, replica: str) -> None:
        """Its process dies and starts again, with what its disk had."""
        self.restart(int(replica))
        self.settle()

    def do_hand_over(self, replica: str, target: str) -> None:
        """The leader is asked to let another lead."""
        if not self.cores[int(replica)].hand_over(int(target), self.now_ms):
            self.lines.append("  refused")
        self.settle()

    def do_read(self, replica: str) -> None:
        """A reader there wants to know how far to wait; its answer is printed when it comes."""
        number = int(replica)
        ticket = self.cores[number].take_read_ticket(self.now_ms)
        known = len(self.confirmed[number])
        self.settle()
        for told, index in self.confirmed[number][known:]:
            if told >= ticket:
                self.lines.append(f"  the reader at {number} may read at {index}")
                return
        self.lines.append(f"  the reader at {number} waits")

    def do_change(self, replica: str, *words: str) -> None:
        """add-learner, promote or remove, each with a replica; and force."""
        change = Change(force="force" in words)
        for what, whom in zip(words[::2], words[1::2], strict=False):
            field = {"add-learner": "learners", "promote": "promote", "remove": "remove"}[what]
            change = replace(change, **{field: frozenset({int(whom)})})
        try:
            self.cores[int(replica)].change_membership(change, self.now_ms)
        except ChangeRefused as refusal:
            self.lines.append(f"  refused: {refusal}")
        self.settle()

    def do_compact(self, replica: str, upto: str) -> None:
        """Its log forgets what is up to there."""
        self.cores[int(replica)].compact(int(upto))
        self.settle()

    def do_show(self, *replicas: str) -> None:
        """Their logs, as terms of entries, and who counts."""
        for number in map(int, replicas):
            state = self.cores[number].state
            log = state.log
            terms = " ".join(str(log.term(i)) for i in range(log.start + 1, log.last + 1))
            self.lines.append(
                f"  {number}: {_role(state.role)}, term {state.term}, commit {state.commit}, "
                f"log behind {log.start}: {terms or 'empty'}; {_who(state.membership)}"
            )


def perform(text: str) -> str:
    """The scenario with what happens written behind its commands."""
    stage: Stage | None = None
    out: list[str] = []
    for line in text.splitlines():
        if line.startswith("  "):
            continue  # what happened last time
        out.append(line)
        if not line.startswith("> "):
            continue
        name, *words = line[2:].split()
        if name == "group":
            stage = _open(words)
            continue
        assert stage is not None, "a scenario begins with its group"
        command: Callable[..., None] = getattr(stage, f"do_{name.replace('-', '_')}")
        command(*words)
        out += stage.lines
        stage.lines = []
    return "\n".join(out) + "\n"


def _open(words: list[str]) -> Stage:
    settings = dict(word.split("=") for word in words)
    founders, spares = int(settings.pop("voters")), int(settings.pop("spares", "0"))
    leader = settings.pop("leader", None)
    stage = Stage(founders, spares, RaftConfig(**{key: int(v) for key, v in settings.items()}))
    if leader is not None:
        stage.do_elect(leader)  # unseen
        stage.lines = []
    return stage


def _standing(core: Core) -> tuple[Role, int, Index]:
    return core.state.role, core.state.term, core.state.commit


def _role(role: Role) -> str:
    return role.name.lower().replace("_", "-")


def _spoken(message: Message) -> str:
    said = [f"{message.sender} -> {message.to} {type(message).__name__} term={message.term}"]
    for name in message.__struct_fields__:
        if name not in _COMMON:
            said.append(_named(name, getattr(message, name)))
    if isinstance(message, Append) and not message.entries:
        said.append("(nothing)")
    return " ".join(word for word in said if word)


def _named(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else ""
    if name == "entries":
        return " ".join(map(_entry, value))
    if name == "payloads":
        return " ".join(repr(payload.decode()) for payload in value)
    if name == "ticket":
        return ""  # drawn at random
    return f"{name}={value}"


def _entry(entry: Entry) -> str:
    what = repr(entry.payload.decode()) if entry.kind is EntryKind.NORMAL else entry.kind.name
    return f"[{entry.index}/{entry.term} {what}]"


def _written(step: Persist) -> str:
    said = []
    if step.hard_state is not None:
        said.append(f"term {step.hard_state.term} vote {step.hard_state.vote}")
    if step.truncate_from is not None:
        said.append(f"nothing from {step.truncate_from} on")
    if step.snapshot is not None:
        said.append(f"a log behind {step.snapshot.index}")
    said += map(_entry, step.entries)
    return ", ".join(said)


def _who(membership: Membership) -> str:
    said = []
    for name in ("voters", "outgoing", "learners", "removed"):
        if members := getattr(membership, name):
            said.append(f"{name} {' '.join(map(str, sorted(members)))}")
    return ", ".join(said) or "nobody counts"
