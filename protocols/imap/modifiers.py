"""Modifiers of SELECT, FETCH and STORE in parentheses (RFC 4466 2.1-2.5): RFC 7162, RFC 9394."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from protocols.errors import RemoteProtocolError
from protocols.imap.commands import Resync, Select
from protocols.imap.partial import PartialRange, parse_partial_range
from protocols.imap.sets import STAR, NumberSet, merge
from protocols.imap.tokens import Tokens


def parse_select(tokens: Tokens, *, read_only: bool) -> Select:
    """What follows SELECT or EXAMINE."""
    tokens.space()
    mailbox = tokens.mailbox()
    condstore, resync = False, None
    if not tokens.at_end:
        tokens.space()
        for name in _listed(tokens):
            if name == b"CONDSTORE":
                condstore = True
            elif name == b"QRESYNC":
                tokens.space()
                resync = _resync(tokens)
            else:
                raise RemoteProtocolError("unknown SELECT parameter")
    return Select(mailbox, read_only, condstore, resync)


@dataclass(frozen=True, slots=True)
class FetchModifiers:
    """RFC 7162 7 fetch-modifier CHANGEDSINCE and VANISHED, RFC 9394 4 PARTIAL."""

    changed_since: int | None
    vanished: bool
    partial: PartialRange | None


def parse_fetch_modifiers(tokens: Tokens, *, uid: bool) -> FetchModifiers:
    """The list of them, the parenthesis included."""
    changed_since, vanished, partial = None, False, None
    for name in _listed(tokens):
        if name == b"CHANGEDSINCE":
            tokens.space()
            changed_since = tokens.number()
        elif name == b"VANISHED":
            vanished = True
        elif name == b"PARTIAL" and uid:  # RFC 9394 3.3: UID FETCH alone
            tokens.space()
            partial = parse_partial_range(tokens)
        else:
            raise RemoteProtocolError("unknown FETCH modifier")
    if vanished and (not uid or changed_since is None):
        # RFC 7162 3.2.6
        raise RemoteProtocolError("VANISHED needs UID FETCH and CHANGEDSINCE")
    return FetchModifiers(changed_since, vanished, partial)


def parse_unchanged_since(tokens: Tokens) -> int:
    """RFC 7162 3.1.3, the parenthesis included."""
    found: int | None = None
    for name in _listed(tokens):
        if name != b"UNCHANGEDSINCE":
            raise RemoteProtocolError("unknown STORE modifier")
        tokens.space()
        found = tokens.number()
    assert found is not None, "a list of modifiers has at least one"
    return found


def _listed(tokens: Tokens) -> "_Names":
    tokens.expect(b"(")
    return _Names(tokens)


class _Names:
    """The names in a list; whoever asks for the next has read the value of the last."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._seen: set[bytes] = set()

    def __iter__(self) -> "_Names":
        return self

    def __next__(self) -> bytes:
        if self._seen:
            if self._tokens.accept(b")"):
                raise StopIteration
            self._tokens.space()
        name = self._tokens.keyword()
        if name in self._seen:
            raise RemoteProtocolError("a modifier stands twice")
        self._seen.add(name)
        return name


def _resync(tokens: Tokens) -> Resync:
    """RFC 7162 3.2.5, 7 select-param."""
    tokens.expect(b"(")
    uidvalidity = tokens.nz_number()
    tokens.space()
    modseq = tokens.number()
    known: NumberSet | None = None
    match: tuple[NumberSet, NumberSet] | None = None
    if tokens.accept(b" "):
        if tokens.peek() != b"(":
            known = _plain_set(tokens)
        if known is None or tokens.accept(b" "):
            match = _match(tokens)
    tokens.expect(b")")
    return Resync(uidvalidity, modseq, known, match)


def _match(tokens: Tokens) -> tuple[NumberSet, NumberSet]:
    """RFC 7162 3.2.5.2: both ascending and of one length."""
    tokens.need_uids(uid=False)
    tokens.expect(b"(")
    sequences = _plain_set(tokens)
    tokens.space()
    uids = _plain_set(tokens)
    tokens.expect(b")")
    for one in (sequences, uids):
        if not _ascends(one.ranges):
            raise RemoteProtocolError("sequence match data must ascend")
    if _length(sequences) != _length(uids):
        raise RemoteProtocolError("sequence match data must be of one length")
    return sequences, uids


def _plain_set(tokens: Tokens) -> NumberSet:
    found = tokens.number_set()
    if found.saved or any(STAR in ends for ends in found.ranges):
        raise RemoteProtocolError("`*` and `$` are not allowed here")
    return found


def _ascends(ranges: Sequence[tuple[int, int]]) -> bool:
    flat = [end for low, high in ranges for end in ((low,) if low == high else (low, high))]
    return all(before < after for before, after in pairwise(flat))


def _length(numbers: NumberSet) -> int:
    return sum(high - low + 1 for low, high in merge(numbers.ranges))
