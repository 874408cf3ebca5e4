"""Modified UTF-7, how mailbox names travel in IMAP4rev1 (RFC 3501 5.1.3).

Decoding is strict: each name has exactly one form, so that two spellings never name one mailbox.
Once IMAP4rev2 or UTF8=ACCEPT is enabled names are UTF-8 and this is not used (RFC 9051 5.1).
"""

import binascii

from protocols.errors import RemoteProtocolError


def encode(name: str) -> bytes:
    """`Entwürfe` -> `Entw&APw-rfe`."""
    out = bytearray()
    shifted: list[str] = []
    for letter in name:
        if " " <= letter <= "~":
            _end_shift(out, shifted)
            out += b"&-" if letter == "&" else letter.encode("ascii")
        else:
            shifted.append(letter)
    _end_shift(out, shifted)
    return bytes(out)


def _end_shift(out: bytearray, shifted: list[str]) -> None:
    if shifted:
        # surrogatepass: a name is any str, and the peer must be able to name it again.
        octets = "".join(shifted).encode("utf-16-be", "surrogatepass")
        base64 = binascii.b2a_base64(octets, newline=False).rstrip(b"=").replace(b"/", b",")
        out += b"&" + base64 + b"-"
        shifted.clear()


def decode(octets: bytes) -> str:
    """`Entw&APw-rfe` -> `Entwürfe`; RemoteProtocolError for what encode would not have made."""
    pieces: list[str] = []
    for index, piece in enumerate(octets.split(b"&")):
        plain = piece
        if index:
            base64, dash, plain = piece.partition(b"-")
            if not dash:
                raise _bad()
            pieces.append(_shifted(base64) if base64 else "&")
        pieces.append(_plain(plain))
    name = "".join(pieces)
    if encode(name) != octets:
        raise _bad()  # padding bits, printable ASCII in a shift, two shifts in a row
    return name


def _plain(octets: bytes) -> str:
    if any(not 0x20 <= octet <= 0x7E for octet in octets):
        raise _bad()
    return octets.decode("ascii")


def _shifted(base64: bytes) -> str:
    if b"/" in base64:
        raise _bad()
    padded = base64.replace(b",", b"/") + b"=" * (-len(base64) % 4)
    try:
        return binascii.a2b_base64(padded, strict_mode=True).decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise _bad() from error


def _bad() -> RemoteProtocolError:
    return RemoteProtocolError("mailbox name is not modified UTF-7")
