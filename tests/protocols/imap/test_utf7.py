"""Modified UTF-7: one form for each name, both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import RemoteProtocolError
from protocols.imap.utf7 import decode, encode


@pytest.mark.parametrize(
    ("name", "octets"),
    [
        # RFC 3501 5.1.3's own
        ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
        ("Entwürfe", b"Entw&APw-rfe"),
        ("A & B", b"A &- B"),
        ("", b""),
        ("💌", b"&2D3cjA-"),
    ],
)
def test_names_as_they_travel(name: str, octets: bytes) -> None:
    assert encode(name) == octets
    assert decode(octets) == name


@pytest.mark.parametrize(
    "octets",
    [
        b"&",
        b"&U,BTFw",  # not ended
        b"&AGE-",  # printable ASCII in a shift
        b"&U,BT-&Fw-",  # cut in the middle
        b"&ZeVnLIqe-&U,BTFw-",  # two shifts in a row
        b"&U/BTFw-",  # the wrong alphabet
        b"&2D0-",  # half a surrogate pair
        "Entwürfe".encode(),
        b"a\x00b",
        b"&APx-",  # padding bits that are not 0
    ],
)
def test_other_spellings_are_refused(octets: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(octets)


@given(st.text())
def test_every_name_comes_back(name: str) -> None:
    assert decode(encode(name)) == name


@given(st.binary())
def test_what_decodes_was_encoded_so(octets: bytes) -> None:
    try:
        name = decode(octets)
    except RemoteProtocolError:
        return
    assert encode(name) == octets
