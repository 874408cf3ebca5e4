"""The tables beside this file: every sentence of RFC 9051 sections 6 and 7, and of extensions that
are offered, has its dialogue or test, or says who else is bound (tests/protocols/tables.py)."""

from pathlib import Path
from typing import Final

import pytest

from tests.protocols import tables
from tests.protocols.imap.stage import open_stage

HERE: Final = Path(__file__).parent

# The IMAP Capabilities registry of IANA, as far as this server may ever come.
REGISTERED: Final = frozenset(
    "ACL APPENDLIMIT AUTH BINARY CATENATE CHILDREN COMPRESS CONDSTORE CONTEXT CREATE-SPECIAL-USE"
    " ENABLE ESEARCH ESORT FILTERS I18NLEVEL ID IDLE IMAP4rev1 IMAP4rev2 INPROGRESS JMAPACCESS"
    " LIST-EXTENDED LIST-METADATA LIST-MYRIGHTS LIST-STATUS LITERAL+ LITERAL- LOGINDISABLED"
    " MESSAGELIMIT METADATA METADATA-SERVER MOVE MULTIAPPEND MULTISEARCH NAMESPACE NOTIFY OBJECTID"
    " PARTIAL PREVIEW QRESYNC QUOTA QUOTASET REPLACE RIGHTS SASL-IR SAVEDATE SAVELIMIT SEARCH"
    " SEARCHRES SORT SPECIAL-USE STARTTLS STATUS THREAD UIDBATCHES UIDONLY UIDPLUS UNAUTHENTICATE"
    " UNSELECT URL-PARTIAL URLAUTH UTF8 WITHIN".split()
)
TABLES: Final = sorted(HERE.glob("*.txt"))
COUNTED: Final = sorted(HERE.glob("*.counts"))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.stem)
def test_every_row_names_a_test_that_asserts_something(table: Path) -> None:
    found = tables.rows(table)
    for row in found:
        tables.check_names_a_test(row)
    tables.check_order(found)


@pytest.mark.parametrize("counted", COUNTED, ids=lambda counted: counted.stem)
def test_no_sentence_is_left_out_and_none_is_told_twice(counted: Path) -> None:
    tables.check_whole(counted, tables.rows(counted.with_suffix(".txt")))


def test_most_of_what_binds_a_server_is_shown() -> None:
    found = [row for table in TABLES for row in tables.rows(table)]
    absent = [row for row in found if row.test.startswith("(absent)")]
    assert len(absent) * 8 < len(found)


async def test_what_is_offered_is_registered() -> None:
    async with open_stage() as stage:
        client = stage.connect()
        await client.login()
        listed, _ = await client.ask(b"CAPABILITY")
        names = listed.decode().split()[2:]
        assert {"IMAP4rev2", "IMAP4rev1"} <= set(names)
        assert len(names) == len(set(names))
        assert {name.partition("=")[0] for name in names} <= REGISTERED
