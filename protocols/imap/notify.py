"""The grammar of NOTIFY (RFC 5465 8), and what of it goes together (RFC 5465 5, 6.1)."""

import unicodedata
from collections.abc import Mapping
from typing import Final

from protocols.errors import LimitExceeded, RemoteProtocolError
from protocols.imap.commands import Event, EventGroup, Notify, Scope
from protocols.imap.fetch_commands import BinarySize, FetchItem, Section
from protocols.imap.fetch_items import items_to_parenthesis
from protocols.imap.tokens import Tokens

# Event groups of one NOTIFY: each is asked of each mailbox that has changed.
GROUPS_MAX: Final = 64
# Mailbox names of one NOTIFY, all groups together: a connection keeps them.
NAMES_MAX: Final = 1_000
# Events of one group: several times what there are.
EVENTS_MAX: Final = 32

MESSAGE_EVENTS: Final = frozenset({Event.MESSAGE_NEW, Event.MESSAGE_EXPUNGE, Event.FLAG_CHANGE})
SELECTED_SCOPES: Final = frozenset({Scope.SELECTED, Scope.SELECTED_DELAYED})
_NAMED: Final = frozenset({Scope.SUBTREE, Scope.MAILBOXES})
_EVENTS: Final[Mapping[bytes, Event]] = {event.value.upper(): event for event in Event}
_SCOPES: Final[Mapping[bytes, Scope]] = {scope.value: scope for scope in Scope}


def parse_notify(tokens: Tokens) -> Notify:
    """RFC 5465 8 notify."""
    tokens.space()
    if tokens.accept_word(b"NONE"):
        return Notify()
    if not tokens.accept_word(b"SET"):
        raise RemoteProtocolError("expected SET or NONE")
    status = tokens.accept_word(b" STATUS")
    groups: list[EventGroup] = []
    unsupported = False
    while not groups or not tokens.at_end:
        tokens.space()
        group, unknown = _group(tokens)
        groups.append(group)
        unsupported |= unknown
        if len(groups) > GROUPS_MAX:
            raise LimitExceeded("NOTIFY_GROUPS", f"a NOTIFY may have {GROUPS_MAX} event groups")
    if sum(len(group.names) for group in groups) > NAMES_MAX:
        raise LimitExceeded("NOTIFY_NAMES", f"a NOTIFY may name {NAMES_MAX} mailboxes")
    if sum(group.scope in SELECTED_SCOPES for group in groups) > 1:
        raise RemoteProtocolError("what is told of the selected mailbox is said once")
    if not unsupported:  # else it is refused as RFC 5465 3.1 has it, whatever it is
        for group in groups:
            _check(group)
    return Notify(tuple(groups), status, unsupported)


def _group(tokens: Tokens) -> tuple[EventGroup, bool]:
    """RFC 5465 8 event-group; True: it names events that are not here."""
    tokens.expect(b"(")
    scope = _SCOPES.get(tokens.keyword())
    if scope is None:
        raise RemoteProtocolError("unknown mailbox filter")
    tokens.space()
    names: frozenset[str] = frozenset()
    if scope in _NAMED:
        names = mailbox_names(tokens)
        tokens.space()
    if tokens.accept_word(b"NONE"):
        tokens.expect(b")")
        return EventGroup(scope, frozenset(), names), False
    events: set[Event] = set()
    items: set[FetchItem] = set()
    sections: list[Section | BinarySize] = []
    tokens.expect(b"(")
    named = unknown = 0
    while not named or not tokens.accept(b")"):
        if named:
            tokens.space()
        named += 1
        event = _EVENTS.get(tokens.keyword())
        if event is None:
            unknown += 1
        else:
            events.add(event)
        if named > EVENTS_MAX:
            raise LimitExceeded("NOTIFY_EVENTS", f"a group may name {EVENTS_MAX} events")
        if event is Event.MESSAGE_NEW and tokens.accept(b" ("):
            items_to_parenthesis(tokens, items, sections)
    tokens.expect(b")")
    told = tuple(dict.fromkeys(sections))
    return EventGroup(scope, frozenset(events), names, frozenset(items), told), bool(unknown)


def mailbox_names(tokens: Tokens) -> frozenset[str]:
    """RFC 5465 8 one-or-more-mailbox, as names are kept; no wildcards (6.6)."""
    if not tokens.accept(b"("):
        return frozenset({_name(tokens)})
    found = {_name(tokens)}
    while not tokens.accept(b")"):
        tokens.space()
        found.add(_name(tokens))
        if len(found) > NAMES_MAX:
            raise LimitExceeded("NOTIFY_NAMES", f"a NOTIFY may name {NAMES_MAX} mailboxes")
    return frozenset(found)


def _name(tokens: Tokens) -> str:
    return unicodedata.normalize("NFC", tokens.mailbox())


def _check(group: EventGroup) -> None:
    """RFC 5465 5: what needs what; 6.1: of the selected mailbox, messages alone."""
    events = group.events
    if (Event.MESSAGE_NEW in events) != (Event.MESSAGE_EXPUNGE in events):
        raise RemoteProtocolError("MessageNew and MessageExpunge go together")
    if Event.FLAG_CHANGE in events and Event.MESSAGE_NEW not in events:
        raise RemoteProtocolError("FlagChange needs MessageNew and MessageExpunge")
    if group.scope in SELECTED_SCOPES:
        if not events <= MESSAGE_EVENTS:
            raise RemoteProtocolError("of the selected mailbox only messages are told")
    elif group.items or group.sections:
        raise RemoteProtocolError("only of the selected mailbox can messages be told")
