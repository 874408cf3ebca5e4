"""SEARCH in what messages say: encoded headers, encoded bodies, messages in messages."""

import base64

import pytest

from tests.protocols.imap.stage import open_stage

ENCODED = (
    b"From: =?utf-8?q?J=C3=B6rg?= <j@example.org>\r\nSubject: =?iso-8859-1?q?Gr=FC=DFe?=\r\n"
    b"X-Tag: =?utf-8?b?w4RwZmVs?=\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes("schöne Äpfel".encode())
)
FORWARDED = (
    b"Subject: forwarded\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n"
    b"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    b"S\xfc\xdfe Birnen\r\n"
)
IN_PARTS = (
    b"Subject: two parts\r\nTo: the crew: a@x, b@y;\r\nCc: nobody:;\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nfirst\r\n"
    b"--b\r\nContent-Type: application/octet-stream; name=crate.bin\r\n\r\npears\r\n--b\r\n"
    b"Content-Type: text/html\r\n\r\n<b>second</b>\r\n--b--\r\n"
)
LETTERS = (ENCODED, FORWARDED, IN_PARTS)


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ('FROM "JÖRG"', [1]),
        ("FROM j@example", [1]),
        ('SUBJECT "GRÜß"', [1]),
        ('SUBJECT "GRÜSSE"', []),  # RFC 5051: a sharp s is no two letters
        ('HEADER X-Tag "Äpfel"', [1]),
        ('BODY "äpfel"', [1]),
        ('BODY "süße BIRNEN"', [2]),
        ("BODY inner", []),
        ("TEXT forwarded", [2]),
        # RFC 9051 6.4.4: MIME header fields are header, an embedded message's header is body
        ("TEXT inner", [2]),
        ("TEXT crate.bin", [3]),
        ("NOT TEXT octet-stream", [1, 2]),
        ("BODY crate.bin", []),
        # RFC 9051 6.4.4, 7.5.2: the To field of the envelope structure tells a group's name
        ('TO "the CREW"', [3]),
        ("CC nobody", [3]),
        ("TO nobody", []),
        ("BODY pears", []),
        ("BODY second NOT BODY third", [3]),
        ('BODY "first second"', []),
        ("OR BODY second SUBJECT forw", [2, 3]),
        ("NOT TEXT e", []),
    ],
)
async def test_what_is_found(key: str, found: list[int]) -> None:
    async with open_stage() as stage:
        for letter in LETTERS:
            stage.deliver(letter)
        client = await stage.reader()
        line = (await client.ask(f"SEARCH CHARSET UTF-8 {key}".encode()))[0]
        assert [int(number) for number in line.split()[2:]] == found


async def test_all_slices_are_searched() -> None:
    async with open_stage() as stage:
        stage.fill(600)
        client = await stage.reader()
        line = (await client.ask(b'SEARCH RETURN (MIN MAX COUNT) TEXT "hello"'))[0]
        assert line == b'* ESEARCH (TAG "t") MIN 1 MAX 600 COUNT 600'
        line = (await client.ask(b"SEARCH 300:310 SUBJECT 30"))[0]
        assert line.split()[2:] == [b"%d" % n for n in (301, 302, *range(303, 311))]
