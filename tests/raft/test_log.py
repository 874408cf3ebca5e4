"""The core's log: terms, conflicts, the window and what has left it."""

from raft.log import ENTRY_OVERHEAD_BYTES, RaftLog
from raft.model import Entry
from raft.stable import MemoryLog
from tests.raft.story import CLUSTER, entries, entry, step


def log_of(*written: Entry, window_bytes_max: int = 1 << 20) -> tuple[RaftLog, MemoryLog]:
    storage = MemoryLog(cluster=CLUSTER, replica=1)
    log = RaftLog(storage, last=0, term_runs=(), window_bytes_max=window_bytes_max)
    log.append(written)
    return log, storage


def flush(log: RaftLog, storage: MemoryLog) -> None:
    truncate_from, taken = log.take_unhanded()
    storage.write([step(*taken, truncate_from=truncate_from)])
    log.made_durable(log.handed)


def test_terms_are_kept_as_runs() -> None:
    log, _ = log_of(*entries(1, 3), *entries(4, 5, term=4))
    assert [log.term(index) for index in range(6)] == [0, 1, 1, 1, 4, 4]
    assert log.term_runs == [(1, 1), (4, 4)]
    assert log.matches(0, 0) and log.matches(4, 4)
    assert not log.matches(4, 1) and not log.matches(6, 4)


def test_the_hint_skips_a_whole_term() -> None:
    log, _ = log_of(*entries(1, 3), *entries(4, 9, term=4), *entries(10, 12, term=6))
    assert log.last_at_or_below(12, 6) == (12, 6)
    assert log.last_at_or_below(12, 5) == (9, 4)
    assert log.last_at_or_below(8, 4) == (8, 4)
    assert log.last_at_or_below(99, 2) == (3, 1)
    assert log.last_at_or_below(2, 0) == (0, 0)


def test_which_logs_may_lead_this_one() -> None:
    log, _ = log_of(*entries(1, 2), *entries(3, 4, term=2))
    assert log.is_covered_by(2, 4) and log.is_covered_by(3, 1) and log.is_covered_by(2, 9)
    assert not log.is_covered_by(2, 3) and not log.is_covered_by(1, 99)


def test_truncating_what_the_writer_has_is_told_to_it() -> None:
    log, storage = log_of(*entries(1, 5))
    flush(log, storage)
    log.truncate(4)
    log.append(entries(4, 6, term=2))
    log.truncate(6)
    log.append(entries(6, 6, term=3))
    assert log.durable == 3
    assert log.take_unhanded() == (4, (*entries(4, 5, term=2), *entries(6, 6, term=3)))
    assert log.take_unhanded() == (None, ())


def test_truncating_what_was_never_handed_out_needs_no_record() -> None:
    log, _ = log_of(*entries(1, 5))
    log.truncate(3)
    assert log.take_unhanded() == (None, entries(1, 2))


def test_slices_are_cut_by_bytes_but_never_empty() -> None:
    log, _ = log_of(*(entry(i, payload=bytes(100)) for i in range(1, 11)))
    each = 100 + ENTRY_OVERHEAD_BYTES
    assert len(log.slice(1, 10, 10 * each)) == 10
    assert len(log.slice(1, 10, 3 * each + 1)) == 3
    assert len(log.slice(4, 10, 1)) == 1
    assert log.slice(5, 4, 100) == ()
    assert log.bytes_between(3, 4) == 2 * each


def test_only_settled_entries_leave_memory_and_are_read_back() -> None:
    log, storage = log_of(window_bytes_max=1000)
    for index in range(1, 101):
        log.append([entry(index, payload=bytes([index]) * 50)])
        flush(log, storage)
        log.trim(settled=60)
    assert log._window_first == 61  # the rest is not committed and stays, whatever it takes
    assert log.bytes_between(61, 100) == 40 * (50 + ENTRY_OVERHEAD_BYTES)
    log.trim(settled=100)
    assert log.bytes_between(1, 100) <= 1000 + 50 + ENTRY_OVERHEAD_BYTES
    assert [e.payload[0] for e in log.slice(1, 100, 1 << 20)] == list(range(1, log._window_first))
    assert [e.payload[0] for e in log.slice(100, 100, 1)] == [100]


def test_a_conflict_below_the_window_empties_it() -> None:
    log, storage = log_of(window_bytes_max=100)
    log.append(entries(1, 50))
    flush(log, storage)
    log.trim(settled=50)
    log.truncate(10)
    log.append(entries(10, 12, term=2))
    flush(log, storage)
    assert [e.term for e in log.slice(10, 12, 1 << 20)] == [2, 2, 2]
    assert log.slice(9, 12, 1 << 20)[0] == entry(9)
