"""Trees of parts: numbers, offsets, and every bound that keeps hostile nesting cheap."""

import msgspec
import pytest

from protocols.mime import headers, structure
from protocols.mime.parts import Part, find_jmap, find_part, pack, unpack, walk
from tests.protocols.mime.odd import crlf, mixed
from tests.protocols.mime.tree import check_tree

_MAIL = "Content-Type: message/rfc822\n\n"
_TEXT = "Content-Type: text/plain; charset=utf-8\n\nplain\n"


def _bodies(data: bytes, root: Part) -> dict[str, bytes]:
    return {p.part_id: data[p.body_start : p.body_end] for p in walk(root) if not p.is_multipart}


def test_a_single_part_is_number_one() -> None:
    data = b"Subject: x\r\n\r\nbody\r\n"
    root = structure.parse(data)
    assert (root.part_id, root.jmap_id, root.content_type) == ("1", "1", "text/plain")
    assert (root.header_start, root.header_end, root.body_start, root.body_end) == (0, 14, 14, 20)
    assert (root.size, root.lines, root.charset, root.has_type) == (6, 1, "us-ascii", False)


def test_numbers_are_imaps_and_jmaps() -> None:
    inner = mixed(_TEXT, _TEXT, boundary="in")
    data = crlf(mixed(_TEXT, mixed(_TEXT, _MAIL + inner, boundary="mid"), _MAIL + _TEXT))
    root = structure.parse(data)
    check_tree(data, root)
    assert [(p.part_id, p.jmap_id) for p in walk(root)] == [
        ("", None), ("1", "1"), ("2", None), ("2.1", "2"), ("2.2", "3"), ("3", "4"),
    ]  # fmt: skip
    forwarded = find_part(root, "2.2")
    assert forwarded is not None and forwarded.message is not None
    assert [(p.part_id, p.jmap_id) for p in walk(forwarded.message)] == [
        ("2.2", None), ("2.2.1", "1"), ("2.2.2", "2"),
    ]  # fmt: skip
    assert find_part(root, "3.1") is not None
    assert find_part(root, "2.2.2") is not None
    assert find_part(root, "4") is None
    assert find_jmap(root, "3") is forwarded
    assert find_jmap(root, "9") is None


def test_offsets_cut_out_exactly_the_bodies() -> None:
    data = crlf(mixed("\none", "\n\ntwo\n", "\nthree"))
    assert _bodies(data, structure.parse(data)) == {"1": b"one", "2": b"\r\ntwo\r\n", "3": b"three"}


def test_a_part_says_what_bodystructure_needs() -> None:
    data = crlf(
        "Content-Type: Text/HTML; Charset=UTF-8; x*=utf-8'en'%C3%A9\n"
        "Content-Transfer-Encoding: Quoted-Printable\nContent-ID: <a@b> (c)\n"
        "Content-Description: some =?utf-8?q?text?=\n here\nContent-MD5: Q2hlY2s=\n"
        'Content-Disposition: INLINE; filename="a b"; size=3\n'
        "Content-Language: en, (German) de-DE\nContent-Location: http://x.y/\n z\n\na\nb\nc"
    )
    part = structure.parse(data)
    assert (part.type, part.subtype, part.encoding) == ("text", "html", "quoted-printable")
    assert part.params == {"charset": "UTF-8", "x": "é"}
    assert (part.disposition, part.disposition_params["size"]) == ("inline", "3")
    assert (part.content_id, part.md5) == ("a@b", "Q2hlY2s=")
    assert part.description == "some =?utf-8?q?text?= here"
    assert (part.language, part.location) == (("en", "de-DE"), "http://x.y/z")
    assert (part.lines, part.size, part.filename) == (2, 7, "a b")


def test_charset_is_what_rfc_8621_says() -> None:
    assert structure.parse(b"\r\n").charset == "us-ascii"
    assert structure.parse(b"Content-Type: text/html\r\n\r\n").charset == "us-ascii"
    assert structure.parse(b"Content-Type: text/html; charset=X\r\n\r\n").charset == "X"
    assert structure.parse(b"Content-Type: image/png; charset=X\r\n\r\n").charset is None


def test_the_embedded_message_keeps_its_own_header() -> None:
    data = crlf(_MAIL + "Subject: in\nFrom: a@b.c\n\nbody\n")
    root = structure.parse(data)
    assert root.message is not None
    assert root.lines == 4
    names = [field.name for field in structure.headers_of(data, root.message)]
    assert names == ["Subject", "From"]


def test_a_tree_is_packed_and_unpacked() -> None:
    root = structure.parse(crlf(mixed(_TEXT, _MAIL + mixed(_TEXT, boundary="in"))))
    packed = pack(root)
    assert unpack(packed) == root
    assert len(packed) < 450
    with pytest.raises(ValueError, match="unknown format"):
        unpack(b"\x02" + packed[1:])


def _nested(levels: int, padding: bytes = b"") -> bytes:
    opened = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%dx\r\n\r\n--b%dx\r\n" % (level, level)
        for level in range(levels)
    )
    return opened + b"\r\nbottom" + padding


def _depth(root: Part) -> int:
    depth, level = 0, [root]
    while level:
        depth += 1
        level = [c for p in level for c in (*p.children, *((p.message,) if p.message else ()))]
    return depth


