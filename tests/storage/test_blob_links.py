"""Who holds which blob."""

import random

from storage.blob_links import holders, holds, plan_link, plan_unlink
from storage.ids import AccountId, blob_id
from storage.keys import TypeCode
from storage.memory import MemoryEngine
from storage.plan import Plan

ALICE, BOB = AccountId(1), AccountId(2)
BLOB = blob_id(b"data")


def test_a_blob_is_held_until_its_last_holder_lets_go() -> None:
    plan = Plan(MemoryEngine(), now_ms=0, chance=random.Random(1))
    plan_link(plan, ALICE, BLOB, TypeCode.EMAIL, 7)
    plan_link(plan, ALICE, BLOB, TypeCode.UPLOAD, 1)
    assert holds(plan, ALICE, BLOB) and not holds(plan, BOB, BLOB)
    assert holders(plan, ALICE, BLOB) == [(TypeCode.EMAIL, 7), (TypeCode.UPLOAD, 1)]
    assert holders(plan, ALICE, BLOB, limit=1) == [(TypeCode.EMAIL, 7)]
    plan_unlink(plan, ALICE, BLOB, TypeCode.EMAIL, 7)
    assert holds(plan, ALICE, BLOB)
    plan_unlink(plan, ALICE, BLOB, TypeCode.UPLOAD, 1)
    assert not holds(plan, ALICE, BLOB)
