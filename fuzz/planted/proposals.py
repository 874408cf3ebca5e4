"""Bugs of proposals, reads and newcomers, in node/."""

from typing import Final

from fuzz.planted.mutant import Mutant

MUTANTS: Final = (
    Mutant(
        "a registration that is not above the last",
        "node/rounds.py",
        "                origin.replica, held + 1, origin.node, origin.identity, origin.nonce",
        "                origin.replica, max(held, 1), origin.node, origin.identity, origin.nonce",
        ("tests/node/test_rounds.py",),
    ),
    Mutant(
        "outcomes are acknowledged that are still awaited",
        "node/rounds.py",
        "        return next(iter(self._rounds), self._sequence)",
        "        return self._sequence",
        (
            "tests/node/test_rounds.py",
            "tests/node/test_proposer.py",
        ),
    ),
    Mutant(
        "a new leader makes a proposal of unknown outcome a failure",
        "node/rounds.py",
        "            round_.resend_at_s = min(round_.resend_at_s, soon_s)\n",
        "            round_.resend_at_s = min(round_.resend_at_s, soon_s)\n"
        "        for sequence in list(self._rounds):\n"
        "            self._resolve(sequence, Outcome.CONFLICT)\n",
        ("tests/node/test_proposer.py",),
    ),
    Mutant(
        "a lost proposal is never sent again",
        "node/rounds.py",
        "        self.send(due)\n",
        "",
        ("tests/node/test_proposer.py",),
    ),
    Mutant(
        "a second process of one identity goes on",
        "node/rounds.py",
        "        if self.epoch and now != (self.epoch, self._origin.nonce):",
        "        if False:",
        ("tests/node/test_proposer.py",),
    ),
    Mutant(
        "outcomes that came with a snapshot are not looked for",
        "node/rounds.py",
        "            if outcome is not None:\n                self._resolve(sequence, outcome)\n",
        "            if outcome is None:\n"
        "                self._resolve(sequence, Outcome.CONFLICT)\n",
        ("tests/node/test_snapshots.py",),
    ),
    Mutant(
        "a conflict is told as success",
        "node/proposer.py",
        "        if outcome is Outcome.APPLIED:\n            for waiting",
        "        if True:\n            for waiting",
        ("tests/node/test_proposer.py",),
    ),
    Mutant(
        "a refusal by a node that is behind",
        "node/proposer.py",
        "            if waiting.unwritten:\n"
        "                waiting.begin_again()\n"
        "                await self._barrier()\n",
        "            if waiting.unwritten:\n                waiting.begin_again()\n",
        ("tests/node/test_proposer.py",),
    ),
    Mutant(
        "an account's next command does not wait for an unknown outcome",
        "node/proposer.py",
        "        if not queue.busy:\n            self._make_ready",
        "        if True:\n            self._make_ready",
        ("tests/node/test_proposer.py",),
    ),
    Mutant(
        "a reader that does not wait for apply",
        "node/reads.py",
        "        self._machine.when_applied(index, lambda: _wake(readers))",
        "        _wake(readers)",
        ("tests/node/test_reads.py",),
    ),
    Mutant(
        "a reader joins the round that runs already",
        "node/reads.py",
        "        readers, self._next = self._next, []\n"
        "        with trio.move_on_after(self._round_timeout_s) as scope:\n"
        "            index = await self._log.read_index()\n",
        "        with trio.move_on_after(self._round_timeout_s) as scope:\n"
        "            index = await self._log.read_index()\n"
        "        readers, self._next = self._next, []\n",
        ("tests/node/test_reads.py",),
    ),
    Mutant(
        "what is known is read before it is applied",
        "node/reads.py",
        "        if index is not None and index <= self._machine.applied_index:",
        "        if index is not None:",
        ("tests/node/test_reads.py",),
    ),
    Mutant(
        "the log may forget what no checkpoint has made durable",
        "node/machine.py",
        "            return checkpointer.index\n",
        "            return self.applied_index\n",
        ("tests/node/test_machine.py",),
    ),
    Mutant(
        "blobs lost in a power cut are not written again",
        "node/foundation.py",
        "    _redo_blobs(foundation)\n    return foundation",
        "    return foundation",
        ("tests/node/test_redo_blobs.py",),
    ),
    Mutant(
        "an emptied disk votes as if it knew",
        "node/newcomer.py",
        "        if answer.registered.get(self._name) not in (None, self._disk):",
        "        if False:",
        ("tests/node/test_newcomer.py",),
    ),
    Mutant(
        "a newcomer hears of consensus before it has asked",
        "node/newcomer.py",
        "        if not self._is_asking or replica in self._answered:",
        "        if True:",
        ("tests/node/test_newcomer.py",),
    ),
    Mutant(
        "a leader short of room appends for others",
        "raft/core.py",
        "state.handover is not None or state.refuses_payloads:\n        return\n",
        "state.handover is not None:\n        return\n",
        ("tests/raft/test_driver.py",),
    ),
    Mutant(
        "a door takes writes below the floor",
        "node/proposer.py",
        "        if self._lacks_room():",
        "        if False:",
        ("tests/node/test_proposer.py",),
    ),
    Mutant(
        "the room that the reserve gave up is counted as free",
        "node/space.py",
        "        room = free_bytes - (0 if self.has_reserve else self._reserve_bytes)",
        "        room = free_bytes",
        ("tests/node/test_space.py",),
    ),
    Mutant(
        "a leader short of room stays where it is",
        "node/space.py",
        "            await self._stand_aside()\n",
        "            pass\n",
        ("tests/node/test_space.py",),
    ),
)
