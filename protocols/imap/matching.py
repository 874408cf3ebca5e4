"""Search keys as tests of messages, in three values: yes, no, not known yet (RFC 9051 6.4.4).

A test says None while the facts it needs are not read. So a search asks the cheap facts of a
message first and reads dear ones only for those messages that the cheap ones leave open:

    row       flags, dates received, sizes, numbers     read with the mailbox's order
    view      addresses, subject, date sent             one stored record
    header    any other field                           the header's octets
    text      BODY and TEXT                             the text parts, decoded
    inner     TEXT                                      headers of parts and embedded messages

Texts are compared by i;unicode-casemap (RFC 5255 4, RFC 5051). One that is not as its charset says
is compared as far as it can be read, and by its octets too (RFC 5255 4.6).
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from protocols.collation import fold
from protocols.imap.dates import DAY_MS, DAY_S, MINUTE_MS
from protocols.imap.fuzzy import (
    DAYS_OFF_MAX,
    SIZE_OFF_MAX,
    Text,
    Wanted,
    likeness,
    nearness,
)
from protocols.imap.search_commands import (
    Aged,
    All,
    And,
    ChangedSince,
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
    SearchKey,
    Sized,
)
from protocols.imap.selected import Positions
from protocols.mime.words import is_malformed
from storage.ids import AccountId, EmailId, ThreadId
from storage.mail.records import UidRow

# Fields whose text the stored view has (LIST_PROPERTIES).
VIEW_FIELDS: Final = (b"from", b"to", b"cc", b"bcc", b"subject")


Field = tuple[bytes, str, bytes]


@dataclass(slots=True)
class Facts:
    """What is known of one message; None: not read yet.

    `view` maps each of VIEW_FIELDS to its folded text, or None when the message has no such
    field; `sent_day` goes with it. `header` has (lower-case name, folded text, octets) per field;
    `text` the folded text of its body, `octets` of it. Octets are only of what is not as its
    charset says. `inner` is as `header`, of its parts and of messages embedded in it.
    """

    position: int
    uid: int
    row: UidRow
    view: Mapping[bytes, str | None] | None = None
    sent_day: int | None = None
    has_groups: bool = False
    """Groups of addresses are in it, whose names `view` has not (RFC 5322 3.4)."""
    header: tuple[Field, ...] | None = None
    text: str | None = None
    inner: tuple[Field, ...] | None = None
    octets: tuple[bytes, ...] = ()
    body: Text | None = None
    """`text` as FUZZY looks at it; nobody has asked yet."""
    likenesses: dict[int, float] | None = None
    """How like what they ask for it is, of the FUZZY keys that it has met, by their place."""


Test = Callable[[Facts], bool | None]


def no_recent(uid: int) -> bool:
    """Nothing is \\Recent: to IMAP4rev2, and where no mailbox is selected."""
    return False


@dataclass(frozen=True, slots=True)
class Naming:
    """What the words of a search mean at the moment it is made."""

    positions: Callable[[Numbers], list[Positions]]
    """Which messages a set of numbers names."""
    emails: Callable[[ThreadId], frozenset[EmailId]]
    """The emails of a thread; none when there is no such thread."""
    now_ms: int
    owner: AccountId | None = None
    """Whose mailbox it is, when it is another's (selected.shown_id)."""
    is_recent: Callable[[int], bool] = no_recent
    """Whether the message with a UID is \\Recent in this session."""
    is_fuzzy: bool = False
    """What is like it is meant, too (RFC 6203)."""


