"""One frozen dataclass per command: what the parser gives and the ops take.

Mailbox names are decoded text with `/` between levels; flags are keywords as they are stored;
dates are day numbers or milliseconds. A command with `uid` set counts in UIDs (RFC 9051 6.4.9).
"""

from dataclasses import dataclass
from enum import Enum

from protocols.imap.acl_commands import DeleteAcl, GetAcl, ListRights, MyRights, SetAcl
from protocols.imap.append_commands import Append, Replace
from protocols.imap.batches import UidBatches
from protocols.imap.connection_commands import Compress, GetJmapAccess, Unauthenticate
from protocols.imap.fetch_commands import BinarySize, Fetch, FetchItem, Section
from protocols.imap.metadata import Entry, GetMetadata, SetMetadata
from protocols.imap.quota_commands import GetQuota, GetQuotaRoot, SetQuota
from protocols.imap.search_commands import (
    CancelUpdate,
    MultiSearch,
    NotSearched,
    Search,
    Sort,
    Thread,
)
from protocols.imap.sets import NumberSet
from protocols.imap.url_commands import GenUrlAuth, ResetKey, UrlFetch

# --- any state, RFC 9051 6.1


@dataclass(frozen=True, slots=True)
class Capability:
    """RFC 9051 6.1.1."""


@dataclass(frozen=True, slots=True)
class Noop:
    """RFC 9051 6.1.2."""


@dataclass(frozen=True, slots=True)
class Logout:
    """RFC 9051 6.1.3."""


@dataclass(frozen=True, slots=True)
class Id:
    """RFC 2971 3.1; what the client said of itself is not kept."""


# --- not authenticated, RFC 9051 6.2


@dataclass(frozen=True, slots=True)
class StartTls:
    """RFC 9051 6.2.1."""


@dataclass(frozen=True, slots=True)
class Authenticate:
    """RFC 9051 6.2.2; `initial` is the base64 of RFC 4959, undecoded."""

    mechanism: str
    initial: bytes | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """RFC 9051 6.2.3; no repr, so that no log ever shows a password."""

    username: str
    password: str


# --- authenticated, RFC 9051 6.3


@dataclass(frozen=True, slots=True)
class Enable:
    """RFC 9051 6.3.1, RFC 5161."""

    capabilities: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Resync:
    """RFC 7162 3.2.5: what a client that comes back has of the mailbox.

    `known` None are all UIDs; `match` are sequence numbers and their UIDs, as many of each.
    """

    uidvalidity: int
    modseq: int
    known: NumberSet | None = None
    match: tuple[NumberSet, NumberSet] | None = None


@dataclass(frozen=True, slots=True)
class Select:
    """RFC 9051 6.3.2 SELECT, and 6.3.3 EXAMINE when `read_only`; RFC 7162 3.1.8, 3.2.5."""

    mailbox: str
    read_only: bool = False
    condstore: bool = False
    resync: Resync | None = None


@dataclass(frozen=True, slots=True)
class Create:
    """RFC 9051 6.3.4; `uses` are the attributes, in upper case, of RFC 6154 3 USE."""

    mailbox: str
    uses: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    """RFC 9051 6.3.5."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class Rename:
    """RFC 9051 6.3.6."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Subscribe:
    """RFC 9051 6.3.7 SUBSCRIBE, and 6.3.8 UNSUBSCRIBE when not `wanted`."""

    mailbox: str
    wanted: bool


class StatusItem(Enum):
    """RFC 9051 6.3.11 status-att; RECENT is RFC 3501's, HIGHESTMODSEQ RFC 7162's, MAILBOXID RFC
    8474's, APPENDLIMIT RFC 7889's, DELETED-STORAGE RFC 9208's."""

    MESSAGES = b"MESSAGES"
    UIDNEXT = b"UIDNEXT"
    UIDVALIDITY = b"UIDVALIDITY"
    UNSEEN = b"UNSEEN"
    DELETED = b"DELETED"
    SIZE = b"SIZE"
    RECENT = b"RECENT"
    HIGHESTMODSEQ = b"HIGHESTMODSEQ"
    MAILBOXID = b"MAILBOXID"
    APPENDLIMIT = b"APPENDLIMIT"
    DELETED_STORAGE = b"DELETED-STORAGE"


