"""RFC 2047 encoded words: reading them as strictly as RFC 8621 demands, and writing them.

RFC 8621 4.1.2.2 forbids decoding what only looks like an encoded word: in running text a word must
stand between white space or the ends. `decode(lenient=True)` is for file names alone, where senders
put encoded words into quoted strings and no other reading makes sense.
"""

import binascii
import re
from itertools import islice
from typing import Final

from protocols.mime import charsets

# Words decoded in one field; the rest stays as written. More than this is no subject.
ENCODED_WORDS_MAX: Final = 4096
WORD_CHARS_MAX: Final = 75  # RFC 2047 2

_STRICT: Final = re.compile(
    r"(?<![^ \t\r\n])=\?([^?\s*]+)(?:\*[^?\s]*)?\?([bBqQ])\?"
    r"((?:[!->@-~]|\?(?!=))*+)\?=(?![^ \t\r\n])"
)
_LENIENT: Final = re.compile(r"=\?([^?\s*]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?]*)\?=")
_CONTROLS: Final = dict.fromkeys((*range(32), *range(127, 160)))
_BASE64_DIGITS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/]+")
# RFC 2047 5 (3): what a word inside a phrase may show unencoded.
_Q_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!*+-/")


def decode(text: str, *, lenient: bool = False) -> str:
    """Decode the encoded words of known charsets; drop the white space between neighbours.

    Bytes of neighbouring words in one charset are joined before decoding, because senders split
    multibyte characters across words although RFC 2047 5 forbids it.
    """
    if "=?" not in text:
        return text
    pieces: list[str] = []
    pending: list[bytes] = []
    pending_codec = ""
    copied = 0
    for count, word in enumerate((_LENIENT if lenient else _STRICT).finditer(text)):
        codec = charsets.lookup(word[1])
        if count >= ENCODED_WORDS_MAX:
            break
        if codec is None:
            continue  # RFC 2047 6.2: an unknown charset is shown as it stands
        between = text[copied : word.start()]
        if pending_codec and (codec != pending_codec or between.strip(" \t\r\n")):
            pieces.append(_to_text(b"".join(pending), pending_codec))
            pending = []
        if not pending_codec or between.strip(" \t\r\n"):
            pieces.append(between)
        pending.append(_word_bytes(word[2], word[3]))
        pending_codec = codec
        copied = word.end()
    if pending_codec:
        pieces.append(_to_text(b"".join(pending), pending_codec))
    pieces.append(text[copied:])
    return "".join(pieces)


def is_malformed(text: str) -> bool:
    """Some of a decoded text is not as its charset says, or in one that nobody here knows."""
    return "\ufffd" in text or ("=?" in text and _STRICT.search(text) is not None)


def octets(text: str) -> bytes:
    """A header value, each octet as one character, with what encoded words hold in their place,
    whatever their charset."""
    pieces: list[bytes] = []
    copied = 0
    for word in islice(_STRICT.finditer(text), ENCODED_WORDS_MAX):
        between = text[copied : word.start()]
        if not pieces or between.strip(" \t\r\n"):
            pieces.append(between.encode("latin-1"))
        pieces.append(_word_bytes(word[2], word[3]))
        copied = word.end()
    pieces.append(text[copied:].encode("latin-1"))
    return b"".join(pieces)


def decode_base64(data: bytes) -> bytes:
    """Base64 without complaint: foreign characters are skipped, a cut tail gives what it holds."""
    try:
        return binascii.a2b_base64(data)
    except binascii.Error:
        digits = _NOT_BASE64.sub(b"", data)
        whole = len(digits) - (len(digits) % 4 == 1)
        return binascii.a2b_base64(digits[:whole] + b"=" * (-whole % 4))


def count_base64(data: bytes) -> int | None:
    """Octets that base64 comes to, a tenth of the work of decoding it; None: it is not so regular
    that counting its digits tells."""
    rest = data.translate(None, _BASE64_DIGITS)  # what is left of it is short
    pads, digits = rest.count(b"="), len(data) - len(rest)
    if rest.translate(None, b"\r\n=") or (digits + pads) % 4 or pads > 2:
        return None
    if pads and data.rstrip(b"\r\n")[-pads:] != b"=" * pads:
        return None
    return digits * 3 // 4


def _word_bytes(encoding: str, encoded: str) -> bytes:
    data = encoded.encode("utf-8")
    if encoding in "bB":
        return decode_base64(data)
    return binascii.a2b_qp(data, header=True)


def _to_text(data: bytes, codec: str) -> str:
    """RFC 8621 4.1.2.2: control characters that were encoded are dropped."""
    return charsets.decode_known(data, codec)[0].translate(_CONTROLS)


def encode(text: str) -> list[str]:
    """UTF-8 encoded words, each at most 75 characters and of whole characters (RFC 2047 2, 5)."""
    units = [char.encode("utf-8", "replace") for char in text]
    quoted_chars = sum(len(_quoted(unit)) for unit in units)
    based_chars = sum(map(len, units)) * 4 // 3
    # A little longer is worth it: people read headers, and search in them.
    letter, render = ("q", _quoted) if quoted_chars * 2 <= based_chars * 3 else ("b", _based)
    room = WORD_CHARS_MAX - len("=?utf-8?q??=")
    words: list[str] = []
    run = b""
    for unit in units:
        if run and len(render(run + unit)) > room:
            words.append(f"=?utf-8?{letter}?{render(run)}?=")
            run = b""
        run += unit
    if run:
        words.append(f"=?utf-8?{letter}?{render(run)}?=")
    return words


def _quoted(data: bytes) -> str:
    return "".join(
        "_" if byte == 0x20 else chr(byte) if byte in _Q_PLAIN else f"={byte:02X}" for byte in data
    )


def _based(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")
