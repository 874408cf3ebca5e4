"""What clients asked and were told, and whether one mail store could have answered so.

Messages carry tokens that are never used twice. From the times at which calls began and answers
came follows what a listing must and must not show; nothing of the servers' own numbers is
believed. The numbers in brackets are those of the invariant table in the design.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf

from tests.simulation.linearizable import Op, check, register, settled
from tests.simulation.mail.clients import Row

Place = tuple[str, str]
"""Account and mailbox."""

WRONG_MAX = 50


@dataclass(frozen=True, slots=True)
class Span:
    """A call: when it began, and when it was answered well; infinite if that was never heard."""

    began: float
    ended: float = inf


@dataclass(frozen=True, slots=True)
class Move:
    """A call that takes a message to another mailbox."""

    span: Span
    to: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What one mailbox was seen to hold, in the server's order."""

    place: Place
    node: str
    span: Span
    uidvalidity: int
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Census:
    """The tokens of a whole account, as JMAP shows them, and the state it names."""

    account: str
    node: str
    span: Span
    state: str
    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """What APPENDUID and COPYUID promise: this UID is that message's."""

    place: Place
    uidvalidity: int
    uid: int
    token: str


@dataclass(slots=True)
class Life:
    """One message, and the copies that have its token."""

    account: str
    delivered: Span
    mailbox: str = "INBOX"
    removals: list[Span] = field(default_factory=list)
    """Each that was answered took away one email for certain."""
    moves: list[Move] = field(default_factory=list)
    copies: list[Span] = field(default_factory=list)

    def must_show(self, span: Span) -> bool:
        """Delivered for certain before, and nobody had begun to take it away."""
        return self.delivered.ended < span.began and all(
            removal.began > span.ended for removal in self.removals
        )

    def least(self, span: Span) -> int:
        """How many emails the account must show of it."""
        if not self.must_show(span):
            return 0
        return 1 + sum(copy.ended < span.began for copy in self.copies)

    def most(self, span: Span) -> int:
        """How many there may be: none before it was sent, nor after what removals took."""
        if self.delivered.began > span.ended:
            return 0
        made = 1 + sum(copy.began <= span.ended for copy in self.copies)
        return max(0, made - sum(removal.ended < span.began for removal in self.removals))

    def whereabouts(self, span: Span) -> str | None:
        """The mailbox in which the message itself is for certain."""
        if not self.must_show(span):
            return None
        begun = [move for move in self.moves if move.span.began <= span.ended]
        if not begun:
            return self.mailbox
        last = max(begun, key=lambda move: move.span.began)
        others_done = all(m is last or m.span.ended < last.span.began for m in begun)
        return last.to if last.span.ended < span.began and others_done else None


