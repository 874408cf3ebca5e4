"""BODYSTRUCTURE (RFC 9051 7.5.2) and the BODY cut out of it."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.mime import parameters
from protocols.mime.parts import Part, find_part
from protocols.mime.structure import parse
from protocols.render.bodystructure import (
    OPTIONAL_BYTES_MAX,
    VALUE_BYTES_MAX,
    render_body,
    render_bodystructure,
    render_decoded,
    render_header_structure,
    render_part,
)
from tests.protocols.render.test_envelope import CORPORA, assert_balanced

TEXT = b'("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" %d %d%b)'


def structure(data: bytes) -> bytes:
    return render_bodystructure(parse(data), data)


def test_a_message_without_mime_is_plain_text() -> None:
    found = structure(b"Subject: x\r\n\r\none\r\ntwo\r\n")
    assert found == TEXT % (10, 2, b" NIL NIL NIL NIL")
    assert render_body(found) == TEXT % (10, 2, b"")


def test_all_extension_data() -> None:
    found = structure(
        b'Content-Type: text/html; charset="utf-8"; format=flowed\r\n'
        b"Content-Transfer-Encoding: Base64\r\nContent-ID: <i@x>\r\nContent-Description: what\r\n"
        b"Content-MD5: Q2hlY2s=\r\nContent-Language: de, en-GB\r\nContent-Location: http://x/y\r\n"
        b'Content-Disposition: inline; filename="a \\" b"\r\n\r\nAAAA\r\n'
    )
    fields = b'"TEXT" "HTML" ("CHARSET" "utf-8" "FORMAT" "flowed") "<i@x>" "what" "BASE64" 6 1'
    assert found == (
        b'(%b "Q2hlY2s=" ("INLINE" ("FILENAME" "a \\" b")) ("de" "en-GB") "http://x/y")' % fields
    )
    assert render_body(found) == b"(%b)" % fields


def test_a_multipart_ends_in_its_subtype_parameters_and_tail() -> None:
    found = structure(
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n"
        b"Content-Type: image/png\r\n\r\nx\r\n--b--\r\n"
    )
    text, image = TEXT % (3, 0, b"%b"), b'("IMAGE" "PNG" NIL NIL NIL "7BIT" 1%b)'
    tail = b" NIL NIL NIL NIL"
    assert found == b'(%b%b "MIXED" ("BOUNDARY" "b") NIL NIL NIL)' % (text % tail, image % tail)
    assert render_body(found) == b'(%b%b "MIXED")' % (text % b"", image % b"")


def test_an_embedded_message_shows_its_envelope_its_body_and_its_lines() -> None:
    found = structure(b"Content-Type: message/rfc822\r\n\r\nSubject: in (side)\r\n\r\nbody\r\n")
    envelope = b'(NIL "in (side)" NIL NIL NIL NIL NIL NIL NIL NIL)'
    body = b'("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 28 %b %b 3' % (
        envelope,
        TEXT % (6, 1, b"%b"),
    )
    assert found == body % b" NIL NIL NIL NIL" + b" NIL NIL NIL NIL)"
    assert render_body(found) == body % b"" + b")"


def test_parameters_that_are_not_ascii_go_out_as_rfc_2231() -> None:
    found = structure(b"Content-Type: a/b; name*=utf-8''Gr%C3%BC%C3%9Fe\r\n\r\n")
    assert b'("NAME*" "utf-8\'\'Gr%C3%BC%C3%9Fe")' in found


def test_continuations_and_charsets_of_parameters_are_put_together_in_one() -> None:
    # RFC 9051 7.5.2, RFC 2231 3, 4
    found = structure(
        b'Content-Type: a/b; plain*0=one; plain*1=" two";\r\n'
        b" name*0*=iso-8859-1'de'Gr%FC; name*1=%DF; name*2*=%DFe\r\n\r\n"
    )
    assert b"""("PLAIN" "one two" "NAME*" "utf-8''Gr%C3%BC%25DF%C3%9Fe")""" in found


def test_a_long_file_name_is_one_parameter_and_read_back_as_it_was() -> None:
    name = "\N{GREEK SMALL LETTER ALPHA}" * 200 + ".pdf"
    pieces = parameters.render("filename", name)
    assert len(pieces) > 10
    header = "; ".join(["attachment", *pieces])
    found = structure(f"Content-Disposition: {header}\r\n\r\n".encode())
    [shown] = re.findall(rb'"FILENAME\*" "([^"]+)"', found)
    assert parameters.parse(f"attachment; filename*={shown.decode()}")[1] == {"filename": name}


@pytest.mark.parametrize("room", range(7, 60))
def test_what_is_too_long_is_cut_between_characters(room: int) -> None:
    value = "a\N{GREEK SMALL LETTER ALPHA}b\N{EURO SIGN}\N{GRINNING FACE}" * 2
    shown = parameters.extended(value, room)
    assert len(shown) <= room
    assert value.startswith(unquote(shown.removeprefix("utf-8''"), errors="strict"))
    longest = max(n for n in range(len(value) + 1) if len(parameters.extended(value[:n])) <= room)
    assert shown == parameters.extended(value[:longest])


def test_thousands_of_parts_and_endless_parameters_are_bounded() -> None:
    part = b'--b\r\nContent-Type: a/b; name="%b"\r\n\r\nx\r\n' % (b"n" * 2 * VALUE_BYTES_MAX)
    found = structure(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * 2000)
    assert len(found) < 2 * OPTIONAL_BYTES_MAX
    assert_balanced(found)


def test_ten_thousand_nested_parts_are_shown_as_deep_as_they_are_read() -> None:
    data = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
                    for n in range(10_000))  # fmt: skip
    assert_balanced(structure(data))


@given(st.binary(max_size=300))
def test_any_octets_have_a_structure(data: bytes) -> None:
    found = structure(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + data)
    assert_balanced(found)
    assert_balanced(render_body(found))


@pytest.mark.parametrize("path", CORPORA, ids=lambda path: path.name)
def test_the_corpora(path: Path) -> None:
    found = structure(path.read_bytes())
    assert_balanced(found)
    assert_balanced(render_body(found))


# --- one part of it

INNER = (
    b"Subject: in\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n"
    b"--i\r\nContent-Type: text/html\r\n\r\n<p>\r\n--i\r\nContent-Type: image/png\r\n\r\nx\r\n--i--"
)
OUTER = (
    b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n"
    b'Content-Type: text/plain; name="a) (b {3}"\r\n'
    b"Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n"
    b"--o\r\nContent-Type: message/rfc822\r\n\r\n" + INNER + b"\r\n--o--\r\n"
)
HTML = b'("TEXT" "HTML" NIL NIL NIL "7BIT" 3 0 NIL NIL NIL NIL)'
PNG = b'("IMAGE" "PNG" NIL NIL NIL "7BIT" 1 NIL NIL NIL NIL)'
NAMED = b'("TEXT" "PLAIN" ("NAME" "a) (b {3}") NIL NIL "BASE64" 4 0 NIL NIL NIL NIL)'


def test_parts_are_found_by_their_numbers() -> None:
    found = structure(OUTER)
    assert render_part(found, ()) == found
    assert render_part(found, (1,)) == NAMED
    assert render_part(found, (2, 1)) == HTML
    assert render_part(found, (2, 2)) == PNG
    message = render_part(found, (2,))
    assert message is not None
    assert message.startswith(b'("MESSAGE" "RFC822" ')
    assert render_part(found, (2,), message=True) == (
        b'(%b%b "MIXED" ("BOUNDARY" "i") NIL NIL NIL)' % (HTML, PNG)
    )
    for path in ((3,), (1, 1), (2, 3), (2, 1, 1)):
        assert render_part(found, path) is None
    assert render_part(found, (1,), message=True) is None


def test_a_message_that_is_one_part_has_a_part_1() -> None:
    found = structure(b"Subject: x\r\n\r\none\r\n")
    assert render_part(found, (1,)) == found
    assert render_part(found, (2,)) is render_part(found, (1, 1)) is None
    forwarded = structure(b"Content-Type: message/rfc822\r\n\r\n" + INNER)
    assert render_part(forwarded, (1, 2)) == PNG


def test_what_is_decoded_says_so() -> None:
    assert render_decoded(NAMED, 3, 1) == NAMED.replace(b'"BASE64" 4 0', b'"BINARY" 3 1')
    assert render_decoded(PNG, 9, 1) == PNG.replace(b'"7BIT" 1', b'"BINARY" 9')
    message = render_part(structure(OUTER), (2,))
    assert message is not None
    decoded = render_decoded(message, 7, 2)
    assert b'"BINARY" 7 (NIL "in"' in decoded
    assert decoded.endswith(b" 2 NIL NIL NIL NIL)")


def test_fields_are_a_text() -> None:
    assert render_header_structure(9, 2, ascii_only=False) == (
        b'("TEXT" "RFC822-HEADERS" NIL NIL NIL "8BIT" 9 2 NIL NIL NIL NIL)'
    )


def parts_of(part: Part) -> list[Part]:
    below = [*part.children, *([part.message] if part.message is not None else [])]
    return [part, *(found for one in below for found in parts_of(one))]


@pytest.mark.parametrize("path", CORPORA, ids=lambda path: path.name)
def test_every_part_of_the_corpora_is_found_by_its_number(path: Path) -> None:
    data = path.read_bytes()
    root, found = parse(data), structure(data)
    for part_id in {part.part_id for part in parts_of(root)} - {""}:
        part = find_part(root, part_id)
        shown = render_part(found, [int(number) for number in part_id.split(".")])
        assert part is not None
        assert shown is not None, part_id
        assert_balanced(shown)
        if part.is_multipart and part.children:
            assert shown.startswith(b"((")
        else:
            assert b" %d" % part.size in shown
