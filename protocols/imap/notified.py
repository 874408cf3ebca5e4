"""What one connection asked to be notified of, and which mailboxes that covers (RFC 5465 3.1, 6).

Pure. A mailbox that several groups cover has the events of all of them, or none when one of them
says NONE. Of the selected mailbox the SELECTED group alone says which messages are told.
"""

from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Final

from protocols.imap.commands import Event, EventGroup, Scope
from protocols.imap.fetch_commands import Fetch, FetchItem
from protocols.imap.notify import MESSAGE_EVENTS, SELECTED_SCOPES
from protocols.imap.patterns import SEPARATOR
from protocols.imap.selected import Heed
from protocols.imap.sets import NumberSet
from storage.ids import AccountId, MailboxId, Version
from storage.mail.mailboxes import INBOX_ROLE
from storage.mail.records import Mailbox
from storage.mail.tree import OTHER_USERS

# Names of others' mailboxes that a connection remembers to have told \\NoAccess of.
DENIED_MAX: Final = 1_000

_COMPARED: Final = MESSAGE_EVENTS | {
    Event.MAILBOX_NAME,
    Event.SUBSCRIPTION_CHANGE,
    Event.MAILBOX_METADATA_CHANGE,  # of others' mailboxes: of one's own a version is remembered
}

Placed = tuple[Mailbox, str]
"""A mailbox and its whole name."""


class Panorama:
    """All mailboxes of an account as its `version` left them.

    Connections of one account share it, so that a thousand who are told of the same change hold
    one and have it made once. Nobody writes to it.
    """

    __slots__ = ("__weakref__", "counts", "mailboxes", "version")

    def __init__(
        self, version: Version, mailboxes: dict[MailboxId, Placed], counts: dict[MailboxId, bytes]
    ) -> None:
        self.version: Final = version
        self.mailboxes: Final = mailboxes
        self.counts: Final = counts
        """The packed MailboxCounts of each."""


@dataclass(frozen=True, slots=True)
class Shared:
    """Another's mailbox as its reader sees it, with his rights; `subscribed` is his too."""

    mailbox: Mailbox
    name: str
    rights: str


class Lent:
    """What one account lets another see. Connections share it, as they do a Panorama."""

    __slots__ = ("__weakref__", "boxes", "followed", "owner", "panorama", "stamp")

    def __init__(
        self,
        owner: AccountId,
        stamp: tuple[Version, Version],
        panorama: Panorama,
        boxes: dict[MailboxId, Shared],
        followed: Set[MailboxId],
    ) -> None:
        self.owner: Final = owner
        self.stamp: Final = stamp
        """The versions of owner and reader that it is of."""
        self.panorama: Final = panorama
        """All mailboxes of the owner."""
        self.boxes: Final = boxes
        """Those that the reader may look up."""
        self.followed: Final = followed
        """Those that he has subscribed to, also such as are gone."""


