"""Charset labels as mail writes them, and bytes to text that never fails.

A label is looked up in a closed table made once at import; unknown labels never reach
`codecs.lookup`, whose import attempts and negative cache an attacker could feed for ever, and
codecs that are no charsets (idna, punycode, unicode_escape) cannot be reached. Where a label is
known to be used for a superset (RFC 7103 7.6 asks for such sanity), the superset decodes.
"""

import encodings.aliases
import re
from typing import Final

from charset_normalizer import from_bytes

# A registered charset name has at most 40 characters (RFC 2978 2.3).
LABEL_CHARS_MAX: Final = 64
# Bytes of unlabelled 8-bit text shown to the statistical guess; more costs time, not certainty.
GUESS_BYTES_MAX: Final = 2048

_CODEC_NAMES: Final = """
ascii big5 big5hkscs cp037 cp1006 cp1026 cp1125 cp1140 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255
cp1256 cp1257 cp1258 cp273 cp424 cp437 cp500 cp720 cp737 cp775 cp850 cp852 cp855 cp856 cp857
cp858 cp860 cp861 cp862 cp863 cp864 cp865 cp866 cp869 cp874 cp875 cp932 cp949 cp950 euc_jis_2004
euc_jisx0213 euc_jp euc_kr gb18030 gb2312 gbk hp_roman8 hz iso2022_jp iso2022_jp_1 iso2022_jp_2
iso2022_jp_2004 iso2022_jp_3 iso2022_jp_ext iso2022_kr iso8859_1 iso8859_10 iso8859_11
iso8859_13 iso8859_14 iso8859_15 iso8859_16 iso8859_2 iso8859_3 iso8859_4 iso8859_5 iso8859_6
iso8859_7 iso8859_8 iso8859_9 johab koi8_r koi8_t koi8_u kz1048 latin_1 mac_croatian
mac_cyrillic mac_greek mac_iceland mac_latin2 mac_roman mac_turkish ptcp154 shift_jis
shift_jis_2004 shift_jisx0213 tis_620 utf_16 utf_16_be utf_16_le utf_32 utf_32_be utf_32_le
utf_7 utf_8 utf_8_sig
"""
_CODECS: Final = frozenset(_CODEC_NAMES.split())
# The label is older than what its users write: decode as the superset in use.
_SUPERSETS: Final = {
    "latin_1": "cp1252",
    "iso8859_1": "cp1252",
    "iso8859_9": "cp1254",
    "iso8859_11": "cp874",
    "tis_620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "big5": "cp950",
    "shift_jis": "cp932",
    "utf_8_sig": "utf_8",
    "iso2022_jp": "iso2022_jp_ext",
}
# Spellings seen in mail that the language's own alias table does not know.
_SPELLINGS: Final = {
    "utf8mb4": "utf_8",
    "unicode11utf8": "utf_8",
    "xutf8": "utf_8",
    "unicode11utf7": "utf_7",
    "xsjis": "cp932",
    "xmssjis": "cp932",
    "windows31j": "cp932",
    "xeucjp": "euc_jp",
    "xgbk": "gb18030",
    "gb231280": "gb18030",
    "csgb2312": "gb18030",
    "xbig5": "cp950",
    "cnbig5": "cp950",
    "cngb": "gb18030",
    "ksc56011987": "cp949",
    "ksc5601": "cp949",
    "windows949": "cp949",
    "windows936": "gb18030",
    "windows874": "cp874",
    "iso88598i": "iso8859_8",
    "iso88598e": "iso8859_8",
    "iso88596i": "iso8859_6",
    "latin9": "iso8859_15",
    "koi8ru": "koi8_u",
    "xmacroman": "mac_roman",
    "macintosh": "mac_roman",
    "xmaccyrillic": "mac_cyrillic",
    "ansix341968": "ascii",
    "ansix341986": "ascii",
    "isoir6": "ascii",
    "iso646us": "ascii",
    "xansi": "cp1252",
    "ansi": "cp1252",
    "xwindows1252": "cp1252",
    "dos850": "cp850",
}
_NOT_ALNUM: Final = re.compile(r"[^a-z0-9]+")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
# What unlabelled 8-bit mail turns out to be; a closed list keeps the guess quick and steady.
_GUESS_NAMES: Final = """
cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 koi8_r cp932 euc_jp gb18030 big5 cp949
"""
_GUESSES: Final = _GUESS_NAMES.split()


def _make_table() -> dict[str, str]:
    names = {codec: codec for codec in sorted(_CODECS)}
    names |= {a: c for a, c in sorted(encodings.aliases.aliases.items()) if c in _CODECS}
    table = {_NOT_ALNUM.sub("", name.lower()): _SUPERSETS.get(c, c) for name, c in names.items()}
    return table | _SPELLINGS


_TABLE: Final = _make_table()


def lookup(label: str | None) -> str | None:
    """The Python codec for a charset label as found in mail, or None if we do not know it."""
    if not label or len(label) > LABEL_CHARS_MAX:
        return None
    return _TABLE.get(_NOT_ALNUM.sub("", label.lower()))


def decode_known(data: bytes, codec: str) -> tuple[str, bool]:
    """Text of `data` in a codec that `lookup` returned, and whether some of it was malformed."""
    try:
        text, problem = data.decode(codec), False
    except UnicodeDecodeError:
        text, problem = data.decode(codec, "replace"), True
    if codec.startswith("utf_"):
        # UTF-7 can spell lone surrogates, which no JSON or UTF-8 may carry.
        if codec != "utf_8" and _SURROGATES.search(text):
            text, problem = _SURROGATES.sub("\ufffd", text), True
        text = text.removeprefix("\ufeff")
    return text, problem


def decode(data: bytes, label: str | None) -> tuple[str, bool]:
    """Text of `data`, and whether its charset was unknown or some of it malformed.

    US-ASCII, no label and unknown labels all mean: whatever the bytes say. UTF-8 is tried first,
    as other charsets are unlikely to follow its syntax (RFC 7103 7.6), then a guess is made.
    """
    codec = lookup(label)
    if codec is not None and codec != "ascii":
        return decode_known(data, codec)
    unknown = codec is None and bool(label)
    if data.isascii():
        return data.decode("ascii"), unknown
    try:
        return data.decode("utf-8").removeprefix("\ufeff"), unknown
    except UnicodeDecodeError:
        return decode_known(data, _guess(data))[0], True


def decode_header(raw: bytes, fallback: str | None) -> str:
    """A header value as text, NULs dropped: UTF-8 (RFC 6532), else the charset of the message,
    else windows-1252, the commonest of the undeclared ones (RFC 7103 7.7)."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        codec = lookup(fallback)
        if codec is None or codec in ("ascii", "utf_8"):
            codec = "cp1252"
        text = decode_known(raw, codec)[0]
    return text.replace("\0", "") if "\0" in text else text


def _guess(data: bytes) -> str:
    """The likeliest charset of 8-bit text that is not UTF-8."""
    first = next((i for i, byte in enumerate(data[: 8 * GUESS_BYTES_MAX]) if byte >= 0x80), 0)
    sample = data[max(0, first - GUESS_BYTES_MAX // 8) :][:GUESS_BYTES_MAX]
    best = from_bytes(sample, steps=3, chunk_size=512, cp_isolation=_GUESSES).best()
    return (lookup(best.encoding) if best is not None else None) or "cp1252"