class History:
    """Everything that clients of one run saw."""

    def __init__(self) -> None:
        self.lives: dict[str, Life] = {}
        self.listings: list[Listing] = []
        self.censuses: list[Census] = []
        self.claims: list[Claim] = []
        self.registers: dict[int, Op] = {}
        self.counts: Counter[str] = Counter()
        self._register_ops = 0

    def add_register(self, op: Op) -> int:
        """Keep an operation; its number, by which it is changed later."""
        self._register_ops += 1
        self.registers[self._register_ops] = op
        return self._register_ops

    @property
    def acknowledged(self) -> int:
        """How many writes were answered well."""
        return sum(n for what, n in self.counts.items() if what.endswith(" ok"))

    @property
    def unheard(self) -> int:
        """How many writes were never answered: they may have happened or not."""
        spans = [span for life in self.lives.values() for span in (life.delivered, *life.copies)]
        spans += [span for life in self.lives.values() for span in life.removals]
        spans += [move.span for life in self.lives.values() for move in life.moves]
        return sum(span.ended == inf for span in spans) + sum(
            not op.certain for op in self.registers.values()
        )

    def wrong(self) -> list[str]:
        """What no mail store could have answered; empty when all is well."""
        found = [*self._views(), *self._states(), *self._uids(), *self._registers()]
        return found[:WRONG_MAX]

    def _views(self) -> Iterator[str]:
        """13, 17-19: what listings and censuses must and must not show."""
        views: defaultdict[str, list[Listing | Census]] = defaultdict(list)
        for listing in self.listings:
            views[listing.place[0]].append(listing)
        for census in self.censuses:
            views[census.account].append(census)
        lives: defaultdict[str, list[tuple[str, Life]]] = defaultdict(list)
        for token, life in self.lives.items():
            lives[life.account].append((token, life))
        for account, seen in views.items():
            yield from self._account(
                account,
                sorted(seen, key=lambda view: view.span.began),
                sorted(lives[account], key=lambda pair: pair[1].delivered.ended),
            )

    def _account(
        self,
        account: str,
        views: Sequence["Listing | Census"],
        lives: Sequence[tuple[str, Life]],
    ) -> Iterator[str]:
        """One account's views in order of time; `live` are the messages that they must show."""
        live: list[tuple[str, Life]] = []
        arriving = 0
        for view in views:
            while arriving < len(lives) and lives[arriving][1].delivered.ended < view.span.began:
                live.append(lives[arriving])
                arriving += 1
            live = [
                (token, life)
                for token, life in live
                if all(removal.began > view.span.began for removal in life.removals)
            ]
            tokens = (
                [row.token for row in view.rows] if isinstance(view, Listing) else list(view.tokens)
            )
            mailbox = view.place[1] if isinstance(view, Listing) else None
            what = f"{mailbox or 'all'} of {account} at {view.node}, {view.span}"
            yield from self._shown(what, account, mailbox, view.span, Counter(tokens))
            yield from _missing(what, mailbox, view.span, Counter(tokens), live)

    def _shown(
        self, what: str, account: str, mailbox: str | None, span: Span, shown: Counter[str]
    ) -> Iterator[str]:
        for token, times in shown.items():
            life = self.lives.get(token)
            if life is None or life.account != account:
                yield f"phantom: {what} shows {token}, which nobody sent there"
            elif not (most := life.most(span)):
                yield f"19: {what} shows {token} after its removal, or before its delivery: {life}"
            elif times > most:
                yield f"18: {what} shows {token} {times} times: {life}"
            elif mailbox and life.whereabouts(span) not in (None, mailbox) and not life.copies:
                yield f"13: {what} shows {token}, which is elsewhere: {life}"

    def _states(self) -> Iterator[str]:
        """22: the state of an account never goes back."""
        newest: dict[str, tuple[float, int]] = {}
        for one in sorted(self.censuses, key=lambda census: census.span.ended):
            if not one.state.isdigit():
                continue
            ended, state = newest.get(one.account, (-1.0, 0))
            if ended < one.span.began and int(one.state) < state:
                yield (
                    f"22: JMAP's {one.account} at {one.node}, {one.span} has state {one.state}, "
                    f"{state} was seen at {ended}"
                )
            if int(one.state) >= state:
                newest[one.account] = (one.span.ended, int(one.state))

    def _uids(self) -> Iterator[str]:
        """20, 21: UIDs ascend, name one message for ever, and follow the order of deliveries."""
        tokens = {(c.place, c.uidvalidity, c.uid): c.token for c in self.claims}
        if len(tokens) != len(self.claims):
            yield "20: APPENDUID or COPYUID promised one UID twice"
        validity: dict[Place, int] = {}
        arrived: defaultdict[Place, dict[int, str]] = defaultdict(dict)
        for one in self.listings:
            uids = [row.uid for row in one.rows]
            if uids != sorted(set(uids)):
                yield f"20: UIDs do not ascend: {one.place} at {one.node}: {uids}"
            if validity.setdefault(one.place, one.uidvalidity) != one.uidvalidity:
                yield f"21: UIDVALIDITY of {one.place} changed"
            for row in one.rows:
                held = tokens.setdefault((one.place, one.uidvalidity, row.uid), row.token)
                if held != row.token:
                    yield f"20: UID {row.uid} of {one.place} is {held} and {row.token}"
                arrived[one.place][row.uid] = row.token
        for place, by_uid in arrived.items():
            yield from self._order(place, by_uid)

    def _order(self, place: Place, by_uid: dict[int, str]) -> Iterator[str]:
        latest_start = -1.0
        for uid, token in sorted(by_uid.items()):
            life = self.lives.get(token)
            if life is None or life.moves or life.copies or life.mailbox != place[1]:
                continue  # a message that came back has a new UID
            if life.delivered.ended < latest_start:
                yield f"20: {token} has UID {uid} in {place}, after one delivered later"
            latest_start = max(latest_start, life.delivered.began)

    def _registers(self) -> Iterator[str]:
        ops = settled(self.registers.values())
        for key, found in check(ops, (None,), register).items():
            asked = [op for op in ops if op.key == key]
            yield (
                f"linearizability of {key}: {found.verdict.value}; {len(asked)} operations, "
                f"{len(found.order)} of them in order, the last {found.order[-3:]}"
            )


def _missing(
    what: str,
    mailbox: str | None,
    span: Span,
    shown: Counter[str],
    live: Sequence[tuple[str, Life]],
) -> Iterator[str]:
    for token, life in live:
        if mailbox is None:
            times, least = shown[token], life.least(span)
            if times < least:
                yield f"17: {what} shows {token} {times} times, not {least}: {life}"
        elif token not in shown and life.whereabouts(span) == mailbox:
            yield f"17: {what} lacks {token}: {life}"


def compare(held: dict[str, dict[Place, tuple[int, tuple[Row, ...]]]]) -> list[str]:
    """12: after healing all nodes show the same messages, flags and UIDs."""
    first, *others = held
    wrong = []
    for other in others:
        for place in sorted(held[first].keys() | held[other].keys()):
            one, two = held[first].get(place), held[other].get(place)
            if one != two:
                wrong.append(f"12: {place} differs at {first} and {other}: {one} / {two}"[:600])
    return wrong
