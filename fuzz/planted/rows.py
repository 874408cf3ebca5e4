"""Bugs of apply, of rows and blobs on the disk, and of mail in the rows, in storage/."""

from typing import Final

from fuzz.planted.mutant import Mutant

MUTANTS: Final = (
    Mutant(
        "no fence before an earlier process",
        "storage/apply.py",
        "        if origin is None or pid.epoch != origin.epoch:",
        "        if origin is None:",
        ("tests/storage/test_apply.py",),
    ),
    Mutant(
        "a proposal applied twice",
        "storage/apply.py",
        "        known = origin.outcomes.get(pid.sequence)\n",
        "        known = None\n",
        ("tests/storage/test_apply.py",),
    ),
    Mutant(
        "a late copy of what is settled is applied",
        "storage/apply.py",
        "        if pid.sequence < origin.low:",
        "        if pid.sequence < 0:",
        ("tests/storage/test_apply.py",),
    ),
    Mutant(
        "expectations are not looked at",
        "storage/apply.py",
        "        if not self._holds(asked):",
        "        if False:",
        ("tests/storage/test_apply.py",),
    ),
    Mutant(
        "expectations do not see their own group",
        "storage/apply.py",
        "            if self._get(expect.key) != expect.value:",
        "            if self._engine.get(expect.key) != expect.value:",
        ("tests/storage/test_apply.py",),
    ),
    Mutant(
        "a conflict is not remembered",
        "storage/apply.py",
        "            self._remember(origin, asked, index, Outcome.CONFLICT)\n",
        "",
        ("tests/storage/test_apply.py",),
    ),
    Mutant(
        "outcomes are forgotten before they are acknowledged",
        "storage/apply.py",
        "        low = min(batch.ack_below, pid.sequence)\n",
        "        low = pid.sequence\n",
        ("tests/storage/test_apply.py",),
    ),
    Mutant(
        "outcomes that are lost at a restart",
        "storage/apply.py",
        "        origins[replica].outcomes[sequence] = Outcome(outcome)\n",
        "",
        ("tests/storage/test_apply.py",),
    ),
    Mutant(
        "two processes with one epoch",
        "storage/apply.py",
        "            return Outcome.APPLIED if same else Outcome.FENCED\n",
        "            return Outcome.APPLIED\n",
        ("tests/storage/test_apply.py",),
    ),
    Mutant(
        "a chain hash that does not tell the outcome",
        "storage/apply.py",
        "pack_link(index, result.outcome)",
        "pack_link(index, 0)",
        ("tests/storage/test_apply.py",),
    ),
    Mutant(
        "the applied index is written apart from its rows",
        "storage/apply.py",
        "        self._engine.write(puts, deletes)\n        overlay.clear()",
        "        self._engine.write([(key, value) for key, value in puts if key != "
        "local_keys.APPLIED_KEY], deletes)\n"
        "        self._engine.write([(key, value) for key, value in puts if key == "
        "local_keys.APPLIED_KEY])\n"
        "        overlay.clear()",
        (
            "tests/storage/test_apply.py",
            "tests/storage/test_checkpoint.py",
        ),
    ),
    Mutant(
        "a checkpoint claimed before its blobs are synced",
        "storage/checkpoint.py",
        "        self._blobs.sync(checkpoint.segments)",
        "        pass",
        ("tests/storage/test_checkpoint.py",),
    ),
    Mutant(
        "a checkpoint that tells of what came after it began",
        "storage/checkpoint.py",
        "        row = (local_keys.CHECKPOINT_KEY, pack_u64(checkpoint.index))",
        "        row = (local_keys.CHECKPOINT_KEY, pack_u64(self._applier.index))",
        ("tests/storage/test_checkpoint.py",),
    ),
    Mutant(
        "a hole in the rows is not noticed",
        "storage/checkpoint.py",
        "        if before != reached:",
        "        if before > reached + 10**9:",
        (
            "tests/storage/test_checkpoint.py",
            "tests/storage/test_opening.py",
        ),
    ),
    Mutant(
        "LevelDB without paranoid checks",
        "storage/leveldb.py",
        "                paranoid_checks=True,",
        "                paranoid_checks=False,",
        (
            "tests/storage/test_engine.py",
            "tests/storage/test_opening.py",
        ),
    ),
    Mutant(
        "damage found by a read is forgotten by a restart",
        "storage/leveldb.py",
        "        self.condemn(error)\n",
        "",
        ("tests/storage/test_engine.py",),
    ),
    Mutant(
        "rows ahead of their log are kept",
        "storage/opening.py",
        "        if applied > log_end and applied != installed(engine)[0]:",
        "        if False:",
        ("tests/storage/test_opening.py",),
    ),
    Mutant(
        "a snapshot is the state before it is whole",
        "storage/opening.py",
        "        self._place = directory / name\n"
        "        self._head = head\n"
        "        self._place.mkdir()\n",
        "        self._place = directory / name\n"
        "        self._head = head\n"
        "        self._place.mkdir()\n"
        "        (directory / CURRENT).write_text(name)\n",
        ("tests/storage/test_snapshot.py",),
    ),
    Mutant(
        "a snapshot is adopted in two steps",
        "storage/opening.py",
        "        unfinished.replace(self._directory / CURRENT)\n",
        "        (self._directory / CURRENT).unlink(missing_ok=True)\n"
        "        unfinished.replace(self._directory / CURRENT)\n",
        ("tests/storage/test_snapshot.py",),
    ),
    Mutant(
        "a snapshot's rows are not compared with the giver's hash",
        "storage/opening.py",
        "            if state_hash(engine) != self._head.digest:",
        "            if False:",
        (
            "tests/storage/test_snapshot.py",
            "tests/node/test_snapshots.py",
        ),
    ),
    Mutant(
        "a blob of a snapshot is not compared with its name",
        "storage/snapshot.py",
        "        if self._hashes.pop(part.blob).digest() != part.blob:",
        "        if self._hashes.pop(part.blob) is None:",
        ("tests/storage/test_snapshot.py",),
    ),
    Mutant(
        "counters off by one after a move",
        "storage/mail/ledger.py",
        "        for mailbox, _ in meta.mailboxes:\n"
        "            self._tally(mailbox).add_email(meta, sign)",
        "        for mailbox, _ in meta.mailboxes[:1]:\n"
        "            self._tally(mailbox).add_email(meta, sign)",
        ("tests/storage/mail/test_moves.py",),
    ),
    Mutant(
        "a UID is given a second time",
        "storage/mail/ledger.py",
        "        tally.uidnext = uid + 1\n",
        "        tally.uidnext = uid\n",
        ("tests/storage/mail/test_ingest.py",),
    ),
    Mutant(
        "a message that is moved keeps its UID",
        "storage/mail/moves.py",
        "            moved = _moved(ledger, found, {**left, target: None})",
        "            moved = _moved(ledger, found, {**left, target: uid})",
        ("tests/storage/mail/test_moves.py",),
    ),
    Mutant(
        "a UIDVALIDITY is given a second time",
        "storage/mail/uids.py",
        "next_uidvalidity=drawn + 1)",
        "next_uidvalidity=drawn)",
        (
            "tests/storage/mail/test_mailboxes.py",
            "tests/storage/mail/test_uids.py",
        ),
    ),
    Mutant(
        "what vanished is not told",
        "storage/mail/ledger.py",
        "                self._vanished.setdefault(mailbox, []).append(uid)\n",
        "",
        (
            "tests/storage/mail/test_moves.py",
            "tests/storage/mail/test_uids.py",
        ),
    ),
)
