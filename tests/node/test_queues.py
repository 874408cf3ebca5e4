"""How a batch is filled from a queue."""

import random
from contextlib import suppress

from node.queues import (
    ROUND_COMMANDS_MAX,
    ROUND_OCTETS_MAX,
    BlobGone,
    Queue,
    Waiting,
    fill_plan,
)
from protocols.ports import Unavailable
from storage.batch import ProposalId
from storage.blob_links import plan_link
from storage.blobs import cut_blob
from storage.ids import AccountId, BlobId, blob_id
from storage.keys import TypeCode, blob_key, lone_blob_key
from storage.memory import MemoryEngine
from storage.plan import Plan
from storage.values import pack_u64

ALICE = AccountId(1)
PID = ProposalId(1, 1, 1)


def plan() -> Plan:
    return Plan(MemoryEngine(), now_ms=0, chance=random.Random(1))


def put(key: bytes, octets: int = 1) -> Waiting:
    return Waiting(ALICE, lambda plan: plan.put(key, bytes(octets)), 0.0)


def queue(*commands: Waiting) -> Queue:
    made = Queue()
    for waiting in commands:
        made.add(waiting)
    return made


def test_a_batch_takes_from_the_front_until_it_is_full() -> None:
    half = ROUND_OCTETS_MAX // 2
    one, two, three = put(b"a", half - 1), put(b"b", half - 1), put(b"c", half)
    waiting, batch = queue(one, two, three), plan()
    taken, _ = fill_plan(waiting, batch)
    assert taken == [one, two] and list(waiting.commands) == [three]
    assert batch.get(b"c") is None, "what did not fit left nothing"


def test_blobs_count_too() -> None:
    data = bytes(ROUND_OCTETS_MAX - 100)
    brings, other = put(b"a"), put(b"b", 200)
    brings.parts = tuple(cut_blob(blob_id(data), data))
    taken, parts = fill_plan(queue(brings, other), plan())
    assert taken == [brings] and len(parts) == len(brings.parts)


def test_two_that_bring_one_blob_bring_it_once() -> None:
    one, two = put(b"a"), put(b"b")
    one.parts = two.parts = tuple(cut_blob(blob_id(b"data"), b"data"))
    taken, parts = fill_plan(queue(one, two), plan())
    assert taken == [one, two] and len(parts) == 1


def test_who_writes_nothing_brings_no_blob() -> None:
    idle, writes, undone = Waiting(ALICE, lambda plan: None, 0.0), put(b"a"), put(b"b")

    def write_and_think_better(plan: Plan) -> None:
        with suppress(ValueError), plan.attempt():
            plan.put(b"c", b"")
            raise ValueError

    undone.command = write_and_think_better
    for waiting, data in ((idle, b"idle"), (writes, b"writes"), (undone, b"undone")):
        waiting.parts = tuple(cut_blob(blob_id(data), data))
    taken, parts = fill_plan(queue(idle, writes, undone), plan())
    assert taken == [idle, writes, undone] and parts == list(writes.parts)


def test_a_blob_of_two_comes_with_the_one_that_writes() -> None:
    idle, writes = Waiting(ALICE, lambda plan: None, 0.0), put(b"a")
    idle.parts = writes.parts = tuple(cut_blob(blob_id(b"data"), b"data"))
    assert fill_plan(queue(idle, writes), plan())[1] == list(writes.parts)


def test_a_large_command_goes_alone() -> None:
    large, small = put(b"a", ROUND_OCTETS_MAX * 2), put(b"b")
    taken, _ = fill_plan(queue(large, small), plan())
    assert taken == [large]


def test_commands_are_counted() -> None:
    waiting = queue(*[put(b"%04d" % number) for number in range(ROUND_COMMANDS_MAX + 5)])
    taken, _ = fill_plan(waiting, plan())
    assert (len(taken), len(waiting.commands)) == (ROUND_COMMANDS_MAX, 5)


def test_who_is_gone_is_not_planned() -> None:
    gone, here = put(b"a"), put(b"b")
    gone.finish()
    batch = plan()
    assert fill_plan(queue(gone, here), batch)[0] == [here]
    assert batch.get(b"a") is None


def test_who_is_gone_leaves_the_queue_wherever_it_stands() -> None:
    one, two, three = put(b"a"), put(b"b"), put(b"c")
    waiting = queue(one, two, three)
    waiting.drop(two)
    waiting.drop(two)  # a second time changes nothing
    assert waiting.take() is one
    waiting.drop(one)
    waiting.back([one])
    waiting.drop(one)
    assert list(waiting.commands) == [three]


def test_a_blob_that_was_collected_makes_the_command_unavailable() -> None:
    needs = put(b"a")
    needs.needs = (blob_id(b"gone"),)
    assert fill_plan(queue(needs), plan())[0] == []
    assert isinstance(needs.error, Unavailable)


def link(blob: BlobId) -> Waiting:
    def command(plan: Plan) -> None:
        plan_link(plan, ALICE, blob, TypeCode.UPLOAD, 1)

    return Waiting(ALICE, command, 0.0)


def test_nobody_comes_to_hold_a_blob_that_is_neither_here_nor_on_its_way() -> None:
    blob = blob_id(b"data")
    alone, brings = link(blob), link(blob)
    brings.parts = tuple(cut_blob(blob, b"data"))
    batch = plan()
    assert fill_plan(queue(alone, brings), batch)[0] == [brings]
    assert isinstance(alone.error, BlobGone)
    expected = [expect.key for expect in batch.batch(PID, 0).expects]
    assert expected == [lone_blob_key(blob)], "who brings it need not find it"


def test_who_comes_to_hold_what_is_here_expects_it_to_stay() -> None:
    blob, engine = blob_id(b"data"), MemoryEngine()
    engine.write([(blob_key(blob), pack_u64(4))])
    batch, linking = Plan(engine, now_ms=0, chance=random.Random(1)), link(blob)
    assert fill_plan(queue(linking), batch)[0] == [linking]
    expected = {expect.key: expect.value for expect in batch.batch(PID, 0).expects}
    assert expected == {lone_blob_key(blob): None, blob_key(blob): pack_u64(4)}


def test_an_object_that_was_refused_holds_nothing() -> None:
    blob = blob_id(b"gone")

    def command(plan: Plan) -> None:
        with suppress(ValueError), plan.attempt():
            plan_link(plan, ALICE, blob, TypeCode.UPLOAD, 1)
            raise ValueError
        plan.put(b"other", b"")

    waiting = Waiting(ALICE, command, 0.0)
    assert fill_plan(queue(waiting), plan())[0] == [waiting] and waiting.error is None


def test_an_end_is_final() -> None:
    waiting = put(b"a")
    waiting.finish(Unavailable("late"))
    waiting.finish()
    assert waiting.gone and isinstance(waiting.error, Unavailable)


def test_conflicting_commands_come_first_again_in_order() -> None:
    one, two, three = put(b"a"), put(b"b"), put(b"c")
    waiting = queue(three)
    waiting.back([one, two])
    assert list(waiting.commands) == [one, two, three]
