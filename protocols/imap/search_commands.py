"""SEARCH, SORT and THREAD as the parser gives them and the ops take them: keys, options, commands.

Keys are RFC 9051 6.4.4's and those of its extensions; what is compared as text is folded already.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from protocols.imap.fetch_commands import Fetch
from protocols.imap.partial import PartialRange
from protocols.imap.sets import NumberSet
from storage.ids import AccountId, EmailId, ThreadId


@dataclass(frozen=True, slots=True)
class All:
    """Every message."""


@dataclass(frozen=True, slots=True)
class Recent:
    """Messages that this session was the first to be told of (RFC 3501 2.3.2)."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """A set of sequence numbers, or of UIDs."""

    numbers: NumberSet
    uid: bool


@dataclass(frozen=True, slots=True)
class Keyword:
    """The message has the keyword, or has it not."""

    keyword: str
    present: bool = True


class Moment(Enum):
    """Which date a date key asks: INTERNALDATE, what its Date field says, or when it came into the
    mailbox (RFC 8514)."""

    RECEIVED = "received"
    SENT = "sent"
    SAVED = "saved"


@dataclass(frozen=True, slots=True)
class Dated:
    """`first` <= day < `end`; None leaves that side open (BEFORE, ON, SINCE and SENT...)."""

    moment: Moment
    first: int | None
    end: int | None


@dataclass(frozen=True, slots=True)
class Sized:
    """`over` < size < `under` (LARGER, SMALLER)."""

    over: int = -1
    under: int | None = None


@dataclass(frozen=True, slots=True)
class ChangedSince:
    """RFC 7162 3.1.5 MODSEQ: changed at this mod-sequence or later."""

    modseq: int


@dataclass(frozen=True, slots=True)
class Aged:
    """RFC 5032 YOUNGER, or OLDER when not `younger`: it came within so many seconds."""

    seconds: int
    younger: bool


@dataclass(frozen=True, slots=True)
class OfEmail:
    """RFC 8474 5.3 EMAILID; None: an id that we never gave. `owner`: it tells whose it is."""

    email: EmailId | None
    owner: AccountId | None = None


@dataclass(frozen=True, slots=True)
class OfThread:
    """RFC 8474 5.3 THREADID; as OfEmail."""

    thread: ThreadId | None
    owner: AccountId | None = None


@dataclass(frozen=True, slots=True)
class InHeader:
    """A field of this lower-case name contains the folded text; empty text: the field is there.
    `octets` are the text as it came: what is not as its charset says is compared so (RFC 5255 4.6).
    """

    field: bytes
    text: str
    octets: bytes


@dataclass(frozen=True, slots=True)
class InBody:
    """The text of the message contains the folded text; TEXT looks at the header too."""

    text: str
    octets: bytes
    header_too: bool


@dataclass(frozen=True, slots=True)
class Not:
    """Messages that do not match."""

    key: "SearchKey"


@dataclass(frozen=True, slots=True)
class Or:
    """Messages that match either."""

    left: "SearchKey"
    right: "SearchKey"


@dataclass(frozen=True, slots=True)
class And:
    """Messages that match all."""

    keys: tuple["SearchKey", ...]


@dataclass(frozen=True, slots=True)
class Fuzzy:
    """RFC 6203 3: messages that are like those that match."""

    key: "SearchKey"


@dataclass(frozen=True, slots=True)
class Filter:
    """RFC 5466 3.1: a search kept by name as an annotation of the server."""

    name: bytes


SearchKey = (
    All | Numbers | Keyword | Dated | Sized | ChangedSince | Aged | OfEmail | OfThread
    | Recent | InHeader | InBody | Not | Or | And | Fuzzy | Filter
)  # fmt: skip


def counts_messages(key: SearchKey) -> bool:
    """Whether sequence numbers stand in a search: then what they count may not change under it."""
    match key:
        case Numbers():
            return not (key.uid or key.numbers.saved)
        case Not() | Fuzzy():
            return counts_messages(key.key)
        case Or():
            return counts_messages(key.left) or counts_messages(key.right)
        case And():
            return any(map(counts_messages, key.keys))
        case _:
            return False


def is_fuzzy(key: SearchKey) -> bool:
    """Whether FUZZY stands in a search, so that what is found has scores (RFC 6203 4)."""
    match key:
        case Fuzzy():
            return True
        case Not():
            return is_fuzzy(key.key)
        case Or():
            return is_fuzzy(key.left) or is_fuzzy(key.right)
        case And():
            return any(map(is_fuzzy, key.keys))
        case _:
            return False


class SearchReturn(Enum):
    """RFC 9051 6.4.4 search-return-opt; PARTIAL is RFC 9394's, its range stands beside; UPDATE and
    CONTEXT are RFC 5267's, RELEVANCY is RFC 6203's."""

    MIN = b"MIN"
    MAX = b"MAX"
    ALL = b"ALL"
    COUNT = b"COUNT"
    SAVE = b"SAVE"
    PARTIAL = b"PARTIAL"
    UPDATE = b"UPDATE"
    CONTEXT = b"CONTEXT"
    RELEVANCY = b"RELEVANCY"


@dataclass(frozen=True, slots=True)
class Search:
    """RFC 9051 6.4.4; `returns` None is SEARCH without RETURN; `fetch` is UPDATE's (RFC 5465 7)."""

    key: SearchKey
    returns: frozenset[SearchReturn] | None = None
    uid: bool = False
    partial: PartialRange | None = None
    fetch: Fetch | None = None


