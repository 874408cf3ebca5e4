"""The maildir that stands for a client's copy."""

from pathlib import Path

from tests.clients.maildir import Maildir, digest


def test_what_is_put_is_found_with_its_flags(tmp_path: Path) -> None:
    box = Maildir(tmp_path / "INBOX").make()
    box.put(b"Subject: one\r\n\r\nHello.\r\n")
    box.put(b"Subject: two\r\n\r\nHello.\r\n", "S")
    found = box.messages()
    assert {subject: filed.keywords for subject, filed in found.items()} == {
        "one": frozenset(),
        "two": frozenset({"$seen"}),
    }
    assert b"\r" not in found["one"].path.read_bytes()


def test_a_mark_moves_a_message_out_of_what_is_new(tmp_path: Path) -> None:
    box = Maildir(tmp_path / "INBOX").make()
    box.put(b"Subject: one\r\n\r\n")
    box.mark(box.messages()["one"], "F")
    box.mark(box.messages()["one"], "D")
    (filed,) = box.messages().values()
    assert filed.keywords == {"$flagged", "$draft"}
    assert filed.path.parent.name == "cur"
    assert filed.path.name.endswith(":2,DF")


def test_line_ends_and_what_clients_write_in_make_no_difference() -> None:
    wire = b"Subject: one\r\n\r\nHello.\r\n"
    assert digest(b"X-TUID: abc\nSubject: one\n\nHello.\n") == digest(wire)
    assert digest(b"Subject: one\n\nHello!\n") != digest(wire)
