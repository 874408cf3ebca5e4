"""What was promised to any of the clients, for judging what all others are told.

Messages whose UID is divisible by KEEPER_EVERY are never removed by anyone, so whoever is told
that one is gone has found a loss. A client alone writes the keyword that bears its number, and on
keepers only.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from fuzz.imap_view import Fetched, Flags, Violation

KEEPER_EVERY: Final = 4


def is_keeper(uid: int) -> bool:
    """Nobody removes it."""
    return uid % KEEPER_EVERY == 0


@dataclass(frozen=True, slots=True)
class Held:
    """A message as a node shows it in the end."""

    uid: int
    flags: Flags
    modseq: int
    token: str


@dataclass
class Ledger:
    """One mailbox, as its clients were told about it."""

    added: dict[int, str] = field(default_factory=dict)
    """The UID and token of every APPEND and COPY that was acknowledged."""
    tried: set[str] = field(default_factory=set)
    """Tokens of every APPEND that was sent."""
    doomed: set[int] = field(default_factory=set)
    """UIDs that someone may have marked \\Deleted, or moved away."""
    tokens: dict[int, str] = field(default_factory=dict)
    own: dict[tuple[str, int], set[bool]] = field(default_factory=dict)
    """By keyword and UID: whether it may be there."""
    _gone: dict[int, int] = field(default_factory=dict)
    _states: dict[tuple[int, int], Flags] = field(default_factory=dict)
    _clock: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def moment(self) -> int:
        """Later than all before."""
        return next(self._clock)

    # --- what clients did

    def appended(self, uid: int, token: str) -> None:
        """An APPEND was acknowledged."""
        self._add(uid, token)

    def copied(self, source: int, copy: int) -> None:
        """A COPY was acknowledged."""
        self._add(copy, self.tokens.get(source, ""))

    def _add(self, uid: int, token: str) -> None:
        if uid in self.added:
            raise Violation(f"UID {uid} was given to two messages")
        self.added[uid] = token
        if token:
            self.read(uid, token)

    def dooms(self, uids: Iterable[int]) -> None:
        """These may go from now on."""
        self.doomed.update(uids)

    def writes(self, keyword: str, uids: Iterable[int], *, there: bool) -> None:
        """A change of an own keyword is sent."""
        for uid in uids:
            self.own.setdefault((keyword, uid), {True, False}).add(there)

    def wrote(self, keyword: str, uids: Iterable[int], *, there: bool) -> None:
        """It is acknowledged."""
        for uid in uids:
            self.own[keyword, uid] = {there}

    # --- what clients heard

    def lost(self, uid: int) -> None:
        """A client was told that this message is gone."""
        if is_keeper(uid):
            raise Violation(f"UID {uid} is gone, and nobody removed it")
        if uid not in self.doomed:
            raise Violation(f"UID {uid} is gone, and nobody has marked it")
        self._gone.setdefault(uid, self.moment())

    def heard(self, said: Fetched, selected_at: int) -> None:
        """A client that sent its SELECT then was told this of a message."""
        if said.uid is None:
            return
        if self._gone.get(said.uid, selected_at) < selected_at:
            raise Violation(f"UID {said.uid} is back, and was told to be gone before the SELECT")
        if said.flags is not None and said.modseq is not None:
            known = self._states.setdefault((said.uid, said.modseq), said.flags)
            if known != said.flags:
                raise Violation(f"others were told {sorted(known)} at the same MODSEQ")

    def read(self, uid: int, token: str) -> None:
        """A client read this message's token."""
        known = self.tokens.setdefault(uid, token)
        if known != token:
            raise Violation(f"UID {uid} is {token} here, and was {known}")

    @property
    def uidnext_least(self) -> int:
        """A SELECT that is sent now says no less."""
        return max(self.added, default=0) + 1

    # --- the end

    def judge(self, held: list[Held]) -> list[str]:
        """What is wrong with what the mailbox holds in the end."""
        wrong: list[str] = []
        there = {one.uid: one for one in held}
        if [one.uid for one in held] != sorted(there):
            wrong.append("UIDs do not ascend")
        for uid in sorted(self.added.keys() - there.keys() - self.doomed):
            wrong.append(f"UID {uid} was acknowledged and is lost")
        for uid in sorted(self._gone.keys() & there.keys()):
            wrong.append(f"UID {uid} is there, and was told to be gone")
        for uid, one in there.items():
            if self.tokens.get(uid, one.token) != one.token:
                wrong.append(f"UID {uid} is {one.token}, and was {self.tokens[uid]}")
            if one.token not in self.tried:
                wrong.append(f"UID {uid} is {one.token}, which nobody appended")
        for (keyword, uid), may in self.own.items():
            if uid in there and (keyword.encode() in there[uid].flags) not in may:
                wrong.append(f"UID {uid}: an acknowledged change of {keyword} is lost")
        return wrong
