"""RFC 8620 6.2: download. A blob is read in pieces as the client takes them, ranges included.

A blob is there for who holds it: others are told 404, as for one that is not.
"""

import re
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import quote, unquote_to_bytes

import trio

from protocols.http.auth import Guard, unavailable
from protocols.http.requests import (
    Headers,
    Request,
    Response,
    problem,
)
from protocols.jmap.sections import read_ref
from protocols.ports import READ_BYTES_MAX, Blobs, Ports, Unavailable
from storage.ids import AccountId, BlobRef, parse_account, parse_blob, render_blob
from storage.mail.messages import holds_blob

TYPE_DEFAULT: Final = "application/octet-stream"
NAME_OCTETS_MAX: Final = 1024

# A media type with its parameters; longer ones, and what could end a header line, are refused.
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]{1,255}\Z", re.ASCII)
_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})\Z", re.ASCII)
_UNSAFE: Final = re.compile(r'[^\x20-\x7e]|["\\%]')
# The blob under an id never changes (RFC 8620 6.2), and is one user's.
_CACHE: Final = (b"cache-control", b"private, immutable, max-age=31536000")


class Downloads:
    """GET /jmap/download/{accountId}/{blobId}/{name}."""

    def __init__(self, ports: Ports, guard: Guard) -> None:
        self._ports = ports
        self._guard = guard

    async def download(self, request: Request) -> Response:
        """RFC 8620 6.2, with ranges and validators of RFC 9110."""
        principal = await self._guard.admit(request)
        named = _read_path(request.raw_path)
        content_type = request.query_value("type") or TYPE_DEFAULT
        if not _PRINTABLE.match(content_type):
            return problem(400, "the type is no media type")
        if named is None or named[0] != principal.account:
            return problem(404, "there is no such blob")
        _, ref, name = named
        try:
            view = await self._ports.reader.view()
        except Unavailable:
            return unavailable()
        if not holds_blob(view, principal.account, ref.blob):
            return problem(404, "there is no such blob")
        try:
            body = _open(self._ports.blobs, ref, is_read=request.method != "HEAD")
        except Unavailable:
            return unavailable()
        if body is None:
            return problem(404, "there is no such blob")
        return _answer(request, ref, name, content_type, body)


class _Body:
    """A blob's octets: in memory when they are few or decoded, else read as they are sent."""

    def __init__(self, length: int, data: bytes | None, blobs: Blobs, ref: BlobRef) -> None:
        self.length = length
        self._data = data
        self._blobs = blobs
        self._ref = ref

    async def pieces(self, start: int, end: int) -> AsyncIterator[bytes]:
        """Octets [start, end), in pieces with a checkpoint between."""
        for at in range(start, end, READ_BYTES_MAX):
            until = min(at + READ_BYTES_MAX, end)
            if self._data is not None:
                yield self._data[at:until]
            else:
                yield self._blobs.read(self._ref.blob, self._ref.start + at, until - at)
            await trio.lowlevel.checkpoint()


def _open(blobs: Blobs, ref: BlobRef, *, is_read: bool) -> _Body | None:
    size = blobs.size(ref.blob)
    if size is None:
        return None
    if ref.encoding:
        data = read_ref(blobs, ref)
        return None if data is None else _Body(len(data), data, blobs, ref)
    length = size if ref.length is None else ref.length
    if ref.start + length > size:
        return None
    # What is read at once can be refused at once, if this node has it damaged; a larger answer
    # ends early then, and its length tells.
    is_little = is_read and length <= READ_BYTES_MAX
    data = blobs.read(ref.blob, ref.start, length) if is_little else None
    return _Body(length, data, blobs, ref)


def _read_path(raw_path: bytes) -> tuple[AccountId, BlobRef, str] | None:
    """Account, blob and name of /jmap/download/{accountId}/{blobId}/{name}, decoded apart."""
    segments = raw_path.split(b"/")
    if len(segments) != 6 or len(segments[5]) > NAME_OCTETS_MAX:
        return None
    account = parse_account(unquote_to_bytes(segments[3]).decode("latin-1"))
    ref = parse_blob(unquote_to_bytes(segments[4]).decode("latin-1"))
    if account is None or ref is None:
        return None
    return account, ref, unquote_to_bytes(segments[5]).decode("utf-8", "replace")


def _answer(request: Request, ref: BlobRef, name: str, content_type: str, body: _Body) -> Response:
    etag = f'"{render_blob(ref)}"'.encode()
    headers: Headers = [
        (b"etag", etag),
        _CACHE,
        (b"accept-ranges", b"bytes"),
        (b"content-disposition", disposition(name)),
        # What a stranger mailed is never run as a page of ours.
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", b"default-src 'none'; sandbox"),
    ]
    if etag in (tag.strip() for tag in request.header(b"if-none-match").encode().split(b",")):
        return Response(304, b"", headers=headers)
    start, end, status = 0, body.length, 200
    span = read_range(request, body.length, etag)
    if span is not None:
        start, end = span
        if start >= end:
            headers = [(b"content-range", b"bytes */%d" % body.length)]
            return problem(416, "the range is outside the blob", headers=headers)
        status = 206
        headers.append((b"content-range", b"bytes %d-%d/%d" % (start, end - 1, body.length)))
    return Response(
        status,
        content_type.encode(),
        headers=headers,
        stream=body.pieces(start, end),
        length=end - start,
    )


def read_range(request: Request, length: int, etag: bytes) -> tuple[int, int] | None:
    """RFC 9110 14.2: the one range asked for; None for none, several, or a stale If-Range.

    An empty one is not satisfiable.
    """
    condition = request.headers.get(b"if-range")
    found = _RANGE.match(request.header(b"range"))
    if found is None or (condition is not None and condition != etag):
        return None
    first, last = found[1], found[2]
    if not first and not last:
        return None
    if not first:
        return max(0, length - int(last)), length
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last) + 1, length) if last else length


def disposition(name: str) -> bytes:
    """RFC 6266: the file's name, in ASCII for old clients and whole for others."""
    plain = _UNSAFE.sub("_", name) or "download"
    value = f'attachment; filename="{plain}"'
    if plain != name:
        value += f"; filename*=UTF-8''{quote(name, safe='')}"
    return value.encode()
