"""The doors' README stays true: every file it names is there."""

import re
from pathlib import Path

PROTOCOLS = Path(__file__).resolve().parents[2] / "protocols"
NAMED = re.compile(r"(?<![\w/])((?:\w+/)*\w+(?:\.py|/))(?![\w])")
ELSEWHERE = ("node/", "storage/", "tests/")


def test_every_file_named_is_there() -> None:
    named = set(NAMED.findall((PROTOCOLS / "README.md").read_text()))
    assert len(named) > 40
    missing = [
        name
        for name in sorted(named)
        if not (PROTOCOLS.parent if name.startswith(ELSEWHERE) else PROTOCOLS)
        .joinpath(name)
        .exists()
    ]
    assert missing == []


def test_every_rfc_has_a_status() -> None:
    rows = [
        line.split("|")
        for line in (PROTOCOLS / "README.md").read_text().splitlines()
        if re.match(r"\| (\d{4}|draft)", line)
    ]
    assert len(rows) > 50
    for row in rows:
        assert len(row) == 6, row
        assert row[4].strip(), row
        absent = row[4].strip().startswith(("absent", "refused"))
        assert absent or row[3].strip(), f"done, but where: {row}"
