"""Apply does the same thing everywhere, once, and remembers what it said."""

import contextlib
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import keys
from storage.apply import Outcome, applied_index, registered_identity
from storage.batch import BatchError
from storage.dump import state_hash
from storage.ids import blob_id
from storage.memory import MemoryEngine
from tests.storage.story import N1, N2, Log, Store, bytes_of, whole

APPLIED, CONFLICT, FENCED, FORGOTTEN = Outcome
X, Y = keys.REPLICATED + b"x", keys.REPLICATED + b"y"


@pytest.fixture
def log() -> Log:
    log = Log()
    log.register(N1)
    log.register(N2)
    return log


@pytest.fixture
def store(log: Log) -> Store:
    store = Store()
    store.catch_up(log)
    return store


def test_puts_and_deletes_arrive(store: Store, log: Log) -> None:
    assert store.apply(log.batch(put=[(X, b"1"), (Y, b"2")])) == [APPLIED]
    assert store.apply(log.batch(put=[(X, b"3")], delete=[Y])) == [APPLIED]
    assert (store.engine.get(X), store.engine.get(Y)) == (b"3", None)
    assert applied_index(store.engine) == store.applier.index == 4


def test_an_expectation_that_fails_changes_nothing(store: Store, log: Log) -> None:
    store.apply(log.batch(put=[(X, b"1")]))
    outcomes = store.apply(
        log.batch(expect=[(X, b"0")], put=[(Y, b"2")]),
        log.batch(expect=[(X, None)], put=[(Y, b"2")]),
        log.batch(expect=[(X, b"1"), (Y, None)], put=[(Y, b"2")]),
    )
    assert outcomes == [CONFLICT, CONFLICT, APPLIED]


def test_expectations_see_earlier_entries_of_their_group(store: Store, log: Log) -> None:
    outcomes = store.apply(
        log.batch(expect=[(X, None)], put=[(X, b"1")]),
        log.batch(N2, expect=[(X, None)], put=[(X, b"2")]),
        log.batch(expect=[(X, b"1")], delete=[X]),
        log.batch(N2, expect=[(X, None)], put=[(X, b"4")]),
    )
    assert outcomes == [APPLIED, CONFLICT, APPLIED, APPLIED]
    assert store.engine.get(X) == b"4"


def test_a_copy_has_the_first_ones_outcome(store: Store, log: Log) -> None:
    one = log.batch(put=[(X, b"1")])
    other = log.batch(expect=[(X, None)], put=[(Y, b"1")])
    log.batch(delete=[X])
    store.catch_up(log)
    assert store.apply(log.add(one[2]), log.add(other[2])) == [APPLIED, CONFLICT]
    assert store.engine.get(X) is None, "the copy was not applied again"
    assert store.engine.get(Y) is None, "not even where it would no longer conflict"


def test_a_copy_in_the_same_group(store: Store, log: Log) -> None:
    one = log.batch(put=[(X, b"1")])
    assert store.apply(one, log.batch(delete=[X]), log.add(one[2])) == [APPLIED] * 3
    assert store.engine.get(X) is None


def test_outcomes_outlive_the_process(store: Store, log: Log) -> None:
    one = log.batch(put=[(X, b"1")])
    other = log.batch(expect=[(X, None)])
    store.catch_up(log)
    again = store.after_crash()
    assert again.apply(log.add(one[2]), log.add(other[2])) == [APPLIED, CONFLICT]


def test_acknowledged_outcomes_are_forgotten(store: Store, log: Log) -> None:
    first = log.batch(sequence=1, put=[(X, b"1")])
    log.batch(sequence=2, ack_below=1)
    log.batch(sequence=3, ack_below=3, delete=[X])
    store.catch_up(log)
    rows = store.engine.scan(*keys.outcome_range())
    assert [keys.unpack_outcome_key(key)[2] for key, _ in rows] == [3]
    late = log.add(first[2])
    assert store.after_crash().apply(late) == [FORGOTTEN]
    assert store.apply(late) == [FORGOTTEN]
    assert store.engine.get(X) is None, "and are not applied anew"


