"""Messages built: lines, boundaries, encodings and names."""

from datetime import UTC, datetime

import pytest

from protocols.mime import bodies, headers, structure
from protocols.mime.addresses import EmailAddress, Group, parse_addresses
from protocols.mime.build import (
    DEPTH_MAX,
    PartSpec,
    address_list,
    build,
    encode_text,
    render_field,
    text_part,
)
from protocols.mime.envelope import summarise

_NOW = datetime(2026, 11, 23, tzinfo=UTC)


def _build(root: PartSpec, *fields: tuple[str, str], utf8: bool = False) -> bytes:
    return build(fields, root, message_id="m@x", date=_NOW, boundary_token="tok", utf8=utf8)


def test_a_small_message_looks_as_a_person_would_write_it() -> None:
    assert _build(text_part("Hello.\n"), ("Subject", "Hi")) == (
        b"Subject: Hi\r\nDate: Mon, 23 Nov 2026 00:00:00 +0000\r\nMessage-ID: <m@x>\r\n"
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n\r\nHello.\r\n"
    )


def test_date_and_id_may_be_left_out() -> None:
    data = build([], text_part(""), message_id=None, date=None, boundary_token="t")
    assert b"Date" not in data and b"Message-ID" not in data


def test_boundaries_occur_in_no_part() -> None:
    trap = "--=_0.tok\r\n--=_1.tok--\r\n"
    inner = PartSpec(content_type="multipart/mixed", children=(text_part(trap), text_part("b")))
    data = _build(PartSpec(content_type="multipart/mixed", children=(inner, text_part("c"))))
    leaves = [part for part in structure.walk(structure.parse(data)) if not part.is_multipart]
    assert [bodies.body_bytes(data, part) for part in leaves] == [trap.encode(), b"b", b"c"]


@pytest.mark.parametrize(
    ("kind", "body", "encoding"),
    [
        ("text/plain", b"plain\r\n", "7bit"),
        ("text/plain", "Grüße und mehr Text drumherum\r\n".encode(), "quoted-printable"),
        ("text/plain", "日本語".encode(), "base64"),
        ("text/plain", b"x" * 999, "quoted-printable"),
        ("text/plain", b"nul\0 and more text\r\n", "quoted-printable"),
        ("application/x", b"plain\r\n", "7bit"),
        ("application/x", b"bare\nlines", "base64"),
        ("application/x", bytes(range(256)), "base64"),
        ("message/rfc822", b"Subject: x\r\n\r\n\xff", "8bit"),
        ("message/rfc822", b"Subject: x\r\n\r\ny", "7bit"),
        ("message/rfc822", b"Subject: x\r\n\r\n" + b"y" * 1000, "binary"),
    ],
)
def test_a_body_is_encoded_as_it_needs(kind: str, body: bytes, encoding: str) -> None:
    data = _build(PartSpec(content_type=kind, body=body))
    part = structure.parse(data)
    assert (part.content_type, part.encoding) == (kind, encoding)
    assert bodies.body_bytes(data, part) == body


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"a,b\n1,2\n", "base64"),
        (b"old Mac\rlines\r", "base64"),
        ("Grüße\n".encode("utf-16-le"), "base64"),
        ("Grüße und mehr Text drumherum\n".encode(), "base64"),
        ("Grüße und mehr Text drumherum\r\n".encode(), "quoted-printable"),
        (b"plain\r\n", "7bit"),
    ],
)
def test_a_file_of_text_keeps_its_line_ends(body: bytes, encoding: str) -> None:
    data = _build(PartSpec(content_type="text/plain", body=body, exact=True))
    part = structure.parse(data)
    assert part.encoding == encoding
    assert bodies.body_bytes(data, part) == body


def test_every_property_of_a_part_is_written() -> None:
    spec = PartSpec(
        content_type="image/png",
        body=b"\x89PNG",
        disposition="inline",
        filename="Über\\mut \"x\".png",
        content_id="c@d",
        language=("en", "de"),
        location="http://x.y/z",
        headers=(("X-Part", "yes"),),
    )  # fmt: skip
    data = _build(spec)
    part = structure.parse(data)
    assert (part.disposition, part.filename) == ("inline", spec.filename)
    assert (part.content_id, part.language, part.location) == ("c@d", ("en", "de"), "http://x.y/z")
    assert b"\r\nX-Part: yes\r\n" in data
    assert data.isascii()
    assert "Über".encode() in _build(spec, utf8=True)


def test_addresses_come_back_whatever_their_names() -> None:
    names = ["Bob", "Bob, Builder", 'B"o\\b', "Böb", "=?x?=", "B. O. B.", "日本語" * 20, None]
    people = [EmailAddress(name, f"u{i}@x.y") for i, name in enumerate(names)]
    group = Group("Team; all", tuple(people[:2]))
    for utf8 in (False, True):
        value = address_list([*people, group], utf8=utf8)
        line = render_field("To", value, utf8=utf8)
        [field] = headers.split(line, 0, len(line))
        assert parse_addresses(field.raw) == [*people, group]
        assert line.isascii() != utf8


def test_long_fields_are_folded_and_longer_words_encoded() -> None:
    folded = render_field("Subject", "word " * 40 + "end")
    assert all(len(line) <= 76 for line in folded.split(b"\r\n"))
    long = render_field("Subject", "x" * 2000)
    assert all(len(line) <= 998 for line in long.split(b"\r\n"))
    [field] = headers.split(long, 0, len(long))
    assert headers.as_text(field.raw) == "x" * 2000


def test_line_ends_in_values_cannot_make_new_fields() -> None:
    rendered = render_field("Subject", "a\r\nBcc: b@c.d")
    assert rendered == b"Subject: a Bcc: b@c.d\r\n"
    spec = PartSpec(content_type="text/plain", filename="a\r\nX: y", body=b"")
    data = _build(spec)
    assert [field.name for field in summarise(data).headers].count("X") == 0
    assert structure.parse(data).filename == "a\r\nX: y"


def test_only_the_words_that_need_it_are_encoded() -> None:
    assert encode_text("plain words") == "plain words"
    assert encode_text("a für b möglich c") == "a =?utf-8?q?f=C3=BCr_b_m=C3=B6glich?= c"


def test_a_multipart_is_labelled_with_what_its_parts_need() -> None:
    def label(body: bytes) -> str:
        child = PartSpec(content_type="message/rfc822", body=body)
        inner = PartSpec(content_type="multipart/mixed", children=(text_part("x"), child))
        outer = PartSpec(content_type="multipart/mixed", children=(inner,))
        return structure.parse(_build(outer)).encoding

    assert [label(b"a"), label(b"\xff"), label(b"\0")] == ["7bit", "8bit", "binary"]


def test_parts_may_not_nest_deeper_than_they_can_be_read() -> None:
    spec = text_part("x")
    for _ in range(DEPTH_MAX):
        spec = PartSpec(content_type="multipart/mixed", children=(spec,))
    assert b"x" in _build(spec)
    with pytest.raises(ValueError, match="deeper"):
        _build(PartSpec(content_type="multipart/mixed", children=(spec,)))


def test_when_every_boundary_is_taken_building_fails() -> None:
    trap = " ".join(f"=_{number}.tok" for number in range(1000))
    children = (PartSpec(content_type="message/rfc822", body=trap.encode()),)
    with pytest.raises(ValueError, match="every boundary"):
        _build(PartSpec(content_type="multipart/mixed", children=children))
