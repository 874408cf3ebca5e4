"""What falls due, in the order it does."""

import random

from storage.due import Due, list_due, plan_done, plan_due
from storage.ids import AccountId
from storage.keys import TypeCode
from storage.memory import MemoryEngine
from storage.plan import Plan

ALICE, BOB = AccountId(1), AccountId(2)


def test_things_are_told_when_their_time_has_come_and_until_they_are_done() -> None:
    plan = Plan(MemoryEngine(), now_ms=0, chance=random.Random(1))
    late = Due(30, TypeCode.UPLOAD, ALICE, b"blob")
    early = Due(10, TypeCode.SUBMISSION, BOB, b"\x00\x01")
    for due in (late, early):
        plan_due(plan, due, b"note" if due is late else b"")
    assert list_due(plan, 9, limit=10) == []
    assert list_due(plan, 10, limit=10) == [(early, b"")]
    assert list_due(plan, 30, limit=10) == [(early, b""), (late, b"note")]
    assert list_due(plan, 30, limit=1) == [(early, b"")]
    plan_done(plan, early)
    plan_done(plan, early)
    assert list_due(plan, 99, limit=10) == [(late, b"note")]