def compile_key(key: SearchKey, naming: Naming) -> Test:
    """The test of a key. The parser bounds how deep keys nest."""
    if naming.is_fuzzy and (alike := _alike(key)) is not None:
        return alike
    match key:
        case All():
            return lambda facts: True
        case Keyword():
            return _keyword(key)
        case Numbers():
            return _numbers(naming.positions(key))
        case Dated():
            return _dated(key)
        case Sized():
            return _sized(key)
        case Recent():
            is_recent = naming.is_recent
            return lambda facts: is_recent(facts.uid)
        case ChangedSince():
            least = key.modseq
            return lambda facts: facts.row.modseq >= least
        case Aged():
            return _aged(key, naming.now_ms)
        case OfEmail():
            known = key.email if key.owner == naming.owner else None
            return lambda facts: facts.row.content == known
        case OfThread():
            if key.thread is None or key.owner != naming.owner:
                return _of_emails(frozenset())
            return _of_emails(naming.emails(key.thread))
        case InHeader():
            return _in_header(key)
        case InBody():
            return _in_body(key)
        case Not():
            return _not(compile_key(key.key, naming))
        case Fuzzy():
            return compile_key(key.key, replace(naming, is_fuzzy=True))
        case Or():
            return _any([compile_key(key.left, naming), compile_key(key.right, naming)])
        case And():
            return _all([compile_key(inner, naming) for inner in key.keys])
        case Filter():
            raise AssertionError("filters are replaced by what they say (filters.py)")


def _keyword(key: Keyword) -> Test:
    keyword, present = key.keyword, key.present
    return lambda facts: (keyword in facts.row.keywords) is present


def _numbers(ranges: list[Positions]) -> Test:
    if len(ranges) == 1:
        first, end = ranges[0]
        return lambda facts: first <= facts.position < end
    firsts = [first for first, _ in ranges]

    def named(facts: Facts) -> bool:
        at = bisect_right(firsts, facts.position) - 1
        return at >= 0 and facts.position < ranges[at][1]

    return named


def _dated(key: Dated) -> Test:
    first, end = key.first, key.end

    def within(day: int) -> bool:
        return (first is None or day >= first) and (end is None or day < end)

    if key.moment is Moment.RECEIVED:
        return lambda facts: within(_received_day(facts.row))
    if key.moment is Moment.SAVED:
        return lambda facts: within(_saved_day(facts.row))

    def sent(facts: Facts) -> bool | None:
        if facts.view is None:
            return None
        return facts.sent_day is not None and within(facts.sent_day)

    return sent


def _saved_day(row: UidRow) -> int:
    """RFC 8514 4.3: where it is not known when a message was saved, its INTERNALDATE stands in."""
    return row.saved_s // DAY_S if row.saved_s else _received_day(row)


def _received_day(row: UidRow) -> int:
    """RFC 9051 6.4.4: the day of the internal date as it stands there, whatever its zone."""
    return (row.received_ms + row.east_minutes * MINUTE_MS) // DAY_MS


def _aged(key: Aged, now_ms: int) -> Test:
    """RFC 5032 2: by the internal date, to the second; who is just so old is both."""
    edge_s = now_ms // 1000 - key.seconds
    if key.younger:
        return lambda facts: facts.row.received_ms // 1000 >= edge_s
    return lambda facts: facts.row.received_ms // 1000 <= edge_s


def _of_emails(emails: frozenset[EmailId]) -> Test:
    return lambda facts: facts.row.email in emails


def _sized(key: Sized) -> Test:
    over, under = key.over, key.under
    if under is None:
        return lambda facts: facts.row.size > over
    limit = under
    return lambda facts: facts.row.size < limit


def _in_header(key: InHeader) -> Test:
    name, text, exact = key.field, key.text, key.octets

    def in_header(facts: Facts) -> bool | None:
        if facts.header is None:
            return None
        return any(
            field == name and (text in value or exact in octets)
            for field, value, octets in facts.header
        )

    def in_view(facts: Facts) -> bool | None:
        if facts.view is None:
            return None
        held = facts.view[name]
        if held is None:
            return facts.has_groups and in_header(facts)
        return text in held or ((facts.has_groups or is_malformed(held)) and in_header(facts))

    return in_view if name in VIEW_FIELDS else in_header


