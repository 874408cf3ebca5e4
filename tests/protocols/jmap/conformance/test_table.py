"""The tables beside this file: each row names a test that exists and asserts something, or says who
else is bound; and no sentence of an RFC is left out."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.protocols.jmap.conformance import sentences

HERE: Final = Path(__file__).parent
TESTS: Final = HERE.parent.parent
TABLES: Final = sorted(HERE.glob("*.txt"))
COUNTED: Final = sorted(HERE.glob("*.counts"))

# Whom a sentence binds that no test of ours can show.
_OTHERS: Final = re.compile(r"\((client|author|operator)\)\Z|\(absent\) .{10,}\Z")


class Row(NamedTuple):
    """What one row says."""

    section: str
    numbers: str
    what: str
    test: str


def rows(table: Path) -> list[Row]:
    """The rows of a table, none of them with an empty cell."""
    lines = [line for line in table.read_text().splitlines() if line and not line.startswith("#")]
    found = [tuple(cell.strip() for cell in line.split("|")) for line in lines]
    assert all(len(row) == 4 and all(row) for row in found), table.name
    return [Row(*row) for row in found]


def numbered(text: str) -> list[int]:
    """`1-3 5` spelt out."""
    found: list[int] = []
    for piece in [] if text == "-" else text.split():
        first, _, last = piece.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


@cache
def functions(path: Path) -> dict[str, ast.AST]:
    """The functions at the top of a test file."""
    tree = ast.parse(path.read_text())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name: node for node in tree.body if isinstance(node, kinds)}


def asserts(test: ast.AST) -> bool:
    """Whether a test can fail by itself."""
    return any(
        isinstance(node, ast.Assert)
        or (isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("raises", "refusal")))
        for node in ast.walk(test)
    )


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.stem)
def test_every_row_names_a_test_that_asserts_something(table: Path) -> None:
    found = rows(table)
    assert len(found) > 10
    for row in found:
        if _OTHERS.match(row.test):
            continue
        file, _, function = row.test.partition("::")
        path = TESTS / file
        assert path.exists(), row
        assert function in functions(path), row
        assert asserts(functions(path)[function]), f"{row} asserts nothing"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.stem)
def test_sections_are_in_order(table: Path) -> None:
    sections = [[int(part) for part in row.section.split(".")] for row in rows(table)]
    assert sections == sorted(sections)


@pytest.mark.parametrize("counted", COUNTED, ids=lambda counted: counted.stem)
def test_no_sentence_is_left_out_and_none_is_told_twice(counted: Path) -> None:
    lines = [line for line in counted.read_text().splitlines() if not line.startswith("#")]
    due = {section: int(count) for section, count in (line.split() for line in lines)}
    told: dict[str, list[int]] = {}
    for row in rows(counted.with_suffix(".txt")):
        told.setdefault(row.section, []).extend(numbered(row.numbers))
    for section, count in due.items():
        assert sorted(told.get(section, [])) == list(range(1, count + 1)), section
    assert {section for section, numbers in told.items() if numbers} <= due.keys()


@pytest.mark.parametrize("counted", COUNTED, ids=lambda counted: counted.stem)
def test_most_of_what_binds_a_server_is_shown(counted: Path) -> None:
    found = rows(counted.with_suffix(".txt"))
    absent = [row for row in found if row.test.startswith("(absent)")]
    assert len(absent) * 10 < len(found)


def test_sentences_are_found_across_lines_and_pages() -> None:
    text = (
        "2.  Greeting\n\n   A server MUST greet.  It smiles.  It\n   SHOULD bow\n\n\n"
        "Jenkins & Newman             Standards Track     [Page 2]\n\f\n"
        "RFC 8620                          JMAP                July 2019\n\n\n"
        "   and MUST NOT laugh.  That is all.\n\n2.1.  Parting\n\n   No word is REQUIRED.\n"
    )
    assert list(sentences.required(text)) == [
        ("2", "A server MUST greet."),
        ("2", "It SHOULD bow and MUST NOT laugh."),
        ("2.1", "No word is REQUIRED."),
    ]
    assert sentences.counts(text) == {"2": 2, "2.1": 1}