def test_nobody_acknowledges_what_is_still_to_come(store: Store, log: Log) -> None:
    store.apply(log.batch(sequence=1, ack_below=2**62), log.batch(sequence=2, put=[(X, b"1")]))
    assert store.engine.get(X) == b"1"


def test_an_older_epoch_is_fenced_for_ever(store: Store, log: Log) -> None:
    early = log.batch(put=[(X, b"1")])
    store.catch_up(log)
    assert store.apply(log.register(N1, epoch=2)) == [APPLIED]
    outcomes = store.apply(
        log.add(early[2]),
        log.batch(epoch=1, sequence=9, put=[(Y, b"1")]),
        log.batch(epoch=3, sequence=1, put=[(Y, b"1")]),
        log.batch(epoch=2, sequence=1, put=[(Y, b"2")]),
    )
    assert outcomes == [FENCED, FENCED, FENCED, APPLIED]
    assert store.engine.get(Y) == b"2"
    assert [
        keys.unpack_outcome_key(key) for key, _ in store.engine.scan(*keys.outcome_range(N1))
    ] == [(N1, 2, 1)]


def test_who_never_registered_is_fenced(store: Store, log: Log) -> None:
    assert store.apply(log.batch(77, put=[(X, b"1")])) == [FENCED]


def test_an_epoch_is_registered_by_one_process(store: Store, log: Log) -> None:
    outcomes = store.apply(
        log.register(N1, epoch=2, nonce=b"a"),
        log.register(N1, epoch=2, nonce=b"a"),
        log.register(N1, epoch=2, nonce=b"b"),
        log.register(N1, epoch=1, nonce=b"a"),
    )
    assert outcomes == [APPLIED, APPLIED, FENCED, FENCED]
    assert store.applier.registered(N1) == (2, b"a")
    assert store.after_crash().applier.registered(N1) == (2, b"a")
    assert store.applier.registered(99) == (0, b"")


def test_who_registered_can_be_asked(store: Store, log: Log) -> None:
    assert registered_identity(store.engine, N1) == b"uuid"
    assert registered_identity(store.engine, 99) == b""


def test_a_leaders_first_entry_changes_no_row(store: Store, log: Log) -> None:
    before = state_hash(store.engine), store.applier.chain
    assert store.apply(log.noop()) == [APPLIED]
    assert state_hash(store.engine) == before[0] and store.applier.chain != before[1]


def test_announces_are_told_once(store: Store, log: Log) -> None:
    entry = log.batch(put=[(X, b"1")])
    first, copy = store.results(entry, log.add(entry[2]))
    assert copy.announces == () and first.pid == copy.pid


@pytest.mark.parametrize("payload", [b"\x09unknown", b"\x01damaged"])
def test_what_is_not_understood_halts(store: Store, log: Log, payload: bytes) -> None:
    before = store.engine.rows()
    with pytest.raises(BatchError):
        store.apply(log.batch(put=[(X, b"1")]), log.add(payload))
    assert store.engine.rows() == before, "and nothing of the group was written"


def test_entries_come_in_order(store: Store, log: Log) -> None:
    log.noop()
    with pytest.raises(AssertionError):
        store.apply(log.noop())
    assert store.apply() == []


def test_a_blob_is_whole_when_its_last_part_is_here(store: Store, log: Log) -> None:
    data = bytes_of(600_000)
    first, second, third = whole(data)
    name = blob_id(data)
    store.apply(log.batch(blobs=[third]), log.batch(blobs=[first]))
    assert store.blobs.size(name) is None
    store.apply(log.batch(blobs=[first]))
    assert store.blobs.size(name) is None, "a part that comes twice is one part"
    store.apply(log.batch(blobs=[second]))
    assert store.blobs.size(name) == len(data)
    assert store.blobs.read(name, 0, len(data)) == data
    assert not store.engine.scan(keys.blob_part_key(name, 0), keys.blob_part_key(name, 2**40))
    octets = store.blobs.octets_appended
    store.apply(log.batch(blobs=[second]))
    assert store.blobs.octets_appended == octets, "what is here is not written again"


def test_a_conflict_brings_no_blobs(store: Store, log: Log) -> None:
    data = bytes_of(10)
    assert store.apply(log.batch(expect=[(X, b"?")], blobs=whole(data))) == [CONFLICT]
    assert store.blobs.size(blob_id(data)) is None


