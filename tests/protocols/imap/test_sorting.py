"""Sort keys: what each compares, and how several go together (RFC 5256 3)."""

from protocols.imap.search_commands import Criterion, SortKey
from protocols.imap.sorting import (
    Correspondent,
    Headline,
    Sortable,
    in_order,
    needs_headline,
    values_of,
)


def order(criteria: list[Criterion], *messages: tuple[int, int, Headline]) -> list[int]:
    """The places of (received, size, headline) as the criteria sort them."""
    sortable = [
        Sortable(place, values_of(criteria, *message)) for place, message in enumerate(messages)
    ]
    return in_order(sortable, criteria)


def by(*names: str) -> list[Criterion]:
    return [Criterion(SortKey[name.lstrip("-")], name.startswith("-")) for name in names]


def test_rows_alone_tell_arrival_and_size() -> None:
    messages = [(3, 10, Headline()), (1, 30, Headline()), (2, 20, Headline())]
    assert order(by("ARRIVAL"), *messages) == [1, 2, 0]
    assert order(by("-SIZE"), *messages) == [1, 2, 0]
    assert not needs_headline(by("ARRIVAL", "-SIZE")) and needs_headline(by("SIZE", "CC"))


def test_equal_ones_stay_in_the_order_of_the_mailbox_in_reverse_too() -> None:
    messages = [(0, 5, Headline()), (0, 5, Headline()), (0, 1, Headline())]
    assert order(by("SIZE"), *messages) == [2, 0, 1]
    assert order(by("-SIZE"), *messages) == [0, 1, 2]


def test_what_was_sent_without_a_date_was_sent_when_it_came() -> None:
    messages = [(50, 0, Headline(sent_ms=60)), (55, 0, Headline()), (99, 0, Headline(sent_ms=1))]
    assert order(by("DATE"), *messages) == [2, 1, 0]


def test_subjects_are_compared_by_their_base_in_any_case() -> None:
    subjects = ["Re: [list] beta", "ALPHA", "Fwd: alpha", "", "Äpfel", "äpfel (fwd)"]
    messages = [(n, 0, Headline(subject=text)) for n, text in enumerate(subjects)]
    assert order(by("SUBJECT", "ARRIVAL"), *messages) == [3, 1, 2, 4, 5, 0]


def test_people_are_compared_by_mailbox_or_as_they_are_shown() -> None:
    zoe = Correspondent("alice@z.example", "Zoe")
    bob = Correspondent("bob@a.example")
    messages = [(0, 0, Headline(sender=zoe)), (0, 0, Headline(sender=bob)), (0, 0, Headline())]
    assert order(by("FROM"), *messages) == [2, 0, 1]
    assert order(by("DISPLAYFROM"), *messages) == [2, 1, 0]
    messages = [(0, 0, Headline(to=zoe, cc=bob)), (0, 0, Headline(to=bob, cc=zoe))]
    assert order(by("TO"), *messages) == [0, 1] and order(by("CC"), *messages) == [1, 0]
    assert order(by("DISPLAYTO"), *messages) == [1, 0]


def test_later_criteria_decide_among_equals() -> None:
    messages = [
        (1, 0, Headline(subject="b")),
        (2, 0, Headline(subject="a")),
        (3, 0, Headline(subject="b")),
    ]
    assert order(by("SUBJECT", "-ARRIVAL"), *messages) == [1, 2, 0]
    assert order(by("-SUBJECT", "ARRIVAL"), *messages) == [0, 2, 1]


def test_what_is_not_as_its_charset_says_comes_together_after_all_else() -> None:
    """RFC 5255 4.6: in the example the two that cannot be converted come last."""
    subjects = [
        "\u041d\u0434\ufffd",
        "\u0441\u0415\u0420",
        "\u0412\u0430\ufffd",
        "\u0430\u043b\u0435",
    ]
    messages = [(n, 0, Headline(subject=text)) for n, text in enumerate(subjects)]
    assert order(by("SUBJECT"), *messages) == [3, 1, 2, 0]
    unknown = Correspondent("a@x.example", "=?x-nobody?q?Aa?=")
    known = Correspondent("b@x.example", "\U0001f600")
    messages = [(0, 0, Headline(sender=unknown)), (0, 0, Headline(sender=known))]
    assert order(by("DISPLAYFROM"), *messages) == [1, 0]
