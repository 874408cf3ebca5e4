"""The tables beside this file: each row of each names a test that exists and asserts something."""

import ast
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TESTS = HERE.parent.parent
TABLES = sorted(HERE.glob("*.txt"))


def rows(table: Path) -> list[tuple[str, str, str]]:
    """Section, what is required, test."""
    lines = [line for line in table.read_text().splitlines() if line and not line.startswith("#")]
    found = [tuple(cell.strip() for cell in line.split("|")) for line in lines]
    assert all(len(row) == 3 and all(row) for row in found), table.name
    return [(row[0], row[1], row[2]) for row in found]


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
    for section, _, name in found:
        file, _, function = name.partition("::")
        path = TESTS / file
        assert path.exists(), f"{section}: {name}"
        assert function in functions(path), f"{section}: {name}"
        assert asserts(functions(path)[function]), f"{section}: {name} asserts nothing"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.stem)
def test_sections_are_in_order(table: Path) -> None:
    sections = [[int(part) for part in section.split(".")] for section, _, _ in rows(table)]
    assert sections == sorted(sections)