# --- two nodes


def random_log(seed: int, length: int) -> Log:
    """Everything that may happen, in any order."""
    chance, log = random.Random(seed), Log()
    epochs = {N1: 0, N2: 0}
    some = [keys.REPLICATED + bytes((letter,)) for letter in b"abc"]
    blobs = [part for size in (0, 9, 300_000, 600_000) for part in whole(bytes_of(size))]
    for _ in range(length):
        replica = chance.choice([N1, N2])
        match chance.randrange(12):
            case 0:
                log.noop()
            case 1:
                epochs[replica] += chance.randrange(2)
                log.register(replica, epochs[replica], chance.choice([b"a", b"b"]))
            case 2 if log.entries:
                log.add(chance.choice(log.entries)[2])
            case 3:
                log.batch(replica, epoch=epochs[replica], blobs=[chance.choice(blobs)])
            case _:
                log.batch(
                    replica,
                    epoch=max(0, epochs[replica] - (chance.random() < 0.1)),
                    ack_below=chance.randrange(log.sequences.get(replica, 0) + 2),
                    expect=[(chance.choice(some), chance.choice([None, b"1", b"2"]))]
                    if chance.random() < 0.5
                    else [],
                    put=[(chance.choice(some), chance.choice([b"1", b"2"]))],
                    delete=[chance.choice(some) + b"!"],
                )
    return log


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_nodes_that_group_and_crash_differently_agree(seed: int, grouping: int) -> None:
    log = random_log(seed, 60)
    one, other = Store(), Store(segment_bytes_max=400_000)
    outcomes = []
    for entry in log.entries:
        outcomes += one.apply(entry)
    chance = random.Random(grouping)
    others: list[Outcome] = []
    while other.applier.index < len(log.entries):
        group = log.entries[other.applier.index :][: chance.randint(1, 9)]
        others += other.apply(*group)
        if chance.random() < 0.2:
            other = other.after_crash()
            assert other.redo(log) == 0
    assert outcomes == others
    assert one.applier.chain == other.applier.chain
    assert state_hash(one.engine) == state_hash(other.engine)


class _DyingEngine(MemoryEngine):
    """The process dies at a write; those before it are there."""

    writes_left = 100

    def write(self, *rows: Any, **options: Any) -> None:
        if self.writes_left == 0:
            raise RuntimeError("the process died")
        self.writes_left -= 1
        super().write(*rows, **options)


@pytest.mark.parametrize("writes", range(4))
def test_a_group_is_all_there_or_not_at_all(log: Log, writes: int) -> None:
    """etcd 13766: what was applied, and that it was, went to the disk one after the other."""
    registered = len(log.entries)
    log.batch(put=[(X, b"1")])
    log.batch(ack_below=2, expect=[(X, b"1")], put=[(X, b"2")])
    undisturbed, dying = Store(), Store(_DyingEngine())
    undisturbed.catch_up(log)
    dying.apply(*log.entries[:registered])
    assert isinstance(dying.engine, _DyingEngine)
    dying.engine.writes_left = writes
    with contextlib.suppress(RuntimeError):
        dying.apply(*log.entries[registered:])
    again = dying.after_crash()
    again.catch_up(log)
    assert again.applier.chain == undisturbed.applier.chain
    assert state_hash(again.engine) == state_hash(undisturbed.engine)


def test_the_chain_tells_payload_outcome_and_order(store: Store, log: Log) -> None:
    chains = set()
    for put in (b"1", b"2"):
        node, own = Store(), Log()
        own.register(N1)
        own.batch(put=[(X, put)])
        node.catch_up(own)
        chains.add(node.applier.chain)
    rejecting, own = Store(), Log()
    own.register(N1)
    rejecting.catch_up(own)
    rejecting.engine.write([(Y, b"a row that should not be here")])
    own.batch(expect=[(Y, None)])
    rejecting.catch_up(own)
    accepting = Store()
    accepting.catch_up(own)
    assert accepting.applier.chain != rejecting.applier.chain
    assert len(chains) == 2
