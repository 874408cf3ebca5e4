"""What the reports of all nodes come to."""

from node.comparison import EVERY_NODE, NAMED_MAX, conclude
from node.inspection import FAILED, Report


def report(digest: str = "d", *differences: str, **accounts: str) -> Report:
    return Report(
        state="done",
        index=7,
        digest=digest,
        chain="c",
        differences=list(differences),
        account_digests=accounts,
    )


def told(conclusion: object) -> list[tuple[str, str]]:
    return [(each.node, each.what) for each in conclusion.differences]  # type: ignore[attr-defined]


def test_equal_and_whole_is_clean() -> None:
    conclusion = conclude({name: report() for name in ("n1", "n2", "n3")})
    assert conclusion.differences == [] and conclusion.outvoted == []


def test_whoever_was_not_reached_or_not_finished_is_named() -> None:
    failed = Report(state=FAILED, error="it ended")
    conclusion = conclude({"n1": report(), "n2": None, "n3": failed})
    assert [node for node, _ in told(conclusion)] == ["n2", "n3"]
    assert "not reached" in told(conclusion)[0][1] and "it ended" in told(conclusion)[1][1]


def test_the_minority_is_named_with_the_accounts_it_differs_in() -> None:
    right = {"1": "a", "2": "b", "12": "c"}
    wrong = {"1": "a", "2": "x"}
    conclusion = conclude(
        {"n1": report("d", **right), "n2": report("e", **wrong), "n3": report("d", **right)}
    )
    assert conclusion.outvoted == ["n2"]
    assert told(conclusion) == [
        ("n2", "its rows differ from the others' at entry 7, in account 2, 12")
    ]


def test_many_accounts_are_counted_rather_than_named() -> None:
    right = {str(n): "a" for n in range(NAMED_MAX + 5)}
    wrong = dict.fromkeys(right, "b")
    reports = {"n1": report("d", **right), "n2": report("d", **right), "n3": report("e", **wrong)}
    assert told(conclude(reports))[0][1].endswith("and 5 more")


def test_without_a_majority_nobody_is_to_be_rebuilt() -> None:
    conclusion = conclude({"n1": report("d"), "n2": report("e"), "n3": None})
    assert conclusion.outvoted == []
    assert (EVERY_NODE, "no majority holds one state at entry 7: n1 against n2") in told(conclusion)


def test_what_is_wrong_alike_everywhere_is_a_mistake_of_the_program() -> None:
    conclusion = conclude({name: report("d", "counts: 3, should be 4") for name in ("n1", "n2")})
    assert conclusion.outvoted == []
    ((node, what),) = told(conclusion)
    assert node == EVERY_NODE and "mistake of the program" in what


def test_what_is_wrong_on_one_node_alone_is_its_own() -> None:
    conclusion = conclude({"n1": report("d", "blob b1: damaged"), "n2": report("d")})
    assert told(conclusion) == [("n1", "blob b1: damaged")]
