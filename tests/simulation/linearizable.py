"""Is a history linearizable? Wing and Gong's search with Lowe's memory, one key at a time.

An operation is a call, a return and what was asked and answered. One without a known outcome
returns at infinity: it may take effect at any moment after its call, or never. The search tries
to put operations in an order that the model allows and that respects real time; it remembers
(set of operations done, state), so that no situation is tried twice. Beyond STATES_MAX it gives
up, which is no pass: the history was too hard and the test is to be made easier.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from math import inf
from typing import Final, Literal, NamedTuple

STATES_MAX: Final = 2_000_000

State = Hashable
Step = Callable[[State, "Op"], State | Literal[False]]
"""The state after an operation, or False when the model does not allow its answer there."""


class Verdict(Enum):
    """What the search found."""

    LINEARIZABLE = "linearizable"
    VIOLATED = "not linearizable"
    UNKNOWN = "too hard to tell"


@dataclass(frozen=True, slots=True)
class Op:
    """One operation of one client; `ended` is infinite when its outcome was never heard."""

    key: Hashable
    called: float
    ended: float
    asked: tuple[Hashable, ...]
    answered: Hashable = None

    @property
    def certain(self) -> bool:
        """Whether an answer came."""
        return self.ended != inf


class Found(NamedTuple):
    """A verdict on one key, and the longest order of operations that worked."""

    verdict: Verdict
    order: list[Op]


class _Timeline:
    """Calls and returns in order of time, as a list from which operations are lifted out."""

    def __init__(self, ops: Sequence[Op]) -> None:
        # A return at the instant of a call does not come before it: they count as concurrent.
        events = sorted(
            [(op.called, 0, i) for i, op in enumerate(ops)]
            + [(op.ended, 1, i) for i, op in enumerate(ops)]
        )
        size = len(events)
        self.end = size + 1
        self.after = [*range(1, size + 2), size + 1]
        self.before = [0, *range(size + 1)]
        self.op_at = [0] * (size + 2)
        self.is_call = [False] * (size + 2)
        self.places = [[0, 0] for _ in ops]
        for place, (_, kind, index) in enumerate(events, 1):
            self.op_at[place], self.is_call[place] = index, kind == 0
            self.places[index][kind] = place

    def lift(self, index: int) -> None:
        for place in self.places[index]:
            self.after[self.before[place]] = self.after[place]
            self.before[self.after[place]] = self.before[place]

    def put_back(self, index: int) -> None:
        for place in reversed(self.places[index]):
            self.after[self.before[place]] = place
            self.before[self.after[place]] = place


def check_key(ops: Sequence[Op], initial: State, step: Step, states_max: int = STATES_MAX) -> Found:
    """Search one key's history."""
    ops = sorted(ops, key=lambda op: (op.called, op.ended))
    line = _Timeline(ops)
    missing = sum(op.certain for op in ops)
    done, state, seen = 0, initial, set[tuple[int, State]]()
    chosen: list[tuple[int, State]] = []
    longest: list[int] = []
    place = line.after[0]
    while missing:
        index = line.op_at[place]
        if place != line.end and line.is_call[place]:
            following = step(state, ops[index])
            situation = (done | 1 << index, following)
            if following is False or situation in seen:
                place = line.after[place]
                continue
            seen.add(situation)
            if len(seen) > states_max:
                return Found(Verdict.UNKNOWN, [ops[i] for i in longest])
            chosen.append((index, state))
            done, state = situation
            missing -= ops[index].certain
            line.lift(index)
            place = line.after[0]
            continue
        # A return whose call has no place yet, or the end: take the last choice back.
        if len(chosen) >= len(longest):
            longest = [i for i, _ in chosen]
        if not chosen:
            return Found(Verdict.VIOLATED, [ops[i] for i in longest])
        index, state = chosen.pop()
        done &= ~(1 << index)
        missing += ops[index].certain
        line.put_back(index)
        place = line.after[line.places[index][0]]
    return Found(Verdict.LINEARIZABLE, [ops[i] for i, _ in chosen])


def check(ops: Iterable[Op], initial: State, step: Step) -> dict[Hashable, Found]:
    """Every key whose history is not shown to be linearizable; empty when all is well.

    A history is linearizable when each key's part of it is (Herlihy and Wing).
    """
    by_key: defaultdict[Hashable, list[Op]] = defaultdict(list)
    for op in ops:
        by_key[op.key].append(op)
    found = {key: check_key(part, initial, step) for key, part in by_key.items()}
    return {key: one for key, one in found.items() if one.verdict is not Verdict.LINEARIZABLE}


def register(state: State, op: Op) -> State | Literal[False]:
    """A register: ("read",) answers its value, ("write", v) sets it, ("swap", old, new) sets it
    if it was old and answers whether it was. States are wrapped, so that False is no state."""
    assert isinstance(state, tuple)
    match op.asked:
        case ("read",):
            return state if not op.certain or (op.answered,) == state else False
        case ("write", value):
            return (value,)
        case ("swap", old, new):
            hit = state == (old,)
            if op.certain and op.answered != hit:
                return False
            return (new,) if hit else state
        case _:
            raise ValueError(op.asked)


def settled(ops: Iterable[Op]) -> list[Op]:
    """The same question about registers, made easier: no operation without an end is left.

    For values that are written once each, and swaps of which only hits were kept. A write whose
    outcome was never heard, and whose value nobody ever saw, can be left out of any order that has
    it: what follows it must be a write. One whose value was seen has happened before the first
    answer that shows it.
    """
    ops = list(ops)
    heard = [op for op in ops if op.certain]
    assert all(op.answered for op in heard if op.asked[0] == "swap"), "a miss tells what was not"
    unheard = {(op.key, op.asked[-1]): op for op in ops if not op.certain and op.asked[0] != "read"}
    waiting = sorted(heard, key=lambda op: op.ended, reverse=True)
    while waiting:
        witness = waiting.pop()
        if witness.asked[0] == "write":
            continue
        value = witness.answered if witness.asked[0] == "read" else witness.asked[1]
        found = unheard.pop((witness.key, value), None)
        if found is not None:
            answered = True if found.asked[0] == "swap" else None
            ended = max(witness.ended, found.called)
            pinned = replace(found, ended=ended, answered=answered)
            heard.append(pinned)
            waiting.append(pinned)
    return heard
