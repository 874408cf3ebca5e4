"""The search grammar (RFC 9051 6.4.4, RFC 3501 6.4.4): words to one SearchKey.

Nesting is kept on a stack of our own, never on Python's: parentheses, NOT and OR open frames that
close when they have what they need, and no depth a client sends costs more than a list entry.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from protocols.collation import fold
from protocols.errors import LimitExceeded, RemoteProtocolError
from protocols.imap.dates import parse_date
from protocols.imap.flags import parse_flag
from protocols.imap.fuzzy import check_words
from protocols.imap.search_commands import (
    Aged,
    All,
    And,
    CancelUpdate,
    ChangedSince,
    Criterion,
    Dated,
    Filter,
    Fuzzy,
    InBody,
    InHeader,
    Keyword,
    Moment,
    Not,
    Numbers,
    OfEmail,
    OfThread,
    Or,
    Recent,
    Search,
    SearchKey,
    SearchReturn,
    Sized,
    Sort,
    SortKey,
    Thread,
    ThreadAlgorithm,
)
from protocols.imap.search_returns import accept_returns
from protocols.imap.sets import NUMBER_MAX, NumberSet
from protocols.imap.tokens import Tokens
from storage import ids

# How deep NOT, OR and parentheses may nest: evaluation follows the nesting. ORs of ORs are one.
DEPTH_MAX: Final = 50
# How many keys one search may have: each is asked of each message.
KEYS_MAX: Final = 500
# How many criteria one sort may have: each is a pass over the messages.
CRITERIA_MAX: Final = 20

CHARSETS: Final = (b"US-ASCII", b"UTF-8")


class BadCharset(RemoteProtocolError):
    """NO [BADCHARSET]: not a charset we search in (RFC 9051 6.4.4); with FILTER it is BAD."""

    def __init__(self, *, filters: bool, saves: bool) -> None:
        super().__init__("only US-ASCII and UTF-8 are searched")
        self.filters = filters  # RFC 5466 3.1
        self.saves = saves  # RFC 9051 6.4.4.1: what is saved is nothing then


def parse_search(tokens: Tokens, *, uid: bool) -> Search:
    """What follows SEARCH and a space."""
    returns = accept_returns(tokens)
    if tokens.accept_word(b"CHARSET "):
        if not tokens.takes_charset:
            raise RemoteProtocolError("all is UTF-8 after ENABLE UTF8=ACCEPT")  # RFC 6855 3
        _charset(tokens, returns.options)
    return Search(_program(tokens), returns.options, uid, returns.partial, returns.fetch)


def parse_sort(tokens: Tokens, *, uid: bool) -> Sort:
    """What follows SORT and a space (RFC 5256 5, RFC 5267 5)."""
    returns = accept_returns(tokens)
    tokens.expect(b"(")
    criteria = [_criterion(tokens)]
    while not tokens.accept(b")"):
        tokens.space()
        criteria.append(_criterion(tokens))
        if len(criteria) > CRITERIA_MAX:
            raise LimitExceeded("SORT_CRITERIA", f"a sort may have {CRITERIA_MAX} criteria")
    tokens.space()
    _charset(tokens, returns.options)
    return Sort(
        _program(tokens), tuple(criteria), returns.options, uid, returns.partial, returns.fetch
    )


def parse_thread(tokens: Tokens, *, uid: bool) -> Thread:
    """What follows THREAD and a space (RFC 5256 5)."""
    name = tokens.keyword()
    if name not in ThreadAlgorithm._value2member_map_:
        raise RemoteProtocolError("unknown threading algorithm")
    tokens.space()
    _charset(tokens)
    return Thread(_program(tokens), ThreadAlgorithm(name), uid)


def parse_cancel_update(tokens: Tokens) -> CancelUpdate:
    """RFC 5267 5: 1*(SP quoted)."""
    tags: list[bytes] = []
    while not tags or not tokens.at_end:
        tokens.space()
        tags.append(tokens.string())
    return CancelUpdate(tuple(dict.fromkeys(tags)))


def _charset(tokens: Tokens, returns: frozenset[SearchReturn] | None = None) -> None:
    charset = tokens.astring()
    if charset.upper() not in CHARSETS and not tokens.at_end:
        saves = returns is not None and SearchReturn.SAVE in returns
        raise BadCharset(filters=b"FILTER " in tokens.rest().upper(), saves=saves)
    tokens.space()


def _criterion(tokens: Tokens) -> Criterion:
    name = tokens.keyword()
    reverse = name == b"REVERSE"
    if reverse:
        tokens.space()
        name = tokens.keyword()
    if name not in SortKey._value2member_map_:
        raise RemoteProtocolError("unknown sort criterion")
    return Criterion(SortKey(name), reverse)


def parse_search_keys(text: bytes) -> SearchKey:
    """RFC 5466 4 search-criteria, by themselves; strings in it are quoted ones."""
    return _program(Tokens(text))


@dataclass(slots=True)
class _Frame:
    """Something that waits for keys: `needs` of them, or a closing parenthesis when None."""

    build: Callable[[list[SearchKey]], SearchKey]
    needs: int | None
    keys: list[SearchKey] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return self.needs is not None and len(self.keys) == self.needs


def _all_of(keys: list[SearchKey]) -> SearchKey:
    return keys[0] if len(keys) == 1 else And(tuple(keys))


def _any_of(keys: list[SearchKey]) -> SearchKey:
    """A tree no deeper than it must be."""
    if len(keys) == 1:
        return keys[0]
    half = len(keys) // 2
    return Or(_any_of(keys[:half]), _any_of(keys[half:]))


def _program(tokens: Tokens) -> SearchKey:
    """search-key *(SP search-key) up to the end of the command."""
    root = _Frame(_all_of, None)
    stack = [root]
    keys = 0
    while True:
        keys += 1
        if keys > KEYS_MAX:
            raise LimitExceeded("SEARCH_KEYS", f"a search may have {KEYS_MAX} keys")
        opened = _open(tokens)
        if opened is not None:
            if opened.build is _any_of and stack[-1].build is _any_of and stack[-1].needs:
                stack[-1].needs += 1  # OR a OR b c is one of three: clients make long chains
                continue
            stack.append(opened)
            if len(stack) > DEPTH_MAX:
                raise LimitExceeded("SEARCH_DEPTH", f"a search may nest {DEPTH_MAX} deep")
            continue  # a key must follow at once: "(" key, "NOT " key
        _close(tokens, stack, _leaf(tokens))
        if tokens.at_end:
            break
        tokens.space()
    if len(stack) > 1:
        raise RemoteProtocolError("the search ends too early")
    key = _all_of(root.keys)
    check_words(key)
    return key


def _open(tokens: Tokens) -> _Frame | None:
    if tokens.accept(b"("):
        return _Frame(_all_of, None)
    if tokens.accept_word(b"NOT "):
        return _Frame(lambda keys: Not(keys[0]), 1)
    if tokens.accept_word(b"FUZZY "):
        return _Frame(lambda keys: Fuzzy(keys[0]), 1)
    if tokens.accept_word(b"OR "):
        return _Frame(_any_of, 2)
    return None


def _close(tokens: Tokens, stack: list[_Frame], key: SearchKey) -> None:
    """Give `key` to the innermost frame, and close every frame that now has all it needs."""
    stack[-1].keys.append(key)
    while len(stack) > 1:
        frame = stack[-1]
        if not frame.complete and not (frame.needs is None and tokens.accept(b")")):
            return
        stack.pop()
        stack[-1].keys.append(frame.build(frame.keys))


def _leaf(tokens: Tokens) -> SearchKey:
    if tokens.at_number_set:
        numbers = tokens.number_set()
        tokens.need_uids(uid=numbers.saved)
        return Numbers(numbers, uid=False)
    name = tokens.keyword()
    simple = _SIMPLE.get(name)
    if simple is not None:
        return simple
    rule = _RULES.get(name)
    if rule is None:
        raise RemoteProtocolError("unknown search key")
    tokens.space()
    return rule(tokens)


_SIMPLE: Final[Mapping[bytes, SearchKey]] = {
    b"ALL": All(),
    b"ANSWERED": Keyword("$answered"),
    b"DELETED": Keyword("$deleted"),
    b"DRAFT": Keyword("$draft"),
    b"FLAGGED": Keyword("$flagged"),
    b"SAVEDATESUPPORTED": All(),  # RFC 8514 4.3: every mailbox of ours knows them
    b"SEEN": Keyword("$seen"),
    b"UNANSWERED": Keyword("$answered", present=False),
    b"UNDELETED": Keyword("$deleted", present=False),
    b"UNDRAFT": Keyword("$draft", present=False),
    b"UNFLAGGED": Keyword("$flagged", present=False),
    b"UNSEEN": Keyword("$seen", present=False),
    # RFC 3501 6.4.4; RFC 9051 has no more of them
    b"NEW": And((Recent(), Keyword("$seen", present=False))),
    b"OLD": Not(Recent()),
    b"RECENT": Recent(),
}


def _date(tokens: Tokens) -> int:
    """RFC 9051 9 date: with or without quotes."""
    return parse_date(tokens.string() if tokens.peek() == b'"' else tokens.atom())


def _before(moment: Moment) -> Callable[[Tokens], SearchKey]:
    return lambda tokens: Dated(moment, None, _date(tokens))


def _since(moment: Moment) -> Callable[[Tokens], SearchKey]:
    return lambda tokens: Dated(moment, _date(tokens), None)


def _on(moment: Moment) -> Callable[[Tokens], SearchKey]:
    def rule(tokens: Tokens) -> SearchKey:
        day = _date(tokens)
        return Dated(moment, day, day + 1)

    return rule


def _field(name: bytes) -> Callable[[Tokens], SearchKey]:
    return lambda tokens: _in_header(name, tokens.text())


def _header(tokens: Tokens) -> SearchKey:
    name = tokens.astring().lower()
    tokens.space()
    return _in_header(name, tokens.text())


def _in_header(name: bytes, text: str) -> InHeader:
    return InHeader(name, fold(text), text.encode())


def _in_body(*, header_too: bool) -> Callable[[Tokens], SearchKey]:
    def rule(tokens: Tokens) -> SearchKey:
        text = tokens.text()
        return InBody(fold(text), text.encode(), header_too)

    return rule


def _object_id(tokens: Tokens) -> str:
    """RFC 8474 7 objectid: letters, digits, - and _, at most 255."""
    return tokens.atom().decode("ascii")


def _filter(tokens: Tokens) -> SearchKey:
    """RFC 5466 4 filter-name."""
    name = tokens.atom()
    if b"/" in name:
        raise RemoteProtocolError("the name of a filter has no /")
    return Filter(name)


def _modseq(tokens: Tokens) -> SearchKey:
    """RFC 7162 3.1.5. There is one mod-sequence per message, so entry name and type say nothing."""
    if tokens.peek() == b'"':
        tokens.string()
        tokens.space()
        if tokens.keyword() not in (b"PRIV", b"SHARED", b"ALL"):
            raise RemoteProtocolError("expected priv, shared or all")
        tokens.space()
    return ChangedSince(tokens.number())


def _uid_after(tokens: Tokens) -> SearchKey:
    """RFC 9738 3.2."""
    uid = tokens.nz_number()
    return Numbers(NumberSet(((uid + 1, NUMBER_MAX),) if uid < NUMBER_MAX else ()), uid=True)


def _uid_before(tokens: Tokens) -> SearchKey:
    """RFC 9738 3.2."""
    uid = tokens.nz_number()
    return Numbers(NumberSet(((1, uid - 1),) if uid > 1 else ()), uid=True)


def _owned(text: str) -> tuple[ids.AccountId | None, str]:
    """Whose an id says that it is, and the rest of it (selected.shown_id)."""
    owner, dash, rest = text.partition("-")
    return (ids.parse_account(owner), rest) if dash else (None, text)


def _of_email(tokens: Tokens) -> SearchKey:
    owner, text = _owned(_object_id(tokens))
    return OfEmail(ids.parse_email(text), owner)


def _of_thread(tokens: Tokens) -> SearchKey:
    owner, text = _owned(_object_id(tokens))
    return OfThread(ids.parse_thread(text), owner)


_RULES: Final[Mapping[bytes, Callable[[Tokens], SearchKey]]] = {
    b"BCC": _field(b"bcc"),
    b"BEFORE": _before(Moment.RECEIVED),
    b"BODY": _in_body(header_too=False),
    b"CC": _field(b"cc"),
    b"FILTER": _filter,
    b"FROM": _field(b"from"),
    b"HEADER": _header,
    b"EMAILID": _of_email,
    b"KEYWORD": lambda tokens: Keyword(parse_flag(tokens.atom())),
    b"LARGER": lambda tokens: Sized(over=tokens.number()),
    b"MODSEQ": _modseq,
    b"OLDER": lambda tokens: Aged(tokens.nz_number(), younger=False),
    b"ON": _on(Moment.RECEIVED),
    b"SAVEDBEFORE": _before(Moment.SAVED),
    b"SAVEDON": _on(Moment.SAVED),
    b"SAVEDSINCE": _since(Moment.SAVED),
    b"SENTBEFORE": _before(Moment.SENT),
    b"SENTON": _on(Moment.SENT),
    b"SENTSINCE": _since(Moment.SENT),
    b"SINCE": _since(Moment.RECEIVED),
    b"SMALLER": lambda tokens: Sized(under=tokens.number()),
    b"SUBJECT": _field(b"subject"),
    b"TEXT": _in_body(header_too=True),
    b"THREADID": _of_thread,
    b"TO": _field(b"to"),
    b"UID": lambda tokens: Numbers(tokens.number_set(), uid=True),
    b"UIDAFTER": _uid_after,
    b"UIDBEFORE": _uid_before,
    b"UNKEYWORD": lambda tokens: Keyword(parse_flag(tokens.atom()), present=False),
    b"YOUNGER": lambda tokens: Aged(tokens.nz_number(), younger=True),
}
