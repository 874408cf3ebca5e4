"""NOTIFY's grammar (RFC 5465 8), its bounds, and which mailboxes a filter covers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import LimitExceeded, RemoteProtocolError
from protocols.imap.commands import Event, EventGroup, Notify, Scope
from protocols.imap.fetch_commands import FetchItem, SectionText
from protocols.imap.notified import Notified
from protocols.imap.notify import EVENTS_MAX, GROUPS_MAX, NAMES_MAX
from protocols.imap.parse import parse_command
from protocols.imap.selected import Heed
from protocols.imap.tokens import Tokens
from storage.ids import MailboxId, Version
from storage.mail.records import Mailbox

MESSAGES = frozenset({Event.MESSAGE_NEW, Event.MESSAGE_EXPUNGE})


def parse(text: str) -> Notify:
    command = parse_command(Tokens(f"NOTIFY {text}".encode()))
    assert isinstance(command, Notify)
    return command


def test_none_has_no_groups() -> None:
    assert parse("none") == Notify()


def test_groups_are_in_any_case_and_each_with_what_it_names() -> None:
    found = parse(
        "set Status (Selected (messagenew (uid body.peek[header.fields (to)]) messageexpunge))"
        ' (Subtree ("a/b" inbox) (MailboxName)) (mailboxes "x*" NONE)'
    )
    selected, subtree, named = found.groups
    assert found.status and not found.unsupported
    assert (selected.scope, selected.events) == (Scope.SELECTED, MESSAGES)
    assert selected.items == {FetchItem.UID}
    [section] = selected.sections
    assert getattr(section, "text", None) is SectionText.FIELDS
    assert subtree == EventGroup(
        Scope.SUBTREE, frozenset({Event.MAILBOX_NAME}), frozenset({"a/b", "INBOX"})
    )
    assert named == EventGroup(Scope.MAILBOXES, frozenset(), frozenset({"x*"}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SOME",
        "SET",
        "SET STATUS",
        "SET ()",
        "SET (personal)",
        "SET (personal ())",
        "SET (personal MessageNew MessageExpunge)",
        "SET (personal (MailboxName) )",
        "SET (personal (MailboxName)) ",
        "SET (subtree (MailboxName))",
        "SET (mailboxes () (MailboxName))",
        "SET (personal x (MailboxName))",
        "SET (selected (MessageNew () MessageExpunge))",
        "SET (selected (MessageNew (FAST) MessageExpunge))",
        "NONE (personal (MailboxName))",
    ],
)
def test_what_the_grammar_does_not_have_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse(text)


def test_an_event_that_is_not_here_is_known_by_name_and_not_bad_whatever_is_with_it() -> None:
    assert parse("SET (selected (AnnotationChange))").unsupported
    assert parse("SET (personal (MailboxName x-new-event))").unsupported


def test_groups_names_and_events_are_bounded() -> None:
    group = " (personal (MailboxName))"
    assert len(parse("SET" + group * GROUPS_MAX).groups) == GROUPS_MAX
    with pytest.raises(LimitExceeded):
        parse("SET" + group * (GROUPS_MAX + 1))
    half = " ".join(f"n{number}" for number in range(NAMES_MAX // 2))
    parse(f"SET (mailboxes ({half}) NONE) (subtree ({half}) NONE)")
    with pytest.raises(LimitExceeded):
        parse(f"SET (mailboxes ({half} x) NONE) (subtree ({half}) NONE)")
    with pytest.raises(LimitExceeded):
        parse(f"SET (mailboxes ({half} {half.upper()} x) NONE)")
    with pytest.raises(LimitExceeded):
        parse(f"SET (personal ({' '.join(['MailboxName'] * (EVENTS_MAX + 1))}))")


WORDS = st.sampled_from(
    "SET NONE STATUS ( ) (( )) selected selected-delayed personal inboxes subtree mailboxes "
    "subscribed MessageNew MessageExpunge FlagChange MailboxName AnnotationChange (UID) x "
    '"a b" (BODY[1.MIME]) BINARY.SIZE[2] {3} * % é'.split()
)


@given(st.lists(st.one_of(WORDS, st.text(max_size=3)), max_size=20), st.sampled_from(("", " ")))
def test_nothing_said_raises_anything_but_a_refusal(words: list[str], between: str) -> None:
    text = (between.join(words)).encode("utf-8", "surrogatepass")
    try:
        parse_command(Tokens(b"NOTIFY SET (" + text))
    except RemoteProtocolError:
        pass


def mailbox(name: str, *, role: str | None = None, subscribed: bool = False) -> Mailbox:
    return Mailbox(MailboxId(1), name, MailboxId(0), role, 0, subscribed, 1, Version(1))


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        ("personal", {"INBOX", "a", "a/b", "ab"}),
        ("inboxes", {"INBOX"}),
        ("subscribed", {"a/b"}),
        ("subtree a", {"a", "a/b"}),
        ("subtree (a/b INBOX)", {"a/b", "INBOX"}),
        ("mailboxes a", {"a"}),
        ('mailboxes ("a*" ab)', {"ab"}),
    ],
)
def test_each_filter_covers_what_it_says(scope: str, covered: set[str]) -> None:
    notified = Notified(parse(f"SET ({scope} (MailboxName))").groups)
    boxes = {
        "INBOX": mailbox("Inbox", role="inbox"),
        "a": mailbox("a"),
        "a/b": mailbox("b", subscribed=True),
        "ab": mailbox("ab"),
    }
    assert {name for name, box in boxes.items() if notified.events(box, name)} == covered


def test_groups_add_up_and_none_takes_all_away() -> None:
    text = "SET (personal (MailboxName)) (subscribed (SubscriptionChange)) (mailboxes a NONE)"
    notified = Notified(parse(text).groups)
    both = {Event.MAILBOX_NAME, Event.SUBSCRIPTION_CHANGE}
    assert notified.events(mailbox("b", subscribed=True), "b") == both
    assert notified.events(mailbox("a", subscribed=True), "a") == frozenset()


@pytest.mark.parametrize(
    ("text", "heeds", "at_once"),
    [
        ("NONE", Heed.NOTHING, False),
        ("SET (personal (MessageNew MessageExpunge))", Heed.NOTHING, False),
        ("SET (selected NONE)", Heed.NOTHING, True),
        ("SET (selected (MessageNew MessageExpunge))", Heed.COUNTS, True),
        ("SET (selected-delayed (MessageNew MessageExpunge FlagChange))", Heed.ALL, False),
    ],
)
def test_of_the_selected_mailbox_only_the_selected_group_says(
    text: str, heeds: Heed, at_once: bool
) -> None:
    notified = Notified(parse(text).groups)
    assert (notified.heeds, notified.expunges_at_once) == (heeds, at_once)