@dataclass(frozen=True, slots=True)
class List:
    """RFC 9051 6.3.9, RFC 5258: which mailboxes, and what to tell of each.

    `select_subscribed`, `select_special`, `recursive` choose; `return_...` and `status` tell more.
    `extended` is False for the plain form of RFC 3501.
    """

    reference: str
    patterns: tuple[str, ...]
    extended: bool = False
    select_subscribed: bool = False
    select_special: bool = False
    recursive: bool = False
    return_subscribed: bool = False
    return_special: bool = False
    return_children: bool = False
    return_rights: bool = False
    status: tuple[StatusItem, ...] = ()
    metadata: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Lsub:
    """RFC 3501 6.3.9."""

    reference: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Namespace:
    """RFC 9051 6.3.10."""


@dataclass(frozen=True, slots=True)
class Status:
    """RFC 9051 6.3.11."""

    mailbox: str
    items: tuple[StatusItem, ...]


@dataclass(frozen=True, slots=True)
class Idle:
    """RFC 9051 6.3.13."""


# --- selected, RFC 9051 6.4


@dataclass(frozen=True, slots=True)
class Check:
    """RFC 3501 6.4.1: all we hold is durable already, so it asks for no more than NOOP."""


@dataclass(frozen=True, slots=True)
class Close:
    """RFC 9051 6.4.1 CLOSE, and 6.4.2 UNSELECT when not `expunge`."""

    expunge: bool


@dataclass(frozen=True, slots=True)
class Expunge:
    """RFC 9051 6.4.3; with `uids` it is UID EXPUNGE (6.4.9)."""

    uids: NumberSet | None = None


class Event(Enum):
    """RFC 5465 8 event: those there are here. AnnotationChange is not: messages have none."""

    MESSAGE_NEW = b"MessageNew"
    MESSAGE_EXPUNGE = b"MessageExpunge"
    FLAG_CHANGE = b"FlagChange"
    MAILBOX_NAME = b"MailboxName"
    SUBSCRIPTION_CHANGE = b"SubscriptionChange"
    MAILBOX_METADATA_CHANGE = b"MailboxMetadataChange"
    SERVER_METADATA_CHANGE = b"ServerMetadataChange"


class Scope(Enum):
    """RFC 5465 8 filter-mailboxes."""

    SELECTED = b"SELECTED"
    SELECTED_DELAYED = b"SELECTED-DELAYED"
    INBOXES = b"INBOXES"
    PERSONAL = b"PERSONAL"
    SUBSCRIBED = b"SUBSCRIBED"
    SUBTREE = b"SUBTREE"
    MAILBOXES = b"MAILBOXES"


@dataclass(frozen=True, slots=True)
class EventGroup:
    """RFC 5465 8 event-group; no events are NONE. `items` and `sections` are what MessageNew
    tells of a message that is new in the selected mailbox."""

    scope: Scope
    events: frozenset[Event]
    names: frozenset[str] = frozenset()
    items: frozenset[FetchItem] = frozenset()
    sections: tuple[Section | BinarySize, ...] = ()


@dataclass(frozen=True, slots=True)
class Notify:
    """RFC 5465 3.1 NOTIFY SET; without groups NOTIFY NONE. `unsupported`: events that are not
    here are among those asked for."""

    groups: tuple[EventGroup, ...] = ()
    status: bool = False
    unsupported: bool = False


class StoreMode(Enum):
    """RFC 9051 6.4.6: FLAGS, +FLAGS, -FLAGS."""

    REPLACE = b""
    ADD = b"+"
    REMOVE = b"-"


@dataclass(frozen=True, slots=True)
class Store:
    """RFC 9051 6.4.6; RFC 7162 3.1.3: nothing that has changed since a MODSEQ."""

    numbers: NumberSet
    mode: StoreMode
    keywords: tuple[str, ...]
    silent: bool = False
    uid: bool = False
    unchanged_since: int | None = None


@dataclass(frozen=True, slots=True)
class Copy:
    """RFC 9051 6.4.7 COPY, and 6.4.8 MOVE when `move`."""

    numbers: NumberSet
    mailbox: str
    move: bool = False
    uid: bool = False


Command = (
    Capability | Noop | Logout | Id | StartTls | Authenticate | Login
    | Enable | Select | Create | Delete | Rename | Subscribe | List | Lsub | Namespace | Status
    | Append | Idle | Notify
    | Check | Close | Expunge | Fetch | Store | Copy | Replace
    | Search | Sort | Thread | NotSearched | CancelUpdate | MultiSearch | UidBatches
    | Compress | Unauthenticate | GetJmapAccess | GetMetadata | SetMetadata
    | GetQuota | GetQuotaRoot | SetQuota | SetAcl | DeleteAcl | GetAcl | ListRights | MyRights
    | ResetKey | GenUrlAuth | UrlFetch
)  # fmt: skip
