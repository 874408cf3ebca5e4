"""Both engines keep one contract; and LevelDB refuses what is damaged."""

import resource
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from storage.engine import Engine, EngineRefused, StorageFailed, prefix_end
from storage.leveldb import DAMAGE_MARK, EngineBusy, LevelEngine
from storage.memory import MemoryEngine

ROWS = [(b"a", b"1"), (b"ab", b"2"), (b"b", b""), (b"b\x00", b"3"), (b"\xff", b"4")]


@pytest.fixture(params=["memory", "leveldb"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    engine: Engine = MemoryEngine() if request.param == "memory" else LevelEngine(tmp_path)
    yield engine
    engine.close()


def test_what_is_put_is_got(engine: Engine) -> None:
    engine.write(ROWS)
    assert [engine.get(key) for key, _ in ROWS] == [value for _, value in ROWS]
    assert engine.get(b"aa") is None


def test_a_put_replaces_and_a_delete_removes(engine: Engine) -> None:
    engine.write(ROWS)
    engine.write([(b"a", b"new")], [b"b", b"not there"], sync=True)
    assert engine.get(b"a") == b"new"
    assert engine.get(b"b") is None
    assert engine.scan(b"", b"\xff\xff") == [(b"a", b"new"), ROWS[1], ROWS[3], ROWS[4]]


def test_a_scan_is_in_order_half_open_and_limited(engine: Engine) -> None:
    engine.write(reversed(ROWS))
    assert engine.scan(b"a", b"b") == ROWS[:2]
    assert engine.scan(b"a", b"b\x00") == ROWS[:3]
    assert engine.scan(b"", b"\xff\xff", limit=2) == ROWS[:2]
    assert engine.scan(b"", b"\xff\xff", reverse=True) == ROWS[::-1]
    assert engine.scan(b"a", b"\xff", reverse=True, limit=1) == [ROWS[3]]
    assert engine.scan(b"", b"\xff\xff", limit=0) == []
    assert engine.scan(b"b", b"a") == []
    assert engine.scan(b"c", b"d") == []


def test_the_only_row_of_a_range_is_found_from_both_ends(engine: Engine) -> None:
    engine.write([(b"a", b"1"), (b"b", b"2")])
    for reverse in (False, True):
        assert engine.scan(b"a", b"b", reverse=reverse) == [(b"a", b"1")]
        assert engine.scan(b"a", b"aa", reverse=reverse, limit=1) == [(b"a", b"1")]


def test_nothing_is_asked_of_a_closed_engine(engine: Engine) -> None:
    engine.close()
    with pytest.raises(RuntimeError):
        engine.get(b"a")
    with pytest.raises(RuntimeError):
        engine.scan(b"a", b"b")


def test_the_end_of_a_prefix() -> None:
    assert prefix_end(b"ab") == b"ac"
    assert prefix_end(b"a\xff\xff") == b"b"
    with pytest.raises(AssertionError):
        prefix_end(b"\xff")


EDGES = st.binary(max_size=3)
KEYS = st.binary(min_size=1, max_size=3) | st.sampled_from([b"\x00", b"\xff", b"a\x00"])
PUTS = st.dictionaries(KEYS, st.binary(max_size=4), max_size=5)


class EngineModel(RuleBasedStateMachine):
    """Any engine against a dict."""

    make: Callable[[Path], Engine]

    @initialize()
    def open(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.engine = type(self).make(Path(self.directory.name))
        self.model: dict[bytes, bytes] = {}

    @rule(puts=PUTS, deletes=st.sets(KEYS, max_size=4), sync=st.booleans())
    def write(self, puts: dict[bytes, bytes], deletes: set[bytes], sync: bool) -> None:
        deletes -= puts.keys()
        self.engine.write(puts.items(), deletes, sync=sync)
        self.model.update(puts)
        for key in deletes:
            self.model.pop(key, None)

    @rule(
        start=EDGES | KEYS,
        end=EDGES | KEYS,
        reverse=st.booleans(),
        limit=st.none() | st.integers(0, 4),
    )
    def scan(self, start: bytes, end: bytes, reverse: bool, limit: int | None) -> None:
        expected = sorted(
            ((key, value) for key, value in self.model.items() if start <= key < end),
            reverse=reverse,
        )
        assert self.engine.scan(start, end, reverse=reverse, limit=limit) == expected[:limit]
        ascending = sorted(key for key, _ in expected)
        assert self.engine.scan_keys(start, end, limit=limit) == ascending[:limit]

    @rule(key=KEYS)
    def get(self, key: bytes) -> None:
        assert self.engine.get(key) == self.model.get(key)

    @invariant()
    def all_rows(self) -> None:
        if hasattr(self, "engine"):
            assert self.engine.scan(b"", b"\xff" * 4) == sorted(self.model.items())

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            self.engine.close()
            self.directory.cleanup()


class MemoryModel(EngineModel):
    make = staticmethod(lambda directory: MemoryEngine())


class LevelModel(EngineModel):
    make = staticmethod(LevelEngine)

    @rule()
    def reopen(self) -> None:
        self.engine.close()
        self.engine = LevelEngine(Path(self.directory.name))


TestMemoryModel: Any = MemoryModel.TestCase
TestMemoryModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestLevelModel: Any = LevelModel.TestCase
TestLevelModel.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


def test_memory_survives_a_power_cut_up_to_the_last_sync() -> None:
    engine = MemoryEngine([(b"old", b"1")])
    engine.write([(b"a", b"1")])
    engine.write([(b"b", b"1")], [b"old"], sync=True)
    engine.write([(b"c", b"1")], [b"a"])
    assert engine.survivors() == {b"a": b"1", b"b": b"1"}
    assert engine.rows() == {b"b": b"1", b"c": b"1"}


# --- LevelDB's own files


def log_file(directory: Path) -> Path:
    (log,) = directory.glob("*.log")
    return log


def filled(directory: Path) -> Path:
    engine = LevelEngine(directory)
    for number in range(200):
        engine.write([(b"%04d" % number, bytes(100))])
    engine.close()
    return log_file(directory)


def test_rows_outlive_the_process(tmp_path: Path) -> None:
    filled(tmp_path)
    engine = LevelEngine(tmp_path)
    assert len(engine.scan(b"", b"\xff")) == 200
    engine.close()


def test_a_second_opener_is_told_that_it_is_busy(tmp_path: Path) -> None:
    engine = LevelEngine(tmp_path)
    with pytest.raises(EngineBusy):
        LevelEngine(tmp_path)
    engine.close()


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_flipped_bit_in_the_log_is_refused(tmp_path: Path, place: float) -> None:
    log = filled(tmp_path)
    content = bytearray(log.read_bytes())
    content[int(len(content) * place)] ^= 1
    log.write_bytes(content)
    with pytest.raises(EngineRefused):
        LevelEngine(tmp_path)


def test_a_cut_tail_opens_as_a_prefix(tmp_path: Path) -> None:
    log = filled(tmp_path)
    log.write_bytes(log.read_bytes()[:-50])
    engine = LevelEngine(tmp_path)
    assert len(engine.scan(b"", b"\xff")) == 199
    engine.close()


@pytest.mark.parametrize("pattern", ["MANIFEST-*", "CURRENT"])
def test_damaged_bookkeeping_is_refused(tmp_path: Path, pattern: str) -> None:
    filled(tmp_path)
    for path in tmp_path.glob(pattern):
        path.write_bytes(b"nonsense")
    with pytest.raises(EngineRefused):
        LevelEngine(tmp_path)


def test_a_missing_manifest_is_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    for path in tmp_path.glob("MANIFEST-*"):
        path.unlink()
    with pytest.raises(EngineRefused):
        LevelEngine(tmp_path)


def test_damage_found_by_a_read_is_remembered(tmp_path: Path) -> None:
    engine = LevelEngine(tmp_path)
    for number in range(2000):
        engine.write([(b"%08d" % number, str(number).encode() * 200)])
    engine._db.compact_range()
    engine.close()
    tables = [*tmp_path.glob("*.ldb"), *tmp_path.glob("*.sst")]
    for table in tables:
        content = bytearray(table.read_bytes())
        content[100] ^= 0xFF  # in the first data block; the index at the end is whole
        table.write_bytes(content)
    engine = LevelEngine(tmp_path)
    with pytest.raises(EngineRefused):
        engine.scan(b"", b"\xff")
    engine.close()
    assert (tmp_path / DAMAGE_MARK).exists()
    with pytest.raises(EngineRefused):
        LevelEngine(tmp_path)


def test_a_disk_that_refuses_is_told_in_words(tmp_path: Path) -> None:
    """Not as the octets that the binding passes on, and as what ends the node (status 70)."""
    engine = LevelEngine(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    heard = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    try:
        with pytest.raises(StorageFailed, match=r"^[^']*File too large$"):
            for number in range(100):
                engine.write([(b"%d" % number, bytes(1024))], sync=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, heard)