@dataclass(frozen=True, slots=True)
class NotSearched:
    """A search or sort whose result was to be saved, in a charset that we do not know."""


@dataclass(frozen=True, slots=True)
class CancelUpdate:
    """RFC 5267 4.3.5."""

    tags: tuple[bytes, ...]


class SortKey(Enum):
    """RFC 5256 3 sort-key, RFC 5957 5, RFC 6203 6."""

    ARRIVAL = b"ARRIVAL"
    CC = b"CC"
    DATE = b"DATE"
    FROM = b"FROM"
    SIZE = b"SIZE"
    SUBJECT = b"SUBJECT"
    TO = b"TO"
    DISPLAYFROM = b"DISPLAYFROM"
    DISPLAYTO = b"DISPLAYTO"
    RELEVANCY = b"RELEVANCY"


@dataclass(frozen=True, slots=True)
class Criterion:
    """RFC 5256 5 sort-criterion."""

    key: SortKey
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Sort:
    """RFC 5256 3 SORT; `returns` None is SORT without RETURN (RFC 5267 3.1)."""

    key: SearchKey
    criteria: tuple[Criterion, ...]
    returns: frozenset[SearchReturn] | None = None
    uid: bool = False
    partial: PartialRange | None = None
    fetch: Fetch | None = None


class ThreadAlgorithm(Enum):
    """RFC 5256 3 thread-alg; REFS is of draft-ietf-morg-inthread."""

    ORDEREDSUBJECT = b"ORDEREDSUBJECT"
    REFERENCES = b"REFERENCES"
    REFS = b"REFS"


@dataclass(frozen=True, slots=True)
class Thread:
    """RFC 5256 3 THREAD."""

    key: SearchKey
    algorithm: ThreadAlgorithm
    uid: bool = False


class Source(Enum):
    """RFC 7377 2.2: RFC 5465's filter-mailboxes, without SELECTED-DELAYED."""

    SELECTED = b"SELECTED"
    INBOXES = b"INBOXES"
    PERSONAL = b"PERSONAL"
    SUBSCRIBED = b"SUBSCRIBED"
    SUBTREE = b"SUBTREE"
    SUBTREE_ONE = b"SUBTREE-ONE"
    MAILBOXES = b"MAILBOXES"


@dataclass(frozen=True, slots=True)
class MultiSearch:
    """RFC 7377 2: `sources` are what to search, with the names that some of them give."""

    search: Search
    sources: Mapping[Source, frozenset[str]]
