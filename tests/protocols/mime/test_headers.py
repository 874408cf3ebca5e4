"""Fields and their forms: offsets, counts, and the parsed forms RFC 8621 4.1.2 names."""

from protocols.mime import headers
from protocols.mime.headers import Header


def _split(text: str) -> list[Header]:
    data = text.replace("\n", "\r\n").encode()
    return headers.split(data, 0, len(data))


def test_a_field_keeps_its_name_its_raw_value_and_its_place() -> None:
    data = b"Subject: a\r\n b\r\nX-Y:z\r\n\r\nbody"
    subject, other = headers.split(data, 0, 24)
    assert (subject.name, subject.raw) == ("Subject", b" a\r\n b")
    assert data[subject.start : subject.end] == subject.raw
    assert (other.name, other.raw) == ("X-Y", b"z")


def test_the_last_of_a_name_is_the_one_meant() -> None:
    fields = _split("To: a\nto: b\nX: c\n")
    found = headers.last(fields, "TO")
    assert found is not None and found.raw == b" b"
    assert headers.last(fields, "Cc") is None


def test_raw_replaces_what_is_not_utf8_and_drops_nul() -> None:
    assert headers.as_raw(b" a\xffb\0c\r\n =?utf-8?q?d?=") == " a\ufffdbc\r\n =?utf-8?q?d?="


def test_text_is_unfolded_decoded_and_composed() -> None:
    assert headers.as_text(b" a\r\n b =?utf-8?q?e=CC=81?=") == "a b é"


def test_grouped_addresses_collect_the_loose_ones() -> None:
    raw = b'"  James Smythe" <james@example.com>, Friends:\r\n jane@example.com,\r\n'
    raw += b" =?UTF-8?Q?John_Sm=C3=AEth?=\r\n <john@example.com>;"  # RFC 8621 4.1.2.4
    named = [(name, [(p.name, p.email) for p in people]) for name, people in _groups(raw)]
    assert named == [
        (None, [("James Smythe", "james@example.com")]),
        ("Friends", [(None, "jane@example.com"), ("John Smîth", "john@example.com")]),
    ]


def _groups(raw: bytes) -> list[tuple[str | None, tuple[headers.EmailAddress, ...]]]:
    return headers.as_grouped_addresses(raw)


def test_urls_stand_in_angle_brackets() -> None:
    raw = b" <http://x.org/a?b=c,d>, (or) <mailto:list@x.org\r\n ?subject=help> (mail)"
    assert headers.as_urls(raw) == ["http://x.org/a?b=c,d", "mailto:list@x.org?subject=help"]
    assert headers.as_urls(b" NO (posting not allowed)") is None


def test_a_date_keeps_its_offset() -> None:
    assert headers.as_date(b" Fri, 21 Nov 1997 09:55:06 -0600") == "1997-11-21T09:55:06-06:00"
    assert headers.as_date(b" soon") is None


def test_fields_beyond_the_bound_are_not_listed() -> None:
    fields = _split("A: b\n" * (headers.FIELDS_MAX + 5))
    assert len(fields) == headers.FIELDS_MAX


def test_bytes_beyond_the_bound_are_not_listed() -> None:
    data = b"A: b\r\n" + b"B: " + b"x" * headers.HEADER_BYTES_MAX + b"\r\nC: d\r\n"
    fields = headers.split(data, 0, len(data))
    assert [field.name for field in fields] == ["A", "B"]
    assert fields[1].end == headers.HEADER_BYTES_MAX


def test_of_too_many_ids_the_nearest_ancestors_stay() -> None:
    raw = b"".join(b" <%d@x>" % i for i in range(headers.MESSAGE_IDS_MAX + 7))
    for value in (raw, raw + b" (comment)"):
        ids = headers.as_message_ids(value)
        assert ids is not None and len(ids) == headers.MESSAGE_IDS_MAX
        assert ids[-1] == f"{headers.MESSAGE_IDS_MAX + 6}@x"


def test_urls_are_bounded() -> None:
    urls = headers.as_urls(b"<http://x>," * (headers.URLS_MAX + 1))
    assert urls is not None and len(urls) == headers.URLS_MAX


def test_a_long_value_is_cut_before_it_is_parsed_and_between_characters() -> None:
    text = headers.as_text(b"x" * (headers.FIELD_BYTES_MAX + 1))
    assert len(text) == headers.FIELD_BYTES_MAX
    for shift in range(4):
        text = headers.as_text(b"x" * shift + "€".encode() * headers.FIELD_BYTES_MAX)
        assert set(text[shift:]) == {"€"}
