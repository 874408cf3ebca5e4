"""RFC 8621 4.1.4: what is body and what is attached."""

import pytest

from protocols.mime import structure
from protocols.mime.body_lists import body_lists, has_attachment
from tests.protocols.mime.odd import crlf, mixed

_TEXT = "Content-Type: text/plain\n\nplain\n"
_HTML = "Content-Type: text/html\n\n<p>html\n"
_PNG = "Content-Type: image/png\n\npng\n"
_PDF = "Content-Type: application/pdf\n\npdf\n"


def _lists(text: str) -> tuple[list[str], list[str], list[str], bool]:
    root = structure.parse(crlf(text))
    lists = body_lists(root)
    ids = [[part.part_id for part in one] for one in (lists.text, lists.html, lists.attachments)]
    return ids[0], ids[1], ids[2], has_attachment(root, lists)


def _alternative(*parts: str) -> str:
    return mixed(*parts, boundary="alt", subtype="alternative")


def _related(*parts: str) -> str:
    return mixed(*parts, boundary="rel", subtype="related")


@pytest.mark.parametrize(
    ("mail", "expected"),
    [
        (_TEXT, (["1"], ["1"], [], False)),
        (_PNG, (["1"], ["1"], [], False)),
        (_PDF, ([], [], ["1"], True)),
        (_alternative(_TEXT, _HTML), (["1"], ["2"], [], False)),
        (_alternative(_TEXT), (["1"], ["1"], [], False)),
        (_alternative(_HTML), (["1"], ["1"], [], False)),
        (_alternative(_TEXT, _HTML, _PDF), (["1"], ["2"], ["3"], True)),
        (_alternative(_TEXT, _related(_HTML, _PNG)), (["1"], ["2.1"], ["2.2"], True)),
        (mixed(_TEXT, _PDF), (["1"], ["1"], ["2"], True)),
        (mixed(_TEXT, _PNG, _TEXT), (["1", "2", "3"], ["1", "2", "3"], [], False)),
        (mixed(_alternative(_TEXT, _HTML), _TEXT), (["1.1", "2"], ["1.2", "2"], [], False)),
        (_alternative(mixed(_TEXT, _HTML, _PNG)), (["1.1"], ["1.1"], ["1.2", "1.3"], True)),
        (_alternative(mixed(_TEXT, _PNG), _HTML), (["1.1", "1.2"], ["2"], ["1.2"], True)),
    ],
)
def test_bodies_and_attachments(
    mail: str, expected: tuple[list[str], list[str], list[str], bool]
) -> None:
    assert _lists(mail) == expected


def test_a_text_with_a_name_is_attached_unless_it_comes_first() -> None:
    named = "Content-Type: text/plain; name=a.txt\n\nx\n"
    assert _lists(mixed(named, named)) == (["1"], ["1"], ["2"], True)


def test_inline_parts_pictures_of_the_html_and_signatures_are_no_attachments() -> None:
    inline = _PDF.replace("\n\n", "\nContent-Disposition: inline\n\n")
    picture = _PNG.replace("\n\n", "\nContent-ID: <a@b>\n\n")
    signature = "Content-Type: application/pgp-signature\n\nx\n"
    assert _lists(mixed(_TEXT, inline))[2:] == (["2"], False)
    assert _lists(_related(_HTML, picture))[2:] == (["2"], False)
    assert _lists(mixed(_TEXT, signature, subtype="signed"))[2:] == (["2"], False)