def test_multiparts_nest_as_deep_as_the_bound_and_no_text_is_lost() -> None:
    levels = structure.SCANS_MAX
    root = structure.parse(_nested(levels))
    assert _depth(root) == levels + 1
    deeper = structure.parse(_nested(10_000))
    assert _depth(deeper) <= structure.DEPTH_MAX + 2
    assert b"bottom" in _nested(10_000)[-deeper.size :]


def test_messages_nest_as_deep_as_the_bound() -> None:
    data = b"Content-Type: message/rfc822\r\n\r\n" * 10_000
    root = structure.parse(data)
    assert _depth(root) == structure.DEPTH_MAX + 1
    check_tree(data, root)


def test_a_mail_is_searched_for_boundaries_a_bounded_number_of_times() -> None:
    padding = b"\r\n" + b"x" * 100_000
    root = structure.parse(_nested(structure.DEPTH_MAX, padding))
    # Every level has the padding to search once; the budget ends before the depth does.
    assert _depth(root) == structure.SCANS_MAX + 2


def test_no_more_than_the_bound_of_parts_are_made_and_the_last_holds_the_rest() -> None:
    data = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    data += b"".join(b"--b\r\n\r\n%d\r\n" % i for i in range(structure.PARTS_MAX + 50))
    root = structure.parse(data)
    assert len(root.children) == structure.PARTS_MAX
    last = data[root.children[-1].body_start : root.children[-1].body_end]
    assert last.startswith(b"%d\r\n" % (structure.PARTS_MAX - 1))
    assert last.rstrip().endswith(b"%d" % (structure.PARTS_MAX + 49))


def test_a_boundary_is_guessed_only_near_the_start() -> None:
    head = b"Content-Type: multipart/mixed\r\n\r\n"
    near = structure.parse(head + b"preamble\r\n--xyz\r\n\r\na\r\n--xyz--\r\n")
    assert near.children[0].size == 1
    far = structure.parse(head + b"p" * structure.GUESS_BYTES_MAX + b"\r\n--xyz\r\n\r\na\r\n")
    assert far.children[0].body_start == far.body_start
    dashes = b"--not a boundary\r\n" * (structure.GUESS_LINES_MAX + 1)
    assert len(structure.parse(head + b"\r\n" + dashes + b"--xyz\r\n\r\na").children) == 1


def test_a_long_boundary_is_cut_at_its_bound() -> None:
    name = "y" * (structure.BOUNDARY_CHARS_MAX + 10)
    root = structure.parse(crlf(mixed(_TEXT, boundary=name)))
    assert [p.part_id for p in walk(root)] == ["", "1"]


def test_lines_that_only_begin_like_delimiters_are_looked_at_a_bounded_number_of_times() -> None:
    head = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nfirst\r\n"
    last = b"--b\r\n\r\nlast\r\n--b--\r\n"
    within = structure.parse(head + b"--bx\r\n" * structure.NEAR_MISSES_MAX + last)
    beyond = structure.parse(head + b"--bx\r\n" * (structure.NEAR_MISSES_MAX + 1) + last)
    assert (len(within.children), len(beyond.children)) == (2, 1)
    assert beyond.children[0].body_end == beyond.body_end


def test_a_header_without_end_ends_at_its_bound() -> None:
    fields = b"A: b\r\n" * headers.HEADER_BYTES_MAX
    root = structure.parse(fields)
    assert root.body_start == headers.HEADER_BYTES_MAX
    part = structure.parse(crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\n") + fields)
    [child] = part.children
    assert child.body_start - child.header_start == structure.PART_HEADER_BYTES_MAX


def test_an_empty_line_is_found_wherever_the_header_ends() -> None:
    for length in range(headers._WINDOW_BYTES - 12, headers._WINDOW_BYTES + 4):
        for ends in (b"\r\n\r\n", b"\n\n", b"\r\n\n", b"\n\r\n"):
            data = b"A: " + b"x" * length + ends + b"body\r\n\r\n"
            assert structure.parse(data).body_start == 3 + length + len(ends)


def test_lines_are_counted_alike_in_short_and_long_spans() -> None:
    data = b"Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\n" + b"line\n\n" * 100_000
    root = structure.parse(data)
    assert root.message is not None
    assert root.lines == data.count(b"\n") - 2
    assert root.message.lines == 200_000


def test_languages_are_bounded() -> None:
    tags = ", ".join(["en"] * 100)
    part = structure.parse(f"Content-Language: {tags}\r\n\r\n".encode())
    assert part.language is not None and len(part.language) == structure.LANGUAGES_MAX


def test_the_octets_of_base64_are_counted_and_trees_from_before_have_no_count() -> None:
    head = b"Content-Type: application/x\r\nContent-Transfer-Encoding: "
    root = structure.parse(head + b"BASE64\r\n\r\nQUJD\r\nRA==\r\n")
    assert root.decoded == 4
    assert unpack(pack(root)) == root
    fields = msgspec.msgpack.decode(pack(root)[1:])
    before = unpack(pack(root)[:1] + msgspec.msgpack.encode(fields[:-1]))
    assert before == msgspec.structs.replace(root, decoded=None)
    for encoding in (b"quoted-printable", b"7bit", b"x-uue"):
        assert structure.parse(head + encoding + b"\r\n\r\nQUJD\r\n").decoded is None
    assert structure.parse(head + b"base64\r\n\r\nQQ=\r\n=QQ").decoded is None
