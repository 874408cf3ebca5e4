"""What one connection asked to be notified of, and which mailboxes that covers (RFC 5465 3.1, 6).

Pure. A mailbox that several groups cover has the events of all of them, or none when one of them
says NONE. Of the selected mailbox the SELECTED group alone says which messages are told.
"""

from collections.abc import Iterator
from typing import Final

from protocols.imap.commands import Event, EventGroup, Scope
from protocols.imap.fetch_commands import Fetch, FetchItem
from protocols.imap.notify import MESSAGE_EVENTS, SELECTED_SCOPES
from protocols.imap.patterns import SEPARATOR
from protocols.imap.selected import Heed
from protocols.imap.sets import NumberSet
from storage.ids import MailboxId, Version
from storage.mail.mailboxes import INBOX_ROLE
from storage.mail.records import Mailbox

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


class Notified:
    """One NOTIFY as it stands; NOTIFY NONE has no groups."""

    __slots__ = ("_groups", "_selected", "known")

    def __init__(self, groups: tuple[EventGroup, ...]) -> None:
        self._groups = [group for group in groups if group.scope not in SELECTED_SCOPES]
        self._selected = next((g for g in groups if g.scope in SELECTED_SCOPES), None)
        self.known: Panorama | None = None
        """The mailboxes as the client was last told of them; None when it asked for none."""

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
        compared = MESSAGE_EVENTS | {Event.MAILBOX_NAME, Event.SUBSCRIPTION_CHANGE}
        return any(group.events & compared for group in self._groups)

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
        """What is told of a mailbox."""
        found: frozenset[Event] = frozenset()
        for group in self._groups:
            if _covers(group, mailbox, name):
                if not group.events:
                    return frozenset()
                found |= group.events
        return found


def _covers(group: EventGroup, mailbox: Mailbox, name: str) -> bool:
    """RFC 5465 6.2-6.6."""
    match group.scope:
        case Scope.INBOXES:  # where protocols/delivery.py puts mail that comes in
            return mailbox.role == INBOX_ROLE
        case Scope.SUBSCRIBED:
            return mailbox.subscribed
        case Scope.MAILBOXES:
            return name in group.names
        case Scope.SUBTREE:
            return any(above in group.names for above in _upwards(name))
    return True


def _upwards(name: str) -> Iterator[str]:
    """`a/b/c` -> itself, `a/b`, `a`."""
    while name:
        yield name
        name, _, _ = name.rpartition(SEPARATOR)
