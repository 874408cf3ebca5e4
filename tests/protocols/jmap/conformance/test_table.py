"""The tables beside this file: each row names a test that exists and asserts something, or says who
else is bound; and no sentence of an RFC is left out (tests/protocols/tables.py)."""

from pathlib import Path
from typing import Final

import pytest

from tests.protocols import sentences, tables

HERE: Final = Path(__file__).parent
TABLES: Final = sorted(HERE.glob("*.txt"))
COUNTED: Final = sorted(HERE.glob("*.counts"))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.stem)
def test_every_row_names_a_test_that_asserts_something(table: Path) -> None:
    found = tables.rows(table)
    assert len(found) > 10
    for row in found:
        tables.check_names_a_test(row)
    tables.check_order(found)


@pytest.mark.parametrize("counted", COUNTED, ids=lambda counted: counted.stem)
def test_no_sentence_is_left_out_and_none_is_told_twice(counted: Path) -> None:
    tables.check_whole(counted, tables.rows(counted.with_suffix(".txt")))


@pytest.mark.parametrize("counted", COUNTED, ids=lambda counted: counted.stem)
def test_most_of_what_binds_a_server_is_shown(counted: Path) -> None:
    found = tables.rows(counted.with_suffix(".txt"))
    absent = [row for row in found if row.test.startswith("(absent)")]
    assert len(absent) * 10 < len(found)


def test_sentences_are_found_across_lines_and_pages() -> None:
    text = (
        "2.  Greeting\n\n   A server MUST greet.  It smiles.  It\n   SHOULD bow\n\n\n"
        "Jenkins & Newman             Standards Track                     [Page 2]\n\f\n"
        "RFC 8620                          JMAP                July 2019\n\n\n"
        "   and MUST NOT laugh.  That is all.\n\n2.1.  Parting\n\n   No word is REQUIRED.\n"
    )
    assert list(sentences.required(text)) == [
        ("2", "A server MUST greet."),
        ("2", "It SHOULD bow and MUST NOT laugh."),
        ("2.1", "No word is REQUIRED."),
    ]
    assert sentences.counts(text) == {"2": 2, "2.1": 1}
