"""Threads as RFC 5256 makes them: who answers whom, dummies, subjects, loops."""

from random import Random

import pytest

from protocols.imap.threads import (
    DEPTH_MAX,
    Threadable,
    by_references,
    by_references_alone,
    by_subject,
    render_threads,
)


def letter(
    number: int, subject: str = "", *references: str, own: str | None = None, reply: bool = False
) -> Threadable:
    """A message that was sent at its number's minute and is called by its number."""
    return Threadable(
        number, number * 60_000, subject, reply, own or str(number), tuple(references)
    )


def woven(*letters: Threadable) -> str:
    return render_threads(by_references(letters)).decode()


def test_a_chain_is_told_in_one_list_and_a_fork_in_two() -> None:
    chain = [letter(1), letter(2, "", "1"), letter(3, "", "1", "2")]
    assert woven(*chain) == "(1 2 3)"
    assert woven(*chain, letter(4, "", "1", "2")) == "(1 2 (3)(4))"


def test_the_example_of_the_rfc() -> None:
    """RFC 5256 4 BASE.7.2.THREAD."""
    assert (
        woven(
            letter(2),
            letter(3),
            letter(4, "", "3", "6"),
            letter(6, "", "3"),
            letter(7, "", "44"),
            letter(23, "", "4"),
            letter(44, "", "3", "6"),
            letter(96, "", "44", "7"),
        )
        == "(2)(3 6 (4 23)(44 7 96))"
    )


def test_siblings_of_a_parent_that_is_not_there() -> None:
    assert woven(letter(3, "", "gone"), letter(5, "", "gone")) == "((3)(5))"
    assert woven(letter(3, "", "gone")) == "(3)"
    assert woven(letter(1), letter(3, "", "1", "gone"), letter(5, "", "1", "gone")) == "(1 (3)(5))"


def test_of_two_with_one_id_only_the_first_has_it() -> None:
    assert woven(letter(1, own="x"), letter(2, own="x"), letter(3, "", "x")) == "(1 3)(2)"


def test_references_that_run_in_circles_make_no_loop() -> None:
    assert woven(letter(1, "", "2"), letter(2, "", "1")) == "(2 1)"
    assert woven(letter(1, "", "1")) == "(1)"


def test_the_last_reference_corrects_what_was_guessed_before() -> None:
    """Step 1 B: 3 seemed to answer 1, but says itself that it answers 2."""
    letters = [letter(1), letter(2), letter(4, "", "1", "3"), letter(3, "", "2")]
    assert woven(*letters) == "(1)(2 3 4)"


def test_threads_of_one_subject_are_one_thread() -> None:
    assert woven(letter(1, "tea"), letter(2, "tea", reply=True)) == "(1 2)"
    assert woven(letter(1, "tea"), letter(2, "tea")) == "((1)(2))"
    assert woven(letter(1, "tea", reply=True), letter(2, "tea")) == "(2 1)"
    assert woven(letter(1), letter(2)) == "(1)(2)", "no subject is not the same subject"
    two = [letter(1, "tea", "x"), letter(2, "tea", "x"), letter(3, "tea", "y"), letter(4, "", "y")]
    assert woven(*two) == "((1)(2)(3)(4))"
    assert woven(letter(1, "tea"), letter(2, "tea"), letter(3, "tea", reply=True)) == "((1)(2)(3))"


def test_siblings_are_in_the_order_of_their_dates() -> None:
    late = Threadable(2, 9_000_000, "", False, "2", ("1",))
    assert woven(letter(1), late, letter(3, "", "1")) == "(1 (3)(2))"


def test_by_subject_all_are_children_of_the_oldest() -> None:
    letters = [letter(3, "b"), letter(1, "a"), letter(2, "b"), letter(4, "b"), letter(5, "c")]
    assert render_threads(by_subject(letters)) == b"(1)(2 (3)(4))(5)"
    assert render_threads(by_subject([*letters[1:2], letter(6, "a")])) == b"(1 6)"
    assert render_threads([]) == b""


def test_a_deep_thread_is_cut_and_not_refused() -> None:
    letters = [letter(1)] + [letter(n, "", str(n - 1)) for n in range(2, DEPTH_MAX + 20)]
    told = woven(*letters)
    assert told.count("(") == 2, "two threads"
    assert told.replace("(", " ").replace(")", " ").split() == [
        str(n) for n in range(1, DEPTH_MAX + 20)
    ]


@pytest.mark.parametrize("seed", range(30))
def test_whatever_they_refer_to_each_is_told_once(seed: int) -> None:
    chance = Random(seed)
    count = chance.randint(1, 60)
    letters = [
        letter(
            number,
            chance.choice(["", "tea", "milk"]),
            *[str(chance.randint(1, count + 5)) for _ in range(chance.randint(0, 5))],
            own=chance.choice([None, None, "same"]),
            reply=chance.random() < 0.5,
        )
        for number in range(1, count + 1)
    ]
    told = woven(*letters).replace("(", " ").replace(")", " ").split()
    assert sorted(map(int, told)) == list(range(1, count + 1))


def arrived(minute: int, number: int, *references: str, subject: str = "") -> Threadable:
    """A message that was sent at its number's minute, and came in another."""
    return Threadable(
        number, number * 60_000, subject, False, str(number), references, minute * 60_000
    )


def woven_alone(*letters: Threadable) -> str:
    return render_threads(by_references_alone(letters)).decode()


def test_refs_puts_the_thread_with_the_newest_arrival_last() -> None:
    letters = [arrived(1, 1), arrived(2, 2), arrived(3, 3, "1")]
    assert woven_alone(*letters) == "(2)(1 3)"
    assert woven(*letters) == "(1 3)(2)"


def test_refs_sorts_within_a_thread_by_the_dates_sent() -> None:
    assert woven_alone(arrived(9, 1), arrived(8, 2, "1"), arrived(7, 3, "1")) == "(1 (2)(3))"
    assert woven_alone(arrived(9, 4, "gone"), arrived(8, 5, "gone")) == "((4)(5))"


def test_refs_knows_no_subjects_and_leaves_no_dummies() -> None:
    assert woven_alone(arrived(1, 1, subject="a"), arrived(2, 2, subject="a")) == "(1)(2)"
    assert woven_alone(arrived(1, 3, "gone")) == "(3)"
    assert woven_alone() == ""


def test_refs_of_threads_that_came_at_once_go_by_place() -> None:
    assert woven_alone(arrived(5, 1), arrived(5, 2), arrived(5, 3)) == "(1)(2)(3)"
