"""Parts to bytes: a message as RFC 5322 and MIME want it sent.

Lines end in CRLF and have at most 998 characters, 76 where encoding or folding allows; boundaries
occur in no part; what is not ASCII in headers becomes encoded words (RFC 2047) or parameters with a
charset (RFC 2231), or stays UTF-8 (RFC 6532) if `utf8` is set. Clock and chance stay outside:
Message-ID, Date and the boundaries' token are arguments.
"""

import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from protocols.mime import parameters, words
from protocols.mime.addresses import EmailAddress, Group
from protocols.mime.dates import render_date

LINE_BYTES_MAX: Final = 998  # RFC 5322 2.1.1
FOLD_CHARS: Final = 76
BOUNDARY_TRIES_MAX: Final = 1_000
DEPTH_MAX: Final = 50  # as many levels as structure reads
_IDENTITIES: Final = ("7bit", "8bit", "binary")

_ATOMS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_FIELD_NAME: Final = re.compile(r"[!-9;-~]+")
_LONG_LINE: Final = re.compile(rb"[^\n]{999}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9'+_.-]{1,40}")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartSpec:
    """One part to be written: a leaf with a body, or a multipart with children.

    `headers` are further fields of the part, written as given after folding and encoding. A text's
    line ends become CRLF, but for an `exact` one, a file, whose octets are nobody's to change.
    """

    content_type: str
    body: bytes = b""
    children: tuple["PartSpec", ...] = ()
    params: dict[str, str] = field(default_factory=dict)
    disposition: str | None = None
    filename: str | None = None
    content_id: str | None = None
    language: tuple[str, ...] = ()
    location: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    exact: bool = False


def text_part(text: str, subtype: str = "plain") -> PartSpec:
    """A text part in UTF-8."""
    return PartSpec(
        content_type=f"text/{subtype}",
        body=text.encode("utf-8", "replace"),
        params={"charset": "utf-8"},
    )


def build(
    headers: Iterable[tuple[str, str]],
    root: PartSpec,
    *,
    message_id: str | None,
    date: datetime | None,
    boundary_token: str,
    utf8: bool = False,
) -> bytes:
    """A whole message. `headers` are rendered values, for which see `address_list` and `encode`.

    `message_id` (without brackets) and `date` are left out when None; `boundary_token` is drawn by
    the caller and makes the boundaries of this message its own.
    """
    assert _TOKEN.fullmatch(boundary_token), boundary_token
    fields = list(headers)
    if date is not None:
        fields.append(("Date", render_date(date)))
    if message_id is not None:
        fields.append(("Message-ID", f"<{message_id}>"))
    fields.append(("MIME-Version", "1.0"))
    head = b"".join(render_field(name, value, utf8=utf8) for name, value in fields)
    return head + _render_part(root, boundary_token, utf8)


def render_field(name: str, value: str, *, utf8: bool = False) -> bytes:
    """One header field, folded at spaces; a value that is not ASCII becomes encoded words.

    Addresses whose own text is not ASCII can only be sent with `utf8` (RFC 6532).
    """
    assert _FIELD_NAME.fullmatch(name), name
    value = _CONTROLS.sub(" ", value)
    if not utf8 and not value.isascii():
        value = encode_text(value)
    folded = _fold(name + ":", value.split(" "))
    if any(len(line.encode("utf-8", "replace")) > LINE_BYTES_MAX for line in folded.split("\r\n")):
        folded = _fold(name + ":", words.encode(value))
    return folded.encode("utf-8", "replace") + b"\r\n"


def encode_text(text: str) -> str:
    """Unstructured text with the words that need it as encoded words (RFC 2047 5 (1)).

    The words from the first to the last such are encoded together with the spaces between them:
    white space between neighbouring encoded words would vanish.
    """
    parts = text.split(" ")
    foreign = [i for i, word in enumerate(parts) if not word.isascii() or word.startswith("=?")]
    if not foreign:
        return text
    first, last = foreign[0], foreign[-1] + 1
    return " ".join([*parts[:first], *words.encode(" ".join(parts[first:last])), *parts[last:]])


def address_list(addresses: Sequence[EmailAddress | Group], *, utf8: bool = False) -> str:
    """An address-list of RFC 5322 3.4 as a field value."""
    return ", ".join(_address(address, utf8) for address in addresses)


def _address(address: EmailAddress | Group, utf8: bool) -> str:
    if isinstance(address, Group):
        members = ", ".join(_address(member, utf8) for member in address.members)
        return f"{_phrase(address.name, utf8)}: {members};"
    if not address.name:
        return address.email
    return f"{_phrase(address.name, utf8)} <{address.email}>"


def _phrase(name: str, utf8: bool) -> str:
    name = " ".join(_CONTROLS.sub(" ", name).split())
    if (not name.isascii() and not utf8) or "=?" in name:
        return " ".join(words.encode(name))
    if _ATOMS.fullmatch(name):
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _fold(start: str, pieces: Sequence[str]) -> str:
    """Pieces joined by single spaces, with a line break before a space where a line gets long."""
    lines = [start]
    for piece in pieces:
        # A line of white space alone would be taken for the end of the header (RFC 7103 7.3).
        blank = not lines[-1].strip() or not piece
        if len(lines[-1]) + 1 + len(piece) > FOLD_CHARS and not blank and lines[-1] != start:
            lines.append("")
        lines[-1] += " " + piece
    return "\r\n".join(lines)


