"""Bugs of apply, of rows and blobs on the disk, and of proposals, in storage/ and node/."""

from typing import Final

from fuzz.planted.mutant import TIER_B, Mutant

MUTANTS: Final = (
    Mutant(
        "a reader that does not wait for apply",
        "node/reads.py",
        "        self._machine.when_applied(index, lambda: _wake(readers))",
        "        _wake(readers)",
        (TIER_B, "tests/node/test_reads.py"),
    ),
    Mutant(
        "no fence before an earlier process",
        "storage/apply.py",
        "        if origin is None or pid.epoch != origin.epoch:",
        "        if origin is None:",
        (TIER_B, "tests/storage/test_apply.py"),
    ),
    Mutant(
        "a proposal applied twice",
        "storage/apply.py",
        "        known = origin.outcomes.get(pid.sequence)\n",
        "        known = None\n",
        (TIER_B, "tests/storage/test_apply.py"),
    ),
    Mutant(
        "a late copy of what is settled is applied",
        "storage/apply.py",
        "        if pid.sequence < origin.low:",
        "        if pid.sequence < 0:",
        (TIER_B, "tests/storage/test_apply.py"),
    ),
    Mutant(
        "expectations are not looked at",
        "storage/apply.py",
        "        if not self._holds(asked):",
        "        if False:",
        (TIER_B,),
    ),
    Mutant(
        "a registration that is not above the last",
        "node/rounds.py",
        "                origin.replica, held + 1, origin.node, origin.identity, origin.nonce",
        "                origin.replica, max(held, 1), origin.node, origin.identity, origin.nonce",
        (TIER_B,),
    ),
    Mutant(
        "outcomes that are lost at a restart",
        "storage/apply.py",
        "        origins[replica].outcomes[sequence] = Outcome(outcome)\n",
        "",
        (TIER_B, "tests/storage/test_apply.py"),
    ),
    Mutant(
        "a checkpoint claimed before its blobs are synced",
        "storage/checkpoint.py",
        "        self._blobs.sync(checkpoint.segments)",
        "        pass",
        (TIER_B, "tests/storage/test_checkpoint.py"),
    ),
    Mutant(
        "blobs lost in a power cut are not written again",
        "node/foundation.py",
        "    _redo_blobs(foundation)\n    return foundation",
        "    return foundation",
        (TIER_B,),
    ),
    Mutant(
        "a hole in the rows is not noticed",
        "storage/checkpoint.py",
        "        if before != reached:",
        "        if before > reached + 10**9:",
        ("tests/storage/test_checkpoint.py", "tests/storage/test_opening.py"),
    ),
    Mutant(
        "an emptied disk votes as if it knew",
        "node/newcomer.py",
        "        if answer.registered.get(self._name) not in (None, self._disk):",
        "        if False:",
        ("tests/node/test_newcomer.py", "tests/node/test_house.py"),
    ),
)
