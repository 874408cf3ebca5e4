"""What clients asked and were told, and whether one mail store could have answered so.

Messages carry tokens that are never used twice. From the times at which calls began and answers
came follows what a listing must and must not show; nothing of the servers' own numbers is
believed. The numbers in brackets are those of the invariant table in the design.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf

from tests.simulation.linearizable import Op, check, register
from tests.simulation.mail.clients import Row

Place = tuple[str, str]
"""Account and mailbox."""


@dataclass(frozen=True, slots=True)
class Span:
    """A call: when it began, and when it was answered well; infinite if that was never heard."""

    began: float
    ended: float = inf


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


@dataclass(slots=True)
class Life:
    """One message."""

    account: str
    delivered: Span
    removals: list[Span] = field(default_factory=list)
    moves: list[Span] = field(default_factory=list)

    def must_show(self, span: Span, *, moves: bool) -> bool:
        """Delivered for certain before, and nobody had begun to take it away."""
        others = self.removals + (self.moves if moves else [])
        return self.delivered.ended < span.began and all(o.began > span.ended for o in others)

    def must_not_show(self, span: Span) -> bool:
        """Its removal was acknowledged before, or it was not sent yet."""
        gone = any(removal.ended < span.began for removal in self.removals)
        return gone or self.delivered.began > span.ended


class History:
    """Everything that clients of one run saw."""

    def __init__(self) -> None:
        self.lives: dict[str, Life] = {}
        self.listings: list[Listing] = []
        self.censuses: list[Census] = []
        self.registers: dict[int, Op] = {}
        self.counts: Counter[str] = Counter()

    def add_register(self, op: Op) -> int:
        """Keep an operation; its number, by which it is changed later."""
        number = len(self.registers) and max(self.registers) + 1
        self.registers[number] = op
        return number

    @property
    def acknowledged(self) -> int:
        """How many writes were answered well."""
        return sum(n for what, n in self.counts.items() if what.endswith(" ok"))

    def wrong(self) -> list[str]:
        """What no mail store could have answered; empty when all is well."""
        found = [*self._listings(), *self._censuses(), *self._uids(), *self._registers()]
        return found[:50]

    def _seen(
        self, what: str, account: str, span: Span, tokens: Sequence[str], *, moves: bool
    ) -> Iterator[str]:
        counts = Counter(tokens)
        for token, times in counts.items():
            life = self.lives.get(token)
            if times > 1:
                yield f"18: {what} shows {token} {times} times"
            if life is None or life.account != account:
                yield f"phantom: {what} shows {token}, which nobody sent there"
            elif life.must_not_show(span):
                yield f"19: {what} shows {token} after its removal, or before its delivery"
        for token, life in self.lives.items():
            missing = life.account == account and token not in counts
            if missing and life.must_show(span, moves=moves):
                yield f"17: {what} lacks {token}: {life}"

    def _listings(self) -> Iterator[str]:
        for one in self.listings:
            account, mailbox = one.place
            what = f"{mailbox} of {account} at {one.node}, {one.span}"
            tokens = [row.token for row in one.rows]
            if mailbox == "INBOX":
                yield from self._seen(what, account, one.span, tokens, moves=True)

    def _censuses(self) -> Iterator[str]:
        """13, 17-19; 22: and the state of an account never goes back."""
        newest: dict[str, tuple[float, int]] = {}
        for one in sorted(self.censuses, key=lambda census: census.span.ended):
            what = f"JMAP's {one.account} at {one.node}, {one.span}"
            if one.state.isdigit():
                ended, state = newest.get(one.account, (-1.0, 0))
                if ended < one.span.began and int(one.state) < state:
                    yield f"22: {what} has state {one.state}, {state} was seen at {ended}"
                if int(one.state) >= state:
                    newest[one.account] = (one.span.ended, int(one.state))
            yield from self._seen(what, one.account, one.span, one.tokens, moves=False)

    def _uids(self) -> Iterator[str]:
        """20, 21: UIDs ascend, name one message for ever, and follow the order of deliveries."""
        tokens: dict[tuple[Place, int, int], str] = {}
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
            if place[1] == "INBOX":
                yield from self._order(place, by_uid)

    def _order(self, place: Place, by_uid: dict[int, str]) -> Iterator[str]:
        latest_start = -1.0
        for uid, token in sorted(by_uid.items()):
            life = self.lives.get(token)
            if life is None or life.moves:
                continue  # a message that came back has a new UID
            if life.delivered.ended < latest_start:
                yield f"20: {token} has UID {uid} in {place}, after one delivered later"
            latest_start = max(latest_start, life.delivered.began)

    def _registers(self) -> Iterator[str]:
        for key, found in check(self.registers.values(), (None,), register).items():
            ops = [op for op in self.registers.values() if op.key == key]
            yield (
                f"linearizability of {key}: {found.verdict.value}; {len(ops)} operations, "
                f"{len(found.order)} of them in order, the last {found.order[-3:]}"
            )


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