def _render_part(spec: PartSpec, token: str, utf8: bool, depth: int = 0) -> bytes:
    if depth > DEPTH_MAX:
        raise ValueError(f"parts nest deeper than {DEPTH_MAX}")
    if not spec.content_type.startswith("multipart/"):
        encoding, body = _encode_body(spec)
        return _part_head(spec, spec.params, encoding, utf8) + b"\r\n" + body
    children = [_render_part(child, token, utf8, depth + 1) for child in spec.children]
    boundary = _free_boundary(token, children)
    params = {**spec.params, "boundary": boundary}
    # RFC 2045 6.4: a multipart is labelled with what its parts need.
    encoding = max((_identity(child) for child in children), key=_IDENTITIES.index, default="7bit")
    head = _part_head(spec, params, None if encoding == "7bit" else encoding, utf8)
    delimiter = b"--" + boundary.encode("ascii")
    pieces = [head, b"\r\n"]
    for child in children:
        pieces += (delimiter, b"\r\n", child, b"\r\n")
    pieces += (delimiter, b"--\r\n")
    return b"".join(pieces)


def _identity(body: bytes) -> str:
    """Which of the encodings that change nothing describes these lines (RFC 2045 2.7-2.9)."""
    if b"\0" in body or _LONG_LINE.search(body):
        return "binary"
    return "7bit" if body.isascii() else "8bit"


def _free_boundary(token: str, children: list[bytes]) -> str:
    """A boundary that occurs in no child; "=_" can stand in no encoded body (RFC 2045 6.7)."""
    for number in range(BOUNDARY_TRIES_MAX):
        boundary = f"=_{number}.{token}"
        if not any(boundary.encode("ascii") in child for child in children):
            return boundary
    raise ValueError("every boundary tried occurs in the content")


def _part_head(spec: PartSpec, params: dict[str, str], encoding: str | None, utf8: bool) -> bytes:
    params = {**params, **({"name": spec.filename} if spec.filename else {})}
    fields = [_parameterised("Content-Type", spec.content_type, params, utf8)]
    if spec.disposition or spec.filename:
        named = {"filename": spec.filename} if spec.filename else {}
        value = spec.disposition or "attachment"
        fields.append(_parameterised("Content-Disposition", value, named, utf8))
    if encoding is not None:
        fields.append(f"Content-Transfer-Encoding: {encoding}\r\n".encode("ascii"))
    more = list(spec.headers)
    if spec.content_id:
        more.append(("Content-ID", f"<{spec.content_id}>"))
    if spec.language:
        more.append(("Content-Language", ", ".join(spec.language)))
    if spec.location:
        more.append(("Content-Location", spec.location))
    return b"".join(fields) + b"".join(render_field(n, v, utf8=utf8) for n, v in more)


def _parameterised(name: str, value: str, params: dict[str, str], utf8: bool) -> bytes:
    pieces = [_CONTROLS.sub("", value)]
    for key, content in params.items():
        pieces += parameters.render(key, content, utf8=utf8)
    terminated = [piece + ";" for piece in pieces[:-1]] + pieces[-1:]
    return _fold(name + ":", terminated).encode("utf-8", "replace") + b"\r\n"


def _encode_body(spec: PartSpec) -> tuple[str, bytes]:
    """The transfer encoding a body needs, and the body in it (RFC 2045 6)."""
    body = spec.body
    if spec.content_type in ("message/rfc822", "message/global"):
        # RFC 2046 5.2.1 allows no encoding here; offsets into the message stay true.
        return _identity(body), body
    is_text = spec.content_type.startswith("text/")
    lines = _with_crlf(body) if is_text and not spec.exact else body
    has_whole_lines = _has_whole_lines(lines)
    if _identity(lines) == "7bit" and has_whole_lines:
        return "7bit", lines
    foreign = len(lines) - len(lines.translate(None, _NOT_PRINTABLE))
    if is_text and has_whole_lines and foreign * 4 < len(lines):
        encoded = binascii.b2a_qp(lines.replace(b"\r\n", b"\n"))
        return "quoted-printable", encoded.replace(b"\n", b"\r\n")
    digits = binascii.b2a_base64(lines, newline=False)
    cut = [digits[i : i + FOLD_CHARS] for i in range(0, len(digits), FOLD_CHARS)]
    return "base64", b"\r\n".join(cut)


_NOT_PRINTABLE: Final = bytes([*range(9), 11, 12, *range(14, 32), *range(127, 256)])
_BARE_BREAK: Final = re.compile(rb"\r\n?|\n")


def _with_crlf(body: bytes) -> bytes:
    return _BARE_BREAK.sub(b"\r\n", body)


def _has_whole_lines(body: bytes) -> bool:
    """Whether every CR and LF is part of a CRLF, as 7bit demands (RFC 2045 2.7)."""
    return body.count(b"\r") == body.count(b"\n") == body.count(b"\r\n")
