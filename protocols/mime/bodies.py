"""Bodies of parts: transfer decoding, charsets, and what they come to as text.

Nothing here fails: cut base64 gives the bytes it holds, malformed quoted-printable stays as
written, unknown transfer encodings mean none (RFC 8621 4.1.4), unknown charsets are guessed.
"""

import binascii
import re
from typing import Final

from protocols.mime import charsets, words
from protocols.mime.parts import Part

# How much of an HTML body is searched for the charset it declares (HTML 4.2.5.4: 1024 bytes).
META_BYTES_MAX: Final = 1024

_META_CHARSET: Final = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([\w.:-]{2,40})", re.I)
_IDENTITY: Final = frozenset({"", "7bit", "8bit", "binary"})
_UUENCODED: Final = frozenset({"x-uuencode", "x-uue", "uuencode", "uue"})
_TRAILING: Final = re.compile(rb"(?<![ \t])[ \t]++(?=\r?\n|\Z)")
_UU_BEGIN: Final = re.compile(rb"^begin(?:-base64)? [0-7]{3,4} ?[^\n]*\n", re.MULTILINE)


def is_known_encoding(encoding: str | None) -> bool:
    """Whether `decode_transfer` knows this Content-Transfer-Encoding."""
    named = (encoding or "").strip().lower()
    return named in _IDENTITY or named in _UUENCODED or named in ("base64", "quoted-printable")


def decode_transfer(data: bytes, encoding: str | None) -> bytes:
    """The octets that were sent (RFC 2045 6); an unknown encoding means they are as they stand."""
    match (encoding or "").strip().lower():
        case "base64":
            return words.decode_base64(data)
        case "quoted-printable":
            return _decode_quoted_printable(data)
        case named if named in _UUENCODED:
            return _decode_uu(data)
        case _:
            return data


def decode_text(data: bytes, charset: str | None) -> tuple[str, bool]:
    """Text in a charset, NULs dropped (RFC 7103 7.6), and whether it was unknown or malformed."""
    text, problem = charsets.decode(data, charset)
    return (text.replace("\0", "") if "\0" in text else text), problem


def body_bytes(data: bytes, part: Part) -> bytes:
    """The decoded body of a part: what RFC 8621 4.1.4 calls its blob."""
    return decode_transfer(data[part.body_start : part.body_end], part.encoding)


def decoded_size(data: bytes, part: Part) -> int:
    """Octets of the decoded body (RFC 8621 4.1.4 size)."""
    if is_known_encoding(part.encoding) and part.encoding not in _IDENTITY:
        return len(body_bytes(data, part))
    return part.size


def charset_of(part: Part, decoded: bytes) -> str | None:
    """The charset a text part names, or its HTML does where the header does not."""
    label = part.params.get("charset")
    if label is None and part.subtype == "html" and not decoded.isascii():
        named = _META_CHARSET.search(decoded, 0, META_BYTES_MAX)
        label = named[1].decode("ascii") if named else None
    return label


def body_text(data: bytes, part: Part) -> tuple[str, bool]:
    """A text part's value with LF line ends, and isEncodingProblem (RFC 8621 4.1.4)."""
    decoded = body_bytes(data, part)
    text, problem = decode_text(decoded, charset_of(part, decoded))
    text = text.replace("\r\n", "\n") if "\r" in text else text
    return text, problem or not is_known_encoding(part.encoding)


def _decode_quoted_printable(data: bytes) -> bytes:
    """RFC 2045 6.7; rule 3: white space at line ends was added on the way."""
    if b" \r" in data or b" \n" in data or b"\t\r" in data or b"\t\n" in data:
        data = _TRAILING.sub(b"", data)
    return binascii.a2b_qp(data)


def _decode_uu(data: bytes) -> bytes:
    """Lines after `begin` up to `end`, or all of them where there is no `begin`."""
    begun = _UU_BEGIN.search(data)
    lines = data[begun.end() if begun else 0 :].split(b"\n")
    decoded: list[bytes] = []
    for line in lines:
        line = line.rstrip(b"\r")
        if line == b"end":
            break
        if line:
            decoded.append(_decode_uu_line(line))
    return b"".join(decoded)


def _decode_uu_line(line: bytes) -> bytes:
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:
        # The length sign disagrees with the line: cut the line to what it announces.
        announced = ((line[0] - 32) & 63) * 4
        try:
            return binascii.a2b_uu(line[: 1 + (announced + 2) // 3])
        except binascii.Error:
            return b""
