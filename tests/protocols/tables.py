"""Tables of conformance: each row maps sentences of an RFC to the test that holds us to them.

    section | sentences | what is required, in our words | the test

`sentences` are the numbers of those with MUST, SHOULD and their like in that section (sentences.py
counts them into a file beside the table), or - for a row about a paragraph without one. The test
is `jmap/test_x.py::test_y` under tests/protocols, or `dialogue:tag tag` for what is answered to
these commands in tests/imap/dialogues. In brackets, who else is bound: (client), (author) of
specifications, (operator); or (absent) and why, what the RFC leaves to a server's choice and this
one has not, or not yet.
"""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

TESTS: Final = Path(__file__).parent
DIALOGUES: Final = TESTS.parent / "imap" / "dialogues"

# Whom a sentence binds that no test of ours can show.
OTHERS: Final = re.compile(r"\((client|author|operator)\)\Z|\(absent\) .{10,}\Z")
_DIALOGUE: Final = re.compile(r"([\w.]+):([a-zA-Z][\w.]*(?: [a-zA-Z][\w.]*)*)\Z")


class Row(NamedTuple):
    """What one row says."""

    section: str
    numbers: str
    what: str
    test: str


def rows(table: Path) -> list[Row]:
    """The rows of a table, none of them with an empty cell."""
    lines = [line for line in table.read_text().splitlines() if line and not line.startswith("#")]
    found = [tuple(cell.strip() for cell in line.split(" | ")) for line in lines]
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
def _functions(path: Path) -> dict[str, ast.AST]:
    """The functions at the top of a test file."""
    tree = ast.parse(path.read_text())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name: node for node in tree.body if isinstance(node, kinds)}


def _asserts(test: ast.AST) -> bool:
    """Whether a test can fail by itself."""
    return any(
        isinstance(node, ast.Assert)
        or (isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("raises", "refusal")))
        for node in ast.walk(test)
    )


@cache
def _answered(dialogue: str) -> frozenset[str]:
    """The tags of commands whose ending a dialogue expects."""
    text = (DIALOGUES / f"{dialogue}.txt").read_text()
    said = set(re.findall(r"^C[0-9]?: ([\w.]+) ", text, re.MULTILINE))
    return frozenset(said & set(re.findall(r"^S[0-9]?[:>] ([\w.]+) ", text, re.MULTILINE)))


def check_names_a_test(row: Row) -> None:
    """The row names a test that exists and can fail, or says who else is bound."""
    if OTHERS.match(row.test):
        return
    dialogue = _DIALOGUE.match(row.test)
    if dialogue is not None:
        assert set(dialogue[2].split()) <= _answered(dialogue[1]), row
        return
    file, _, function = row.test.partition("::")
    path = TESTS / file
    assert path.exists(), row
    assert function in _functions(path), row
    assert _asserts(_functions(path)[function]), f"{row} asserts nothing"


def check_order(found: list[Row]) -> None:
    """Sections ascend."""
    sections = [[int(part) for part in row.section.split(".")] for row in found]
    assert sections == sorted(sections)


def check_whole(counted: Path, found: list[Row]) -> None:
    """No sentence is left out and none is told twice."""
    lines = [line for line in counted.read_text().splitlines() if not line.startswith("#")]
    due = {section: int(count) for section, count in (line.split() for line in lines)}
    told: dict[str, list[int]] = {}
    for row in found:
        told.setdefault(row.section, []).extend(numbered(row.numbers))
    for section, count in due.items():
        assert sorted(told.get(section, [])) == list(range(1, count + 1)), section
    assert {section for section, numbers in told.items() if numbers} <= due.keys()
