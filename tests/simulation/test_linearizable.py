"""The checker itself: known histories of one register, and random ones against brute force."""

import random
from itertools import permutations
from math import inf

import pytest

from tests.simulation.linearizable import Op, Verdict, check, check_key, register, settled

EMPTY = (None,)


def read(called: float, ended: float, value: object) -> Op:
    return Op("x", called, ended, ("read",), value)


def write(called: float, ended: float, value: object) -> Op:
    return Op("x", called, ended, ("write", value))


def swap(called: float, ended: float, old: object, new: object, hit: bool) -> Op:
    return Op("x", called, ended, ("swap", old, new), hit)


def verdict(*ops: Op) -> Verdict:
    return check_key(ops, EMPTY, register).verdict


def test_what_was_written_is_read() -> None:
    assert verdict(write(0, 1, "a"), read(2, 3, "a")) is Verdict.LINEARIZABLE


def test_a_stale_read_is_seen() -> None:
    found = check_key([write(0, 1, "a"), write(2, 3, "b"), read(4, 5, "a")], EMPTY, register)
    assert found.verdict is Verdict.VIOLATED
    assert len(found.order) == 2  # both writes have a place, the read has none


def test_a_read_beside_a_write_may_see_either() -> None:
    assert verdict(write(0, 10, "a"), read(1, 2, None)) is Verdict.LINEARIZABLE
    assert verdict(write(0, 10, "a"), read(1, 2, "a")) is Verdict.LINEARIZABLE
    assert verdict(write(0, 10, "a"), read(1, 2, "a"), read(3, 4, None)) is Verdict.VIOLATED


def test_an_unknown_outcome_may_come_late_or_never_but_once() -> None:
    lost = write(0, inf, "a")
    assert verdict(lost, read(1, 2, None), read(3, 4, "a")) is Verdict.LINEARIZABLE
    assert verdict(lost, read(1, 2, None)) is Verdict.LINEARIZABLE
    assert verdict(lost, write(1, 2, "b"), read(3, 4, "a")) is Verdict.LINEARIZABLE
    back_again = [read(3, 4, "a"), write(5, 6, "b"), read(7, 8, "a")]
    assert verdict(lost, *back_again) is Verdict.VIOLATED


def test_two_swaps_from_one_value_cannot_both_hit() -> None:
    one, other = swap(2, 5, "a", "b", True), swap(2, 5, "a", "c", True)
    assert verdict(write(0, 1, "a"), one, other) is Verdict.VIOLATED
    assert verdict(write(0, 1, "a"), one, swap(2, 5, "a", "c", False)) is Verdict.LINEARIZABLE


def test_what_is_too_hard_is_not_called_well() -> None:
    ops = [write(0, 100, n) for n in range(12)] + [read(200, 201, "never written")]
    assert check_key(ops, EMPTY, register, states_max=1000).verdict is Verdict.UNKNOWN


def test_keys_are_judged_apart() -> None:
    other = Op("y", 2, 3, ("read",), "stale")
    bad = check([write(0, 1, "a"), read(2, 3, "a"), other], EMPTY, register)
    assert list(bad) == ["y"]


def test_a_long_history_is_quick() -> None:
    chance, ops, value, at = random.Random(1), list[Op](), None, 0.0
    for number in range(3_000):
        at += chance.random()
        if chance.random() < 0.5:
            value = number
            ops.append(write(at, at + 0.1, number))
        else:
            ops.append(read(at, at + 0.1, value))
        at += 0.2
    assert verdict(*ops) is Verdict.LINEARIZABLE


def brute_force(ops: list[Op]) -> bool:
    """Whether any order of any choice of the uncertain ones works."""
    for order in permutations(range(len(ops))):
        for size in range(len(ops) + 1):
            taken = [ops[i] for i in order[:size]]
            if sum(op.certain for op in taken) < sum(op.certain for op in ops):
                continue
            if any(b.ended < a.called for i, a in enumerate(taken) for b in taken[i + 1 :]):
                continue
            state: object = EMPTY
            for op in taken:
                state = register(state, op)  # type: ignore[arg-type]
                if state is False:
                    break
            if state is not False:
                return True
    return False


@pytest.mark.parametrize("seed", range(150))
def test_it_agrees_with_brute_force(seed: int) -> None:
    chance, ops = random.Random(seed), list[Op]()
    for _ in range(5):
        called = chance.randrange(10)
        ended = called + chance.randrange(1, 6) if chance.random() < 0.8 else inf
        value, other = chance.choice("ab"), chance.choice("ab")
        match chance.randrange(3):
            case 0:
                ops.append(read(called, ended, chance.choice(["a", "b", None])))
            case 1:
                ops.append(write(called, ended, value))
            case _:
                ops.append(swap(called, ended, value, other, chance.random() < 0.5))
    assert (verdict(*ops) is Verdict.LINEARIZABLE) == brute_force(ops)


def test_what_nobody_heard_of_and_nobody_saw_is_left_out() -> None:
    assert settled([write(0, inf, "a"), read(1, 2, None)]) == [read(1, 2, None)]


def test_what_somebody_saw_has_happened_by_then() -> None:
    chain = [write(0, inf, "a"), swap(1, inf, "a", "b", False), read(3, 4, "b"), read(5, 6, "b")]
    assert settled(chain) == [*chain[2:], swap(1, 4, "a", "b", True), write(0, 4, "a")]


def test_a_value_seen_before_it_was_written_stays_wrong() -> None:
    phantom = [read(1, 2, "a"), write(3, inf, "a")]
    assert verdict(*settled(phantom)) is Verdict.VIOLATED


def _history(chance: random.Random) -> list[Op]:
    """A small history of unique values, some of it with stale reads and lost answers."""
    ops: list[Op] = []
    value: object = None
    seen: list[object] = [None]
    for number in range(7):
        called = number + chance.choice([0, -1.5, 0.5])
        ended = inf if chance.random() < 0.3 else called + chance.choice([0.5, 1, 3])
        draw = chance.random()
        if draw < 0.5:
            ops.append(read(called, ended, chance.choice(seen) if draw < 0.15 else value))
        elif draw < 0.8:
            ops.append(write(called, ended, number))
            value = number if ended != inf or chance.random() < 0.5 else value
        else:
            ops.append(swap(called, ended, value, number, ended != inf))
            value = number if ended != inf or chance.random() < 0.5 else value
        seen.append(value)
    return ops


@pytest.mark.parametrize("seed", range(200))
def test_settling_changes_no_verdict(seed: int) -> None:
    ops = _history(random.Random(seed))
    assert verdict(*settled(ops)) is verdict(*ops)


def test_both_verdicts_come_up() -> None:
    found = {verdict(*_history(random.Random(seed))) for seed in range(200)}
    assert found == {Verdict.LINEARIZABLE, Verdict.VIOLATED}
