"""Blob ids of body parts: a part is named by where its octets lie in its message's blob.

Nothing is stored for a part. RFC 8621 4.1.4 wants the blob to be the decoded body, so a section
carries its transfer encoding's code, and is decoded when it is read. Codes are in ids that
clients keep: they never change meaning.
"""

from typing import Final

from protocols.mime.bodies import decode_transfer
from protocols.mime.parts import Part
from protocols.ports import READ_BYTES_MAX, Blobs
from storage.ids import BlobId, BlobRef

_CODES: Final = {
    "base64": 1,
    "quoted-printable": 2,
    "x-uuencode": 3,
    "x-uue": 3,
    "uuencode": 3,
    "uue": 3,
}
_ENCODINGS: Final = {0: "", 1: "base64", 2: "quoted-printable", 3: "x-uuencode"}


def section_of(blob: BlobId, part: Part) -> BlobRef:
    """The blob of a part's decoded body."""
    code = _CODES.get(part.encoding.strip().lower(), 0)
    return BlobRef(blob, part.body_start, part.size, code)


def read_span(blobs: Blobs, blob: BlobId, start: int, length: int) -> bytes:
    """Octets of a blob as they lie; raises KeyError when it is not here."""
    if length <= READ_BYTES_MAX:
        return blobs.read(blob, start, length)
    pieces = range(start, start + length, READ_BYTES_MAX)
    return b"".join(blobs.read(blob, at, min(READ_BYTES_MAX, start + length - at)) for at in pieces)


def read_ref(blobs: Blobs, ref: BlobRef) -> bytes | None:
    """All octets that a blob id names, decoded; None when there are none such."""
    size = blobs.size(ref.blob)
    if size is None or ref.encoding not in _ENCODINGS:
        return None
    if ref.length is None:
        return read_span(blobs, ref.blob, 0, size)
    if ref.start + ref.length > size:
        return None
    data = decode_transfer(
        read_span(blobs, ref.blob, ref.start, ref.length), _ENCODINGS[ref.encoding]
    )
    for start, length, encoding in ref.inner:
        if start + length > len(data) or encoding not in _ENCODINGS:
            return None
        data = decode_transfer(data[start : start + length], _ENCODINGS[encoding])
    return data