def _in_body(key: InBody) -> Test:
    text, exact, header_too = key.text, key.octets, key.header_too

    def holds(field: Field) -> bool:
        name, value, octets = field
        return text in value or exact in octets or text in fold(name.decode())

    def in_body(facts: Facts) -> bool | None:
        if header_too:
            if facts.header is None:
                return None
            if any(map(holds, facts.header)):
                return True
        if facts.text is None:
            return None
        if text in facts.text or any(exact in octets for octets in facts.octets):
            return True
        if not header_too:
            return False
        return None if facts.inner is None else any(map(holds, facts.inner))

    return in_body


# --- FUZZY (RFC 6203)


def _alike(key: SearchKey) -> Test | None:
    """The test of what is like a key; None: there is no such thing, or it is the key's own."""
    match key:
        case InHeader() if key.text:
            return _graded(key, _like_header(key))
        case InBody() if key.text:
            return _graded(key, _like_body(key))
        case Dated():
            return _graded(key, _like_date(key))
        case Sized():
            return _graded(key, _like_size(key))
        case _:
            return None


Grade = Callable[[Facts], float | None]


def _graded(key: SearchKey, grade: Grade) -> Test:
    place = id(grade)

    def test(facts: Facts) -> bool | None:
        found = grade(facts)
        if found:
            facts.likenesses = {**(facts.likenesses or {}), place: found}
        return None if found is None else found > 0

    return test


def _like_header(key: InHeader) -> Grade:
    name, wanted = key.field, Wanted(key.text)

    def in_view(facts: Facts) -> float | None:
        if facts.view is None:
            return None
        held = facts.view[name]
        return 0.0 if held is None else likeness(wanted, [Text(held)])

    def in_header(facts: Facts) -> float | None:
        if facts.header is None:
            return None
        texts = [Text(value) for field, value, _ in facts.header if field == name]
        return max((likeness(wanted, [text]) for text in texts), default=0.0)

    return in_view if name in VIEW_FIELDS else in_header


def _like_body(key: InBody) -> Grade:
    wanted, header_too = Wanted(key.text), key.header_too

    def in_body(facts: Facts) -> float | None:
        if facts.text is None or (header_too and facts.header is None):
            return None
        if facts.body is None:
            facts.body = Text(facts.text, fades=True)
        texts = [facts.body]
        if header_too and facts.header is not None:
            texts.append(Text("\0".join(value for _, value, _ in facts.header)))
        return likeness(wanted, texts)

    return in_body


def _like_date(key: Dated) -> Grade:
    first, end, moment = key.first, key.end, key.moment

    def sent(facts: Facts) -> float | None:
        if facts.view is None:
            return None
        day = facts.sent_day
        return 0.0 if day is None else nearness(day, first, end, DAYS_OFF_MAX)

    def came(facts: Facts) -> float:
        saved = moment is Moment.SAVED
        day = _saved_day(facts.row) if saved else _received_day(facts.row)
        return nearness(day, first, end, DAYS_OFF_MAX)

    return sent if moment is Moment.SENT else came


def _like_size(key: Sized) -> Grade:
    low = None if key.over < 0 else key.over + 1
    near = SIZE_OFF_MAX * max(key.over, key.under or 0)
    return lambda facts: nearness(facts.row.size, low, key.under, near)


def _not(test: Test) -> Test:
    def negated(facts: Facts) -> bool | None:
        found = test(facts)
        return None if found is None else not found

    return negated


def _any(tests: list[Test]) -> Test:
    def some(facts: Facts) -> bool | None:
        unknown = False
        for test in tests:
            found = test(facts)
            if found:
                return True
            unknown |= found is None
        return None if unknown else False

    return some


def _all(tests: list[Test]) -> Test:
    def every(facts: Facts) -> bool | None:
        unknown = False
        for test in tests:
            found = test(facts)
            if found is False:
                return False
            unknown |= found is None
        return None if unknown else True

    return every
