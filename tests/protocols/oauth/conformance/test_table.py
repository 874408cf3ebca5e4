"""The tables beside this file: every sentence of RFC 7591, RFC 8414 and the profile for open public
clients has its test, or says who else is bound (tests/protocols/tables.py)."""

from pathlib import Path
from typing import Final

import pytest

from tests.protocols import tables

HERE: Final = Path(__file__).parent
TABLES: Final = sorted(HERE.glob("*.txt"))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.stem)
def test_every_row_names_a_test_that_asserts_something(table: Path) -> None:
    found = tables.rows(table)
    for row in found:
        tables.check_names_a_test(row)
    tables.check_order(found)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.stem)
def test_no_sentence_is_left_out_and_none_is_told_twice(table: Path) -> None:
    tables.check_whole(table.with_suffix(".counts"), tables.rows(table))
