"""Charset labels: a closed table, supersets, and no way to feed a cache."""

import codecs

import pytest

from protocols.mime import charsets


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("UTF-8", "utf_8"), ("utf8", "utf_8"), ("latin1", "cp1252"), ("ISO-8859-1", "cp1252"),
        ("iso8859-15", "iso8859_15"), ("windows-1252", "cp1252"), ("CP-1251", "cp1251"),
        ("gb2312", "gb18030"), ("Shift_JIS", "cp932"), ("ks_c_5601-1987", "cp949"),
        ("us-ascii", "ascii"), ("ANSI_X3.4-1968", "ascii"), ("iso-8859-8-i", "iso8859_8"),
        ("KOI8-U", "koi8_u"), ("macintosh", "mac_roman"), ("iso-2022-jp", "iso2022_jp_ext"),
    ],
)  # fmt: skip
def test_labels_of_mail_are_known(label: str, codec: str) -> None:
    assert charsets.lookup(label) == codec


@pytest.mark.parametrize(
    "label", ["idna", "punycode", "unicode_escape", "base64", "rot13", "", "x"]
)
def test_what_is_no_charset_is_unknown(label: str) -> None:
    assert charsets.lookup(label) is None


def test_a_label_longer_than_the_bound_is_unknown() -> None:
    assert charsets.lookup("-" * (charsets.LABEL_CHARS_MAX - 4) + "utf8") == "utf_8"
    assert charsets.lookup("-" * charsets.LABEL_CHARS_MAX + "utf8") is None


def test_every_codec_of_the_table_exists_and_never_fails() -> None:
    for codec in sorted(set(charsets._TABLE.values())):
        assert codecs.lookup(codec)
        text, _ = charsets.decode_known(bytes(range(256)) * 3, codec)
        text.encode("utf-8")


def test_only_a_bounded_sample_is_shown_to_the_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    guess = charsets.from_bytes

    def watch(sample: bytes, **options: object) -> object:
        seen.append(len(sample))
        return guess(sample, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(charsets, "from_bytes", watch)
    charsets.decode("Привет ".encode("cp1251") * 10_000, None)
    assert seen == [charsets.GUESS_BYTES_MAX]


def test_a_header_falls_back_to_the_charset_of_the_message_then_to_windows_1252() -> None:
    assert charsets.decode_header("Я".encode("koi8-r"), "koi8-r") == "Я"
    assert charsets.decode_header(b"\xe9\0", None) == "é"
    assert charsets.decode_header(b"\xe9", "us-ascii") == "é"
    assert charsets.decode_header("é".encode(), "koi8-r") == "é"