class Notified:
    """One NOTIFY as it stands; NOTIFY NONE has no groups."""

    __slots__ = (
        "_groups",
        "_selected",
        "denied",
        "known",
        "others",
        "owners_named",
        "reaches_everyone",
        "reaches_others",
        "reaches_subscribed",
    )

    def __init__(self, groups: tuple[EventGroup, ...]) -> None:
        self._groups = [group for group in groups if group.scope not in SELECTED_SCOPES]
        self._selected = next((g for g in groups if g.scope in SELECTED_SCOPES), None)
        self.known: Panorama | None = None
        """The mailboxes as the client was last told of them; None when it asked for none."""
        self.others: dict[AccountId, Lent] = {}
        """What others share, as the client was last told of it."""
        self.denied: dict[str, None] = {}
        """Names that were told with \\NoAccess last, the oldest first."""
        comparing = list(self._comparing())
        self.reaches_subscribed: Final = any(g.scope is Scope.SUBSCRIBED for g in comparing)
        """RFC 5465 6.4: all mailboxes that the user is subscribed to, whoever has them."""
        self.reaches_everyone: Final = any(
            g.scope is Scope.SUBTREE and OTHER_USERS in g.names for g in comparing
        )
        """The subtree above all others is covered."""
        names = (name.split(SEPARATOR, 2) for group in comparing for name in group.names)
        self.owners_named: Final = frozenset(
            parts[1] for parts in names if parts[0] == OTHER_USERS and len(parts) > 1
        )
        """The level below `Other Users` in the names that are covered."""
        self.reaches_others: Final = bool(
            self.reaches_subscribed or self.reaches_everyone or self.owners_named
        )
        """Mailboxes of others may be among what is covered."""

    # --- the selected mailbox

    @property
    def heeds(self) -> Heed:
        """Which news of messages is told of the selected mailbox; by itself none."""
        events = self._selected.events if self._selected is not None else frozenset[Event]()
        if Event.FLAG_CHANGE in events:
            return Heed.ALL
        return Heed.COUNTS if Event.MESSAGE_NEW in events else Heed.NOTHING

    @property
    def expunges_at_once(self) -> bool:
        """RFC 5465 6.1.1; SELECTED-DELAYED tells them when a command allows (6.1.2)."""
        return self._selected is not None and self._selected.scope is Scope.SELECTED

    @property
    def fetch_of_new(self) -> Fetch | None:
        """What to tell of a new message (RFC 5465 5.2), with its UID, by which alone it can be
        named."""
        group = self._selected
        if group is None or not (group.items or group.sections):
            return None
        return Fetch(NumberSet(()), group.items | {FetchItem.UID}, group.sections, uid=True)

    @property
    def items(self) -> frozenset[FetchItem]:
        """What MessageNew names of a message, sections apart."""
        return frozenset() if self._selected is None else self._selected.items

    # --- mailboxes

    @property
    def looks_around(self) -> bool:
        """Mailboxes must be compared to know what to tell."""
        return any(self._comparing())

    @property
    def metadata(self) -> bool:
        """Annotations are among what is told."""
        asked = {Event.MAILBOX_METADATA_CHANGE, Event.SERVER_METADATA_CHANGE}
        return any(group.events & asked for group in self._groups)

    @property
    def server_metadata(self) -> bool:
        """RFC 5465 5.7: those of the server are no mailbox's, so any group may ask for them."""
        return any(Event.SERVER_METADATA_CHANGE in group.events for group in self._groups)

    def events(self, mailbox: Mailbox, name: str) -> frozenset[Event]:
        """What is told of one of one's own mailboxes."""
        return self._events(mailbox, name, own=True)

    def events_of_other(self, mailbox: Mailbox | None, name: str) -> frozenset[Event]:
        """What is told of another's mailbox, or of a name above one."""
        return self._events(mailbox, name, own=False)

    def _events(self, mailbox: Mailbox | None, name: str, *, own: bool) -> frozenset[Event]:
        found: frozenset[Event] = frozenset()
        for group in self._groups:
            if _covers(group, mailbox, name, own=own):
                if not group.events:
                    return frozenset()
                found |= group.events
        return found

    # --- others

    def _comparing(self) -> Iterator[EventGroup]:
        return (group for group in self._groups if group.events & _COMPARED)

    def deny(self, name: str) -> None:
        """The client is told that it has no access."""
        self.denied.pop(name, None)
        self.denied[name] = None
        if len(self.denied) > DENIED_MAX:
            del self.denied[next(iter(self.denied))]


def _covers(group: EventGroup, mailbox: Mailbox | None, name: str, *, own: bool) -> bool:
    """RFC 5465 6.2-6.6."""
    match group.scope:
        case Scope.PERSONAL:
            return own
        case Scope.INBOXES:  # where protocols/delivery.py puts mail that comes in
            return own and mailbox is not None and mailbox.role == INBOX_ROLE
        case Scope.SUBSCRIBED:
            return mailbox is not None and mailbox.subscribed
        case Scope.MAILBOXES:
            return name in group.names
        case Scope.SUBTREE:
            return any(above in group.names for above in upwards(name))
    return True


def upwards(name: str) -> Iterator[str]:
    """`a/b/c` -> itself, `a/b`, `a`."""
    while name:
        yield name
        name, _, _ = name.rpartition(SEPARATOR)
