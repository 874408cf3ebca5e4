"""Previews: which part, how much of it, and never more than the bound."""

import base64

from protocols.mime import preview, structure
from tests.protocols.mime.odd import crlf, mixed


def _preview(data: bytes) -> str:
    return preview.preview(data, structure.parse(data))


def test_plain_text_is_preferred_to_html() -> None:
    html = "Content-Type: text/html\n\n<p>html\n"
    assert _preview(crlf(mixed("\nplain\n", html, subtype="alternative"))) == "plain"


def test_html_serves_where_plain_text_is_empty() -> None:
    html = "Content-Type: text/html\n\n<p>html\n"
    assert _preview(crlf(mixed("\n \n", html, subtype="alternative"))) == "html"


def test_a_message_of_attachments_has_none() -> None:
    assert _preview(crlf("Content-Type: image/png\n\nabc")) == ""


def test_only_the_beginning_of_a_body_is_decoded() -> None:
    head = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    quoted = ("> é\r\n" * preview.TEXT_BYTES_MAX).encode()
    shown = _preview(head + base64.encodebytes(quoted + b"far away"))
    assert shown.startswith("é é") and "\ufffd" not in shown and "far" not in shown


def test_text_without_line_ends_is_cut_between_characters() -> None:
    head = b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
    shown = _preview(head + b" " * (preview.TEXT_BYTES_MAX - 1) + "é".encode() * 10)
    assert shown == ""
    shown = _preview(head + b"x" + " é".encode() * preview.TEXT_BYTES_MAX)
    assert len(shown) == preview.PREVIEW_CHARS_MAX - 1 or len(shown) == preview.PREVIEW_CHARS_MAX
    assert "\ufffd" not in shown


def test_html_is_read_to_its_own_bound() -> None:
    head = b"Content-Type: text/html\r\n\r\n<style>"
    near = head + b"x" * (preview.HTML_BYTES_MAX // 2) + b"</style>\r\nnear"
    far = head + b"x" * preview.HTML_BYTES_MAX + b"</style>\r\nfar"
    assert (_preview(near), _preview(far)) == ("near", "")
