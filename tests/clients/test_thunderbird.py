"""The dialogue falls into parts, and nothing of it is left out."""

from tests.clients.thunderbird import FILE, parts


def test_every_line_that_is_spoken_is_in_a_part() -> None:
    spoken = [line for line in FILE.read_text().splitlines() if line and line[0] != "#"]
    assert [line for _, lines in parts() for line in lines] == spoken


def test_parts_are_named_by_their_remarks() -> None:
    titles = [title for title, _ in parts()]
    assert titles[:2] == ["an account is opened", "which folders there are"]
    assert len(set(titles)) == len(titles)
