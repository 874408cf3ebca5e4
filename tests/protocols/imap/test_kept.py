"""Answers to FETCH that are kept: found again while they are true, and no more than may be."""

from array import array
from itertools import accumulate

from protocols.imap.fetch_commands import FetchItem
from protocols.imap.kept import Answer, KeptAnswers, Name, digest
from storage.ids import AccountId

FLAGS, UID = FetchItem.FLAGS, FetchItem.UID
NAME = Name(b"digest", 1, frozenset({FLAGS, UID}), False, None)


def test_an_answer_is_its_rows_its_numbers_its_items_and_its_readers() -> None:
    kept = KeptAnswers(10_000)
    answer = Answer(b"* 1 FETCH (FLAGS ())\r\n", ((),))
    kept.keep(NAME, answer)
    assert kept.get(NAME) is answer
    for other in (
        NAME._replace(rows=b"other"),
        NAME._replace(sequence=2),
        NAME._replace(items=frozenset({FLAGS})),
        NAME._replace(by_uid=True),
        NAME._replace(owner=AccountId(7)),
    ):
        assert kept.get(other) is None


def test_a_digest_is_of_keys_and_rows() -> None:
    rows = [(b"key 1", b"row 1"), (b"key 2", b"row 2")]
    digests = {digest(rows), digest(rows[:1]), digest([rows[0], (b"key 2", b"row 3")])}
    digests |= {digest([rows[0], (b"key 3", b"row 2")]), digest([])}
    assert len(digests) == 5


def test_those_used_longest_ago_are_forgotten() -> None:
    kept = KeptAnswers(10_000)
    names = [NAME._replace(sequence=number) for number in range(1, 10)]
    for name in names:
        kept.keep(name, Answer(bytes(1000), (("$seen",),)))
        kept.get(names[0])
        assert kept.octets <= 10_000
    assert 1 < len(kept) < 9
    assert kept.get(names[0]) is not None
    assert kept.get(names[1]) is None
    kept.keep(NAME._replace(sequence=99), Answer(bytes(20_000)))
    assert (len(kept), kept.octets) == (0, 0)


def test_the_words_of_flags_weigh_too() -> None:
    bare, flagged = Answer(b"", ()), Answer(b"", (("x" * 200,), ("x" * 200, "y" * 55)))
    assert flagged.weight - bare.weight == 455


def test_recent_stands_first_in_the_flags_of_those_that_are_and_in_nobody_s_subject() -> None:
    lines = [
        b"* 1 FETCH (FLAGS () UID 1)\r\n",
        b'* 2 FETCH (FLAGS (\\Seen) ENVELOPE ("(FLAGS ("))\r\n',
        b"* 3 FETCH (FLAGS (own))\r\n",
        b"* 4 UIDFETCH (FLAGS ())\r\n",
    ]
    answer = Answer(b"".join(lines), (), array("I", accumulate(map(len, lines))))
    assert answer.marked([]) == answer.octets
    first = lines[0].replace(b"()", b"(\\Recent)")
    third = lines[2].replace(b"(own", b"(\\Recent own")
    last = lines[3].replace(b"()", b"(\\Recent)")
    assert answer.marked([(0, 1), (2, 4)]) == first + lines[1] + third + last
    second = lines[1].replace(b"(\\Seen", b"(\\Recent \\Seen")
    assert answer.marked([(1, 2)]) == lines[0] + second + lines[2] + lines[3]
