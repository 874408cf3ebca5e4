"""Filling the gaps of a damaged log from other replicas: who asks, who answers (sans-IO).

The newest gap comes first. The question names its anchor, the entry behind it: whoever holds that
entry holds, before it, what stood in the gap (Log Matching, paper 5.3), whether or not it was ever
committed. So entries are put back just as they were, the replica's word on them stands, and no
leader is needed. If the answer shows that entries before the gap were replaced inside it, the gap
grows downwards until both logs agree.

    piece    entries from `low` on, and the term before them
    behind   the log begins later: its start was committed, so ours may begin there too
    lacks    no such anchor

When nobody has the entries any more, the log begins behind another's start, and the state is
fetched as for any replica that is behind (raft/snapshots.py); where that start is no entry of
ours, ours stood in its place in vain, and nothing of the log is left. When a leader, or everybody,
lacks the anchor, it was never committed: the log is cut there, its head in doubt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

from raft.damage import DamagedLog
from raft.mending import Repair
from raft.model import MIB, Entry, Index, SnapshotMeta, Term
from raft.state import Role, State

# What is brought back is held in memory until all is there. A log that lost more is cut: its
# leader sends the rest as to any replica that is behind.
REPAIR_BYTES_MAX: Final = 256 * MIB
# A piece must fit in one answer between nodes (4 MiB), with what each entry takes beside it.
PIECE_BYTES_MAX: Final = 2 * MIB
PIECE_ENTRIES_MAX: Final = 8192


@dataclass(frozen=True, slots=True)
class LogAsk:
    """What stands from `low` on before the entry (anchor, anchor_term)?"""

    low: Index
    anchor: Index
    anchor_term: Term


@dataclass(frozen=True, slots=True)
class LogPiece:
    """Entries from `low` on, none at or behind the anchor; and the term of the one before."""

    previous_term: Term
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class LogBehind:
    """The log begins behind this, too late to answer."""

    meta: SnapshotMeta
    holds_anchor: bool


@dataclass(frozen=True, slots=True)
class LogLacks:
    """No such anchor, or not all that stands before it."""

    leads: bool
    is_whole: bool


LogAnswer: TypeAlias = LogPiece | LogBehind | LogLacks


def answer(state: State, ask: LogAsk) -> LogAnswer:
    """What a replica that takes part can tell."""
    log = state.log
    holds = log.matches(ask.anchor, ask.anchor_term)
    # A leader of an earlier term than the anchor's, which has not heard of its end, proves nothing.
    leads = state.role is Role.LEADER and state.term >= ask.anchor_term
    lacks = LogLacks(leads, is_whole=True)
    if ask.low - 1 < log.start:
        membership = state.configs.at(log.start)
        if not membership.voters:
            return lacks
        return LogBehind(SnapshotMeta(log.start, log.term(log.start), membership), holds)
    if not holds or ask.low > ask.anchor:
        return lacks
    entries = log.slice(ask.low, _last_of_piece(ask), PIECE_BYTES_MAX)
    return LogPiece(log.term(ask.low - 1), tuple(entries))


def answer_damaged(log: DamagedLog, ask: LogAsk) -> LogAnswer:
    """What a replica that is being mended itself can tell."""
    chain = log.chain_start(ask.anchor)
    lacks = LogLacks(leads=False, is_whole=False)
    if log.term(ask.anchor) != ask.anchor_term or ask.low > ask.anchor:
        return lacks
    if ask.low - 1 < log.start and chain == log.start and log.snapshot is not None:
        return LogBehind(log.snapshot, holds_anchor=True)
    term = log.term(ask.low - 1) if ask.low - 1 >= chain else None
    if term is None:
        return lacks
    entries: Sequence[Entry] = ()
    if ask.low < ask.anchor:
        entries = log.read(ask.low, _last_of_piece(ask), PIECE_BYTES_MAX)
    return LogPiece(term, tuple(entries))


def _last_of_piece(ask: LogAsk) -> Index:
    return min(ask.anchor, ask.low + PIECE_ENTRIES_MAX) - 1


class Mender:
    """Asks for one gap after the other, the newest first."""

    def __init__(self, log: DamagedLog) -> None:
        """Nothing is known yet."""
        self._log = log
        self._open = list(log.gaps)
        self._copies: dict[Index, Entry] = {}
        self._bytes = 0
        self._base: SnapshotMeta | None = None
        self._cut: Index | None = None
        self._begin()

    def _begin(self) -> None:
        """The next gap."""
        self._low = self._open[-1].low if self._open else 0
        self._came: list[Entry] = []
        self._forget_answers()

    def _forget_answers(self) -> None:
        self._behind: LogBehind | None = None
        self._lacking = 0
        self._is_refused = False  # a leader lacks the anchor

    @property
    def ask(self) -> LogAsk | None:
        """What to ask anybody; None when all is known."""
        if not self._open:
            return None
        gap = self._open[-1]
        return LogAsk(self._low + len(self._came), gap.anchor, gap.anchor_term)

    @property
    def repair(self) -> Repair:
        """What mends the log."""
        assert not self._open
        copies = tuple(self._copies[index] for index in sorted(self._copies))
        return Repair(copies, self._base, self._cut)

    def hear(self, told: LogAnswer) -> bool:
        """Take an answer to `ask`; True when there is something else to ask now."""
        match told:
            case LogPiece():
                return self._hear_piece(told)
            case LogBehind():
                known = 0 if self._behind is None else self._behind.meta.index
                if told.meta.index > known and self._may_begin_at(told):
                    self._behind = told
            case LogLacks():
                self._lacking += told.is_whole
                self._is_refused |= told.leads
        return False

    def end_round(self, asked: int) -> bool:
        """So many were asked, all others, and none had a piece; True: there is another question.

        Answers of one round only are held against the gap: who is down may have it.
        """
        behind, refused = self._behind, self._is_refused or 0 < asked <= self._lacking
        self._forget_answers()
        if behind is not None:
            self._begin_at(behind.meta)
            return True
        if refused:
            self._give_up()
        return refused

    def _hear_piece(self, piece: LogPiece) -> bool:
        gap, low = self._open[-1], self._low + len(self._came)
        if not _is_chain(piece, low, gap.anchor, gap.anchor_term):
            return False
        if self._came:
            if self._came[-1].term != piece.previous_term:
                return False
        elif low - 1 > self._start:
            own = self._term(low - 1)
            if own != piece.previous_term:
                self._grow(low - 1 if own is None else self._log.run_start(low - 1))
                return True
        self._came += piece.entries
        self._bytes += sum([len(entry.payload) for entry in piece.entries])
        if self._bytes > REPAIR_BYTES_MAX:
            self._give_up()
        elif self._low + len(self._came) == gap.anchor:
            self._close()
        elif not piece.entries:
            return False
        return True

    @property
    def _start(self) -> Index:
        return self._log.start if self._base is None else self._base.index

    def _term(self, index: Index) -> Term | None:
        copy = self._copies.get(index)
        if copy is not None:
            return copy.term
        if self._base is not None and index == self._base.index:
            return self._base.term
        return self._log.term(index)

    def _grow(self, low: Index) -> None:
        """What stood before the gap was replaced inside it, as far as another term shows."""
        gap = self._open.pop()
        while self._open and self._open[-1].anchor > low - 1:
            low = min(low, self._open.pop().low)
        self._open.append(gap)
        self._low, self._came = max(low, self._start + 1), []
        self._forget_answers()

    def _close(self) -> None:
        gap = self._open.pop()
        self._copies |= {entry.index: entry for entry in self._came}
        before = self._low - 1  # which the answers had agreed with: whoever reads the copies checks
        for own in (before, gap.anchor):
            if own > self._start and own not in self._copies:
                (self._copies[own],) = self._log.read(own, own, 1)
        self._begin()

    def _may_begin_at(self, behind: LogBehind) -> bool:
        """Whether we know what becomes of our log behind its start, which is committed: an entry of
        the gap; one that we hold, or another in the place of one; or one behind all of ours."""
        index, gap = behind.meta.index, self._open[-1]
        if index >= gap.anchor:
            return True
        return behind.holds_anchor and index >= self._low + len(self._came) - 1

    def _begin_at(self, meta: SnapshotMeta) -> None:
        gap, own = self._open[-1], self._term(meta.index)
        if meta.index >= gap.anchor and own not in (None, meta.term):
            self._cut = meta.index + 1  # what follows an entry that lost its place has lost it too
            self._copies.clear()
        self._base = meta
        self._copies = {i: copy for i, copy in self._copies.items() if i > meta.index}
        self._open = [gap] if gap.anchor > meta.index + 1 else []
        self._begin()
        self._low = meta.index + 1

    def _give_up(self) -> None:
        self._open.pop()
        self._cut = self._low
        self._copies = {i: copy for i, copy in self._copies.items() if i < self._cut}
        self._begin()


def _is_chain(piece: LogPiece, low: Index, anchor: Index, anchor_term: Term) -> bool:
    """Whether these could be entries from `low` on and before the anchor."""
    entries = piece.entries
    terms = [piece.previous_term, *(entry.term for entry in entries), anchor_term]
    in_order = all(earlier <= later for earlier, later in pairwise(terms))
    follow = all(entry.index == low + place for place, entry in enumerate(entries))
    return in_order and follow and low + len(entries) <= anchor
