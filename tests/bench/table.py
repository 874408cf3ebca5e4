"""The table that `make bench` ends with: ours beside the peers', with the goals and who missed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tests.bench import crowd, imap, push

Row = dict[str, Any]
ONE, THREE, DOVECOT, CYRUS = "one node", "three nodes", "Dovecot", "Cyrus"
PEERS: Final = (DOVECOT, CYRUS)
# Of these less is better.
_COSTS: Final = frozenset({"ms", "s", "MiB", "KiB each"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What a row is to reach: so many times a peer, or a bound of its own."""

    times: Mapping[str, float] | None = None
    under: float | None = None
    figure: str = "rate"
    who: str = ONE

    def told(self, unit: str) -> str:
        """In words."""
        if self.times is not None:
            return ", ".join(f">= {times:g} x {peer}" for peer, times in self.times.items())
        return f"< {self.under:g} {'ms CPU' if self.figure == 'cpu_ms' else unit}"

    def verdict(self, rows: Mapping[str, Row]) -> str:
        """Whether it is met, of a row's cells by who they are of; nothing where nobody knows."""
        own = rows.get(self.who)
        if own is None:
            return ""
        if self.under is not None:
            return "met" if own[self.figure] < self.under else "missed"
        assert self.times is not None
        against = {peer: times for peer, times in self.times.items() if peer in rows}
        if not against:
            return ""
        reached = all(_times(own, rows[peer]) >= times for peer, times in against.items())
        return "met" if reached else "missed"


GOALS: Final[Mapping[str, Goal]] = {
    imap.SINGLE: Goal(times={DOVECOT: 2.0}),
    imap.EIGHT: Goal(times={DOVECOT: 1.3}),
    imap.CROWD: Goal(times={DOVECOT: 1.3}),
    imap.FETCH_AGAIN: Goal(times={DOVECOT: 3.0, CYRUS: 2.0}),
    imap.BULK: Goal(times={DOVECOT: 0.8}),
    imap.BODY: Goal(under=1.0, figure="cpu_ms"),
    imap.SELECT_BIG: Goal(under=30.0),
    imap.STORE: Goal(under=1.0),
    imap.IDLE: Goal(under=60.0),
    imap.NOTICE: Goal(under=50.0, who=THREE),
    push.PUSH: Goal(under=100.0, who=THREE),
    crowd.LIST_TIMES: Goal(under=1.2),
    crowd.FILTER: Goal(under=20.0, figure="cpu_ms"),
    crowd.FILTER_NOT: Goal(under=20.0, figure="cpu_ms"),
    crowd.CHANGED: Goal(under=1.0, figure="cpu_ms"),
}


COLUMNS: Final = (
    *("what", "unit", "one node", "CPU ms", "three nodes", "CPU ms (all)"),
    *("Dovecot", "CPU ms", "times", "Cyrus", "CPU ms", "times", "goal", ""),
)
_NODES: Final = slice(0, 6)
_WORDS: Final = ("what", "unit", "goal", "")


def lines(results: Sequence[Row], absent: Sequence[str]) -> list[list[str]]:
    """The cells of COLUMNS by row; `absent`: peers that are not installed here."""
    by_what: dict[tuple[str, str], dict[str, Row]] = {}
    for row in results:
        by_what.setdefault((row["what"], row["unit"]), {})[row["who"]] = row
    found = []
    for (what, unit), rows in by_what.items():
        cells = [what, unit, *_cells(rows.get(ONE)), *_cells(rows.get(THREE))]
        goal = GOALS.get(what)
        for peer in PEERS:
            told = _peer_cells(rows.get(ONE), rows.get(peer))
            if peer in absent and (goal or _has_peer(rows)):
                told = ("not installed", "", "")
            cells += told
        found.append([*cells, *((goal.told(unit), goal.verdict(rows)) if goal else ("", ""))])
    return found


def show(results: Sequence[Row], absent: Sequence[str]) -> None:
    """The whole table on the terminal."""
    table = Table(title="Trireme on this machine", box=None, header_style="bold")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in _WORDS else "right")
    for cells in lines(results, absent):
        table.add_row(*cells)
    Console(width=230).print(table)
    Console().print("times: as many as the peer's, or as little; CPU ms: all processes, for one.")


def markdown(results: Sequence[Row], absent: Sequence[str]) -> str:
    """Two tables for a README: one node and three; one node and its peers, with the goals."""
    every = [list(COLUMNS), *lines(results, absent)]
    nodes = [[_named(cells), *cells[_NODES][2:]] for cells in every]
    peers = [[_named(cells), *cells[2:4], *cells[6:]] for cells in every if any(cells[6:])]
    return "\n".join(_markdown(rows) for rows in (nodes, peers) if len(rows) > 1)


def _named(cells: Sequence[str]) -> str:
    """What is measured, with its unit."""
    return "" if cells[0] == COLUMNS[0] else f"{cells[0]}, {cells[1]}"


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *others = ["| " + " | ".join(cells) + " |\n" for cells in rows]
    return head + "|---" * len(rows[0]) + "|\n" + "".join(others)


def _has_peer(rows: Mapping[str, Row]) -> bool:
    return any(peer in rows for peer in PEERS)


def _cells(row: Row | None) -> tuple[str, str]:
    if row is None:
        return "", ""
    cpu_ms, rate = row["cpu_ms"], row["rate"]
    figure = f"{rate:,.0f}" if rate >= 100 else f"{rate:,.2f}"
    return figure, "" if cpu_ms is None else f"{cpu_ms:,.3f}"


def _peer_cells(own: Row | None, peer: Row | None) -> tuple[str, str, str]:
    if peer is None:
        return "", "", ""
    times = math.nan if own is None else _times(own, peer)
    return *_cells(peer), "" if math.isnan(times) else f"{times:.2f}"


def _times(own: Row, peer: Row) -> float:
    """How many times as good ours is; of nothing at all nobody can tell (NaN)."""
    ours, theirs = own["rate"], peer["rate"]
    if not ours or not theirs:
        return math.nan
    return theirs / ours if own["unit"] in _COSTS else ours / theirs
