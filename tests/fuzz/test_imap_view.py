"""A stress client's own idea of its mailbox: every rule that a server may break is noticed."""

import pytest

from fuzz.imap_ledger import Held, Ledger
from fuzz.imap_view import Fetched, Message, View, Violation, numbers, render


def view_of(*lines: bytes, vanishes: bool = False) -> View:
    """Somebody who has selected a mailbox of three with the UIDs 10, 20, 30."""
    view = View()
    view.vanishes = vanishes
    view.open(resync=False)
    for line in (b"* OK [UIDVALIDITY 7] v", b"* OK [UIDNEXT 31] n", b"* 3 EXISTS",
                 b"* OK [HIGHESTMODSEQ 5] h"):  # fmt: skip
        view.hear(line, may_lose=False)
    view.ended(b"a OK [READ-WRITE] SELECT completed")
    view.opened()
    for at, uid in enumerate((10, 20, 30), 1):
        view.hear(b"* %d FETCH (UID %d FLAGS (\\Seen) MODSEQ (%d))" % (at, uid, at), may_lose=False)
    hear(view, *lines)
    return view


def hear(view: View, *lines: bytes, may_lose: bool = True) -> None:
    for line in lines:
        view.hear(line, may_lose=may_lose, tag=b"t")


def uids(view: View) -> list[int | None]:
    return [message.uid for message in view.messages]


def test_it_counts_as_it_is_told() -> None:
    view = view_of(b"* 1 EXPUNGE", b"* 1 EXPUNGE", b"* 2 EXISTS", b"* 2 FETCH (UID 31 FLAGS ())")
    assert uids(view) == [30, 31]
    assert view.messages[1] == Message(31, frozenset(), recent=False)
    assert view.gone == [10, 20]


def test_vanished_is_by_uid() -> None:
    view = view_of(b"* VANISHED 10,30", vanishes=True)
    assert uids(view) == [20] and view.gone == [10, 30]


def test_a_vanished_uid_that_it_never_heard_is_of_a_message_without_one() -> None:
    view = view_of(b"* 5 EXISTS", b"* VANISHED 33", vanishes=True)
    assert uids(view) == [10, 20, 30, None]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"* 2 EXISTS", "EXISTS fell"),
        (b"* 4 EXPUNGE", "there are 3"),
        (b"* 4 FETCH (FLAGS ())", "there are 3"),
        (b"* 0 FETCH (FLAGS ())", "there are 3"),
        (b"* 2 FETCH (UID 21)", "was UID 20"),
        (b"* VANISHED 10", "not enabled QRESYNC"),
        (b"* OK [UIDVALIDITY 8] other", "UIDVALIDITY"),
        (b"* 2 FETCH (FLAGS () MODSEQ (1))", "MODSEQ fell"),
        (b"* 2 FETCH (FLAGS () MODSEQ (2))", "two sets of flags"),
        (b"* 2 FETCH (FLAGS () MODSEQ (5))", "was not told"),
        (b"* 2 FETCH (FLAGS (\\Seen \\Recent))", "was old"),
        (b'* ESEARCH (TAG "other") ALL 1', "another command"),
        (b"* SURPRISE", "asked for"),
    ],
)
def test_what_no_server_may_say(line: bytes, what: str) -> None:
    view = view_of()
    with pytest.raises(Violation, match=what):
        hear(view, line)


def test_messages_go_only_when_they_may() -> None:
    with pytest.raises(Violation, match="where none may be"):
        hear(view_of(), b"* 1 EXPUNGE", may_lose=False)
    with pytest.raises(Violation, match="where none may be"):
        hear(view_of(vanishes=True), b"* VANISHED 10", may_lose=False)
    with pytest.raises(Violation, match="enabled QRESYNC"):
        hear(view_of(vanishes=True), b"* 1 EXPUNGE")
    with pytest.raises(Violation, match="not there"):
        hear(view_of(vanishes=True), b"* VANISHED 15")
    with pytest.raises(Violation, match="still counted"):
        hear(view_of(vanishes=True), b"* VANISHED (EARLIER) 10")


def test_uids_ascend_and_new_ones_are_new() -> None:
    with pytest.raises(Violation, match="below 31"):
        hear(view_of(), b"* 4 EXISTS", b"* 4 FETCH (UID 30)")
    with pytest.raises(Violation, match="do not ascend"):
        hear(view_of(), b"* 5 EXISTS", b"* 5 FETCH (UID 40)", b"* 4 FETCH (UID 41)")
    with pytest.raises(Violation, match="do not ascend"):  # there is no room for message 4
        hear(view_of(), b"* 5 EXISTS", b"* 5 FETCH (UID 31)", b"* 4 FETCH (UID 31)")


