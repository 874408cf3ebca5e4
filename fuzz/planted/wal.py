"""Bugs of the write-ahead log, in raft/."""

from typing import Final

from fuzz.planted.mutant import Mutant

MUTANTS: Final = (
    Mutant(
        "a log written without fsync",
        "raft/wal.py",
        "        self._file.sync_data()",
        "        pass",
        ("tests/raft/test_wal.py",),
    ),
    Mutant(
        "a segment that forgets the hard state",
        "raft/wal.py",
        "            hard_state=self.hard_state,",
        "            hard_state=HardState(),",
        ("tests/raft/test_repair.py",),
    ),
    Mutant(
        "a segment whose name is not synced",
        "raft/wal.py",
        '        self._disk.rename(unfinished, f"{self._directory}/{name}")\n'
        "        self._disk.sync_directory(self._directory)\n",
        '        self._disk.rename(unfinished, f"{self._directory}/{name}")\n',
        (
            "tests/raft/test_wal.py",
            "tests/raft/test_compaction.py",
        ),
    ),
    Mutant(
        "the end that an earlier boot left is trusted to be on the disk",
        "raft/wal.py",
        "        self._file = self._begin_segment(found.tail)\n",
        "        self._file = self._begin_segment([])\n",
        ("tests/raft/test_wal.py",),
    ),
    Mutant(
        "after a failed fsync it is tried again",
        "raft/wal.py",
        "            self._is_failed = True\n",
        "            pass\n",
        ("tests/raft/test_wal.py",),
    ),
    Mutant(
        "a segment gets its name before its header is on the disk",
        "raft/wal.py",
        "        file.sync_data()\n        name = segment_name",
        "        name = segment_name",
        ("tests/raft/test_wal.py",),
    ),
    Mutant(
        "old segments go before the record that allows it is synced",
        "raft/wal.py",
        "        self._put_flush(self._file, body)\n"
        "        self._file.sync_data()\n"
        "        self._note(steps, entries_at, body)\n"
        "        self._seal()\n"
        "        if any(step.snapshot is not None for step in steps):\n"
        "            self._remove_old_segments()\n",
        "        self._put_flush(self._file, body)\n"
        "        self._note(steps, entries_at, body)\n"
        "        if any(step.snapshot is not None for step in steps):\n"
        "            self._remove_old_segments()\n"
        "        self._file.sync_data()\n"
        "        self._seal()\n",
        ("tests/raft/test_compaction.py",),
    ),
    Mutant(
        "one segment too many is forgotten",
        "raft/wal.py",
        "        old = [sequence for sequence in sorted(self._ends) if sequence < needed]",
        "        old = [sequence for sequence in sorted(self._ends) if sequence <= needed]",
        ("tests/raft/test_compaction.py",),
    ),
    Mutant(
        "a head in doubt is forgotten by a restart",
        "raft/wal.py",
        "        self.head_in_doubt = DOUBT_NAME in disk.list_names(directory)\n",
        "        self.head_in_doubt = False\n",
        ("tests/raft/test_recovery.py",),
    ),
    Mutant(
        "a truncation is not written",
        "raft/segment.py",
        "        if step.truncate_from is not None:\n            head",
        "        if False:\n            head",
        ("tests/raft/test_wal.py",),
    ),
    Mutant(
        "a segment's salt is ignored",
        "raft/segment.py",
        "    return salt & 0xFFFFFFFF",
        "    return 0",
        ("tests/raft/test_wal.py",),
    ),
    Mutant(
        "a header that is written once",
        "raft/segment.py",
        "_COPY_OFFSETS: Final = (0, BLOCK_BYTES // 2)",
        "_COPY_OFFSETS: Final = (0,)",
        ("tests/raft/test_wal.py",),
    ),
    Mutant(
        "a torn flush is kept",
        "raft/recovery.py",
        "        return flush if body_crc(body, flush.previous_crc) == flush.body_crc else None",
        "        return flush",
        ("tests/raft/test_wal.py",),
    ),
    Mutant(
        "damage of what was synced is taken for a torn end",
        "raft/recovery.py",
        "            if later.synced_up_to == offset and later.number > self._number:",
        "            if False:",
        ("tests/raft/test_repair.py",),
    ),
    Mutant(
        "a damaged end is cut and nobody is told",
        "raft/wal.py",
        "        if others and (found.head_in_doubt or repair.cut is not None):",
        "        if False:",
        ("tests/raft/test_recovery.py",),
    ),
    Mutant(
        "a missing segment is passed over",
        "raft/history.py",
        "        if self.positions.start > start:",
        "        if False:",
        (
            "tests/raft/test_repair.py",
            "tests/raft/test_compaction.py",
        ),
    ),
    Mutant(
        "what a damaged flush may have replaced is taken for whole",
        "raft/history.py",
        "        if entry.index == low and self.last_term == entry.term:",
        "        if entry.index == low:",
        ("tests/raft/test_repair.py",),
    ),
    Mutant(
        "copies stand behind whatever is there",
        "raft/history.py",
        "            if index < gap.low and self._term(index) == copy.term:",
        "            if index < gap.low:",
        ("tests/raft/test_repair.py",),
    ),
    Mutant(
        "copies of two repairs are mixed",
        "raft/history.py",
        "        self.repair = repair\n",
        "",
        ("tests/raft/test_repair.py",),
    ),
    Mutant(
        "entries behind one that lost its place are kept",
        "raft/repair.py",
        "            self._cut = meta.index + 1  #",
        "            pass  #",
        ("tests/raft/test_repair.py",),
    ),
    Mutant(
        "a leader of old is believed to know what was never committed",
        "raft/repair.py",
        "    leads = state.role is Role.LEADER and state.term >= ask.anchor_term",
        "    leads = state.role is Role.LEADER",
        ("tests/raft/test_repair.py",),
    ),
    Mutant(
        "a log begun anew seems to have lost what it took back",
        "raft/history.py",
        "        if first > self.positions.last + 1 and not self.is_front_open:",
        "        if first > self.positions.last + 1:",
        ("tests/raft/test_compaction.py",),
    ),
    Mutant(
        "what follows a replaced entry is taken to follow the snapshot",
        "raft/history.py",
        "            self._check_start(front)\n",
        "            pass\n",
        ("tests/raft/test_repair.py",),
    ),
    Mutant(
        "a seal that should have been replaced ends the log",
        "raft/recovery.py",
        "            if flush is None or (flush.length == 0 and self._finds_later(end)):",
        "            if flush is None:",
        (
            "tests/raft/test_damage.py::test_a_seal_that_a_flush_never_replaced_does_not_end_the_log",
        ),
    ),
    Mutant(
        "a vote stands in the log alone",
        "raft/wal.py",
        "            self._votes.write(self.hard_state)  # promised only when both are durable",
        "            pass",
        ("tests/raft/test_repair.py",),
    ),
    Mutant(
        "a gap is filled by whoever has entries there",
        "raft/repair.py",
        "    if not holds or ask.low > ask.anchor:",
        "    if ask.low > ask.anchor:",
        ("tests/raft/test_repair.py",),
    ),
    Mutant(
        "another replica's log is taken for ours",
        "raft/recovery.py",
        "    if header.cluster != cluster or header.replica != replica:",
        "    if header.cluster != cluster:",
        ("tests/raft/test_wal.py",),
    ),
)
