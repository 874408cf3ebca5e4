"""Any bytes at all: nothing raises, every tree is sound, what was built is read back."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols.mime import bodies, headers, parameters, structure, words
from protocols.mime.addresses import EmailAddress, parse_addresses
from protocols.mime.build import PartSpec, address_list, build, render_field
from protocols.mime.charsets import decode, decode_header
from protocols.mime.dates import parse_date, render_date
from protocols.mime.envelope import base_subject, summarise
from protocols.mime.html_text import html_to_text
from tests.protocols.mime.odd_messages import ODD
from tests.protocols.mime.tree import check_tree

# Pieces that mail is made of, so that random joins of them look like mail gone wrong.
_PIECES = [
    b"--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n",
    b"--c\r\nContent-Type: multipart/related; boundary=d\r\n\r\n", b"--d\r\n",
    b"--c\r\nContent-Type: text/html\r\n\r\n", b"--c\r\nContent-Type: image/png\r\n\r\n",
    b"--d\r\nContent-Type: text/html\r\n\r\n",
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b"\0", b"\xff", b"\xc3\xa9", b":", b";", b"=",
    b"Subject: ", b"From: ", b"To: ", b"Date: ", b"References: ", b"From bob\n", b"Content-Type: ",
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n", b"Content-Type: message/rfc822\r\n\r\n",
    b"Content-Type: multipart/digest; boundary=c\r\n\r\n", b"text/html", b"; charset=utf-7",
    b"Content-Transfer-Encoding: base64\r\n", b"Content-Transfer-Encoding: quoted-printable\r\n",
    b"Content-Disposition: attachment; filename*0*=utf-8''%C3;", b" filename*1*=%A9\r\n", b"--",
    b"--b\r\n", b"\r\n--b\r\n", b"\r\n--b--\r\n", b"--c\r\n", b"\n--c--\n", b"=?utf-8?q?a?=", b"=?",
    b"?=", b"=?gb2312?B?xOM=?=", b"<", b">", b"(", b")", b'"', b"\\", b",", b"@", b"a@b.c", b"[",
    b"]", b"<p>", b"<!--", b"-->", b"<script>", b"</script>", b"&amp;", b"&#x",
    b"1 Jul 2003 10:00 +0200",
]  # fmt: skip
mail = st.one_of(
    st.binary(max_size=300),
    st.lists(st.sampled_from(_PIECES), max_size=40).map(b"".join),
    st.builds(
        lambda one, at, piece: one.data[:at] + piece + one.data[at + len(piece) :],
        st.sampled_from([one for one in ODD if len(one.data) < 2000]),
        st.integers(0, 2000),
        st.sampled_from(_PIECES),
    ),
)
lenient = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@lenient
@given(mail)
def test_any_bytes_have_a_sound_summary(data: bytes) -> None:
    summary = summarise(data)
    check_tree(data, summary.root)
    assert structure.unpack(summary.structure_bytes) == summary.root
    assert len(summary.preview) <= 256
    summary.preview.encode("utf-8")  # no lone surrogates
    lists = summary.lists
    placed = {part.part_id for part in (*lists.text, *lists.html, *lists.attachments)}
    assert placed == {p.part_id for p in structure.walk(summary.root) if not p.is_multipart}
    for part in structure.walk(summary.root):
        bodies.body_text(data, part)[0].encode("utf-8")
        assert structure.find_part(summary.root, part.part_id) is not None
        assert bodies.decoded_size(data, part) == len(bodies.body_bytes(data, part))


@lenient
@given(mail)
def test_any_value_has_every_form(raw: bytes) -> None:
    for form in (headers.as_raw, headers.as_text):
        form(raw).encode("utf-8")
    for ids in (headers.as_message_ids(raw), headers.as_urls(raw)):
        assert ids is None or all(ids)
    flat = headers.as_addresses(raw)
    grouped = headers.as_grouped_addresses(raw)
    assert flat == [one for _, members in grouped for one in members]
    headers.as_date(raw)
    value, params = parameters.parse(decode_header(raw, None))
    assert value == value.lower()
    assert all(name == name.lower() for name in params)
    base_subject(headers.as_text(raw))


@lenient
@given(st.text(max_size=200))
def test_any_text_is_read_as_html_words_and_dates(text: str) -> None:
    html_to_text(text)
    words.decode(text, lenient=True)
    parse_date(text)
    parse_addresses(text)


@lenient
@given(st.binary(max_size=200), st.one_of(st.none(), st.text(max_size=20)))
def test_any_bytes_are_text_in_any_charset(data: bytes, charset: str | None) -> None:
    decode(data, charset)[0].encode("utf-8")
    for encoding in ("base64", "quoted-printable", "x-uuencode", charset):
        bodies.decode_transfer(data, encoding)


readable = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=80)
leaf = st.builds(
    lambda text, name: PartSpec(
        content_type="text/plain",
        body=text.encode(),
        params={"charset": "utf-8"},
        filename=name or None,
        disposition="attachment" if name else None,
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=2000),
    readable.map(str.strip),
)
binary = st.builds(
    lambda body: PartSpec(content_type="application/octet-stream", body=body), st.binary()
)
tree = st.recursive(
    st.one_of(leaf, binary),
    lambda below: st.builds(
        lambda children: PartSpec(content_type="multipart/mixed", children=tuple(children)),
        st.lists(below, min_size=1, max_size=3),
    ),
    max_leaves=6,
)


def _leaves(spec: PartSpec) -> list[PartSpec]:
    if not spec.children:
        return [spec]
    return [one for child in spec.children for one in _leaves(child)]


@lenient
@given(tree, readable, readable)
def test_what_is_built_is_read_back(root: PartSpec, subject: str, name: str) -> None:
    people = [EmailAddress(name or None, "a@b.c"), EmailAddress(None, "d@e.f")]
    fields = [("Subject", subject), ("To", address_list(people))]
    now = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)
    data = build(fields, root, message_id="x@y", date=now, boundary_token="t0k")
    assert max(len(line) for line in data.split(b"\r\n")) <= 998
    assert data.count(b"\n") == data.count(b"\r\n") or any(b"\n" in s.body for s in _leaves(root))

    summary = summarise(data)
    assert summary.message_id == ("x@y",)
    assert summary.sent_at == now
    assert (summary.subject or "").split() == _nfc(subject).split()
    assert summary.to is not None
    assert [one.email for one in summary.to] == ["a@b.c", "d@e.f"]
    assert (summary.to[0].name or "").split() == _nfc(name).split()
    specs = _leaves(root)
    parts = [part for part in structure.walk(summary.root) if not part.is_multipart]
    assert len(parts) == len(specs)
    for part, spec in zip(parts, specs, strict=True):
        assert part.content_type == spec.content_type
        assert part.filename == spec.filename
        body = bodies.body_bytes(data, part)
        if part.type == "text":
            assert body.split() == spec.body.split()
        else:
            assert body == spec.body


def _nfc(text: str) -> str:
    return headers.as_text(text.encode())


@lenient
@given(readable)
def test_a_field_of_any_text_comes_back(value: str) -> None:
    rendered = render_field("X-Note", value)
    assert rendered.isascii()
    assert all(line.strip() for line in rendered.split(b"\r\n")[:-1])
    [field] = headers.split(rendered, 0, len(rendered))
    assert headers.as_text(field.raw).split() == _nfc(value).split()


@lenient
@given(
    st.datetimes(min_value=datetime(1900, 1, 2), max_value=datetime(9999, 12, 30)),
    st.integers(-23 * 60, 23 * 60),
)
def test_dates_come_back(moment: datetime, offset_min: int) -> None:
    there = moment.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=offset_min)))
    back = parse_date(render_date(there))
    assert back == there
    assert back is not None and back.utcoffset() == there.utcoffset()