def test_found_numbers_are_messages() -> None:
    hear(view_of(), b"* SEARCH 1 3", b'* ESEARCH (TAG "t") ALL 1:3', may_lose=False)
    hear(view_of(), b"* SEARCH 10 30", b'* ESEARCH (TAG "t") UID ALL 10:30')
    with pytest.raises(Violation, match="there are 3"):
        hear(view_of(), b"* SEARCH 4", may_lose=False)
    with pytest.raises(Violation, match="there are 3"):
        hear(view_of(), b'* ESEARCH (TAG "t") ALL 2:4', may_lose=False)


def test_what_it_has_seen_is_what_the_server_says_or_the_highest_it_heard() -> None:
    view = view_of()
    view.ended(b"a OK done")
    assert view.synced == 5
    hear(view, b"* 1 FETCH (FLAGS () MODSEQ (9))")
    view.ended(b"b OK done")
    assert view.synced == 9
    hear(view, b"* 2 FETCH (FLAGS () MODSEQ (12))", b"* OK [HIGHESTMODSEQ 10] Highest")
    view.ended(b"c OK done")
    assert view.synced == 10  # RFC 7162 6: a code counts, whatever else was heard


def test_who_comes_back_hears_what_is_gone() -> None:
    view = view_of(vanishes=True)
    assert view.keep()
    view.open(resync=True)
    hear(view, b"* 3 EXISTS", b"* OK [HIGHESTMODSEQ 9] h", b"* VANISHED (EARLIER) 20",
         b"* 2 FETCH (UID 30 FLAGS () MODSEQ (8))")  # fmt: skip
    view.ended(b"b OK done")
    view.opened()
    assert uids(view) == [10, 30, None] and view.gone == [20]
    assert view.messages[1].flags == frozenset() and view.synced == 9


def test_who_comes_back_and_is_not_told_all_notices() -> None:
    view = view_of(vanishes=True)
    assert view.keep()
    view.open(resync=True)
    hear(view, b"* 2 EXISTS", b"* OK [HIGHESTMODSEQ 9] h")
    with pytest.raises(Violation, match="1 more"):
        view.opened()


def test_it_comes_back_with_what_it_knows() -> None:
    view = view_of(b"* 5 EXISTS", b"* 5 FETCH (UID 50 FLAGS ())")
    view.ended(b"b OK done")
    assert view.keep()
    assert uids(view) == [10, 20, 30]
    view.messages[0].flags = None
    assert not view.keep()


def test_sets() -> None:
    assert render([5, 1, 2, 3, 9]) == "1:3,5,9"
    assert list(numbers(b"1:3,5,9")) == [1, 2, 3, 5, 9]


def test_the_ledger_knows_who_may_be_gone() -> None:
    ledger = Ledger()
    ledger.appended(5, "a")
    with pytest.raises(Violation, match="nobody has marked"):
        ledger.lost(5)
    ledger.dooms([5])
    ledger.lost(5)
    with pytest.raises(Violation, match="nobody removed"):
        ledger.lost(8)


def test_the_ledger_knows_what_is_back() -> None:
    ledger = Ledger()
    before = ledger.moment()
    ledger.dooms([5])
    ledger.lost(5)
    ledger.heard(Fetched(5, None, None), before)  # who selected earlier may count it still
    with pytest.raises(Violation, match="is back"):
        ledger.heard(Fetched(5, None, None), ledger.moment())


def test_one_modseq_is_one_set_of_flags_for_everybody() -> None:
    ledger = Ledger()
    ledger.heard(Fetched(5, frozenset({b"\\seen"}), 7), 1)
    with pytest.raises(Violation, match="same MODSEQ"):
        ledger.heard(Fetched(5, frozenset(), 7), 1)


def test_no_uid_is_given_out_twice_and_no_message_changes() -> None:
    ledger = Ledger()
    ledger.appended(5, "a")
    ledger.copied(5, 6)
    assert ledger.uidnext_least == 7
    with pytest.raises(Violation, match="two messages"):
        ledger.appended(6, "b")
    with pytest.raises(Violation, match="was a"):
        ledger.read(6, "b")


def test_the_end_is_judged() -> None:
    ledger = Ledger(tried={"a", "b"})
    ledger.appended(4, "a")
    ledger.appended(5, "b")
    ledger.writes("$own1", [4], there=True)
    seen = Held(4, frozenset(), 1, "a")
    assert ledger.judge([seen, Held(5, frozenset(), 1, "b")]) == []  # nobody has acknowledged
    ledger.wrote("$own1", [4], there=True)
    assert ledger.judge([seen]) == [
        "UID 5 was acknowledged and is lost",
        "UID 4: an acknowledged change of $own1 is lost",
    ]
    ledger.dooms([5])
    ledger.lost(5)
    kept = Held(4, frozenset({b"$own1"}), 2, "a")
    assert ledger.judge([kept]) == []
    assert ledger.judge([kept, Held(5, frozenset(), 1, "b")]) == [
        "UID 5 is there, and was told to be gone"
    ]
    assert ledger.judge([kept, Held(7, frozenset(), 1, "z")]) == [
        "UID 7 is z, which nobody appended"
    ]
