"""URLFETCH: what it says of a message and its parts, decoded or not, and with what metadata."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocols.imap import ImapDoor
from protocols.imap.core import LiteralRoom
from protocols.ports import READ_BYTES_MAX, Damaged
from tests.protocols.imap.stage import Client, Stage, mail, open_stage

MESSAGES = Path(__file__).resolve().parents[3] / "imap" / "dialogues"
SERVER = "imap://alice%40example.org@mail.example.org"
OF_FIELDS = b'("TEXT" "RFC822-HEADERS" NIL NIL NIL "7BIT" %d %d NIL NIL NIL NIL)'


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """UID 1 is structure.eml, UID 2 letter.eml."""
    async with open_stage() as found:
        for name in ("structure.eml", "letter.eml"):
            octets = (MESSAGES / name).read_bytes().replace(b"\r\n", b"\n")
            found.deliver(octets.replace(b"\n", b"\r\n"))
        yield found


async def log_in(stage: Stage) -> Client:
    client = stage.connect()
    await client.login()
    return client


async def make(client: Client, *parts: str) -> list[str]:
    """URLs of parts: `1/;section=2` and the like, for anyone."""
    urls = [f"{SERVER}/INBOX/;uid={part};urlauth=anonymous" for part in parts]
    lines = await client.ask(b"GENURLAUTH" + "".join(f' "{url}" INTERNAL' for url in urls).encode())
    assert lines[-1] == b"t OK GENURLAUTH completed", lines
    return [url.strip('"') for url in lines[0].decode().split(" ")[2:]]


async def fetch(client: Client, part: str, items: str = "") -> bytes:
    """What is said after the URL."""
    (url,) = await make(client, part)
    asked = f'("{url}"{" " if items else ""}{items})'
    await client.say(b"u URLFETCH " + asked.encode())
    said = bytearray()
    while not said.endswith(b"u OK URLFETCH completed\r\n"):
        said += await client.line() + b"\r\n"
    answer = bytes(said).removesuffix(b"\r\nu OK URLFETCH completed\r\n")
    start = f'* URLFETCH "{url}" '.encode()
    assert answer.startswith(start), answer
    return answer.removeprefix(start)


async def structure_of(client: Client, part: str, items: str = "BODYPARTSTRUCTURE") -> bytes:
    said = await fetch(client, part, items)
    assert said.startswith(b"(BODYPARTSTRUCTURE ")
    return said.removeprefix(b"(BODYPARTSTRUCTURE ").removesuffix(b")")


async def fetched(client: Client, items: bytes) -> bytes:
    """What FETCH of the message with UID 1 says."""
    lines = await client.ask(b"UID FETCH 1 " + items)
    return b"\r\n".join(lines[:-1])


# --- the data


@pytest.mark.parametrize(
    ("part", "section"),
    [
        ("1", b""),
        ("1/;section=HEADER", b"HEADER"),
        ("1/;section=HEADER.FIELDS%20(From%20Date)", b"HEADER.FIELDS (From Date)"),
        ("1/;section=TEXT", b"TEXT"),
        ("1/;section=4", b"4"),
        ("1/;section=4.MIME", b"4.MIME"),
        ("1;partial=7.30", b"<7.30>"),
        ("1/;section=4/;partial=3.4", b"4<3.4>"),
        ("1/;section=4/;partial=999", b"4<999.1>"),
    ],
)
async def test_it_says_what_fetch_says_and_marks_nothing_as_read(
    stage: Stage, part: str, section: bytes
) -> None:
    client = await stage.reader()
    part = part.replace("1;", "1/;")
    name, mark, partial = section.partition(b"<")
    asked = b"(BODY.PEEK[%b]%b%b)" % (name, mark, partial)
    expected = (await fetched(client, asked)).partition(b"] ")[2]
    if mark:
        expected = (await fetched(client, asked)).partition(b"> ")[2]
    expected = expected.removesuffix(b" UID 1)").removesuffix(b")")
    for items in ("", "BODY"):
        said = await fetch(client, part, items)
        data = said.removeprefix(b"(BODY ").removesuffix(b")") if items else said
        assert data == expected
    assert b"\\Seen" not in await fetched(client, b"FLAGS")


async def test_several_urls_stand_in_one_response(stage: Stage) -> None:
    client = await log_in(stage)
    one, other, gone = await make(client, "1/;section=3", "2/;section=1", "9")
    lines = await client.ask(f'URLFETCH "{one}" "{gone}" ("{other}" BINARY)'.encode())
    assert lines == [
        f'* URLFETCH "{one}" {{1}}'.encode(),
        f'? "{gone}" NIL "{other}" (BINARY {{5}}'.encode(),
        b"caf\xc3\xa9)",
        b"t OK URLFETCH completed",
    ]


async def test_no_mailbox_need_be_selected_and_the_selected_one_stays(stage: Stage) -> None:
    client = await stage.reader("Drafts")
    assert await fetch(client, "1/;section=3") == b"{1}\r\n?"
    assert (await client.ask(b"FETCH 1 FLAGS"))[-1].startswith(b"t BAD ")  # Drafts is empty


@pytest.mark.parametrize("part", ["9", "1/;section=7", "1/;section=1.1", "1/;section=1.HEADER"])
@pytest.mark.parametrize("items", ["", "BODY", "BINARY BODYPARTSTRUCTURE"])
async def test_what_is_not_there_is_nil_and_no_more(stage: Stage, part: str, items: str) -> None:
    assert await fetch(await log_in(stage), part, items) == b"NIL"


# --- BINARY


async def test_binary_has_its_encoding_undone(stage: Stage) -> None:
    client = await log_in(stage)
    assert await fetch(client, "1/;section=4", "BINARY") == b"(BINARY {13}\r\none line\r\ntwo)"
    assert await fetch(client, "1/;section=2", "BINARY") == b"(BINARY ~{4}\r\n\0\1\2\3)"
    assert await fetch(client, "1/;section=2/;partial=1.2", "BINARY") == b"(BINARY {2}\r\n\1\2)"
    assert await fetch(client, "1/;section=1", "BINARY") == b"(BINARY {4}\r\ncafe)"
    assert await fetch(client, "2/;section=2.2", "binary") == b"(BINARY {11}\r\n<b>html</b>)"


async def test_what_cannot_be_decoded_is_nil_beside_its_structure(stage: Stage) -> None:
    client = await log_in(stage)
    said = await fetch(client, "1/;section=3", "BODYPARTSTRUCTURE BINARY")
    assert said == (
        b'(BODYPARTSTRUCTURE ("TEXT" "PLAIN" NIL NIL NIL "X-UNHEARD-OF" 1 0 NIL NIL NIL NIL))'
        b" (BINARY NIL)"
    )
    assert await fetch(client, "1/;section=3", "BINARY") == b"(BINARY NIL)"
    assert await fetch(client, "1/;section=3", "BODY") == b"(BODY {1}\r\n?)"


@pytest.mark.parametrize("part", ["1", "1/;section=TEXT", "1/;section=2.MIME", "2/;section=2"])
async def test_what_has_no_encoding_of_its_own_is_as_it_is(stage: Stage, part: str) -> None:
    client = await log_in(stage)
    body = (await fetch(client, part, "BODY")).removeprefix(b"(BODY ")
    assert await fetch(client, part, "BINARY") == b"(BINARY " + body


@pytest.mark.parametrize("nul", [False, True])
async def test_only_what_holds_nul_is_a_literal8_however_large(stage: Stage, nul: bool) -> None:
    body = b"x" * READ_BYTES_MAX + (b"\0" if nul else b"y")
    stage.deliver(b"Content-Transfer-Encoding: 8bit\r\n\r\n" + body)
    client = await log_in(stage)
    said = await fetch(client, "3/;section=1", "BINARY")
    assert said == b"(BINARY %b{%d}\r\n%b)" % (b"~" if nul else b"", len(body), body)
    rest = await fetch(client, "3/;section=1/;partial=5", "BINARY")
    assert rest.startswith(b"(BINARY ~{" if nul else b"(BINARY {")


async def test_what_is_decoded_counts_against_the_doors_room(stage: Stage) -> None:
    room = LiteralRoom(4096)
    stage.door = ImapDoor(stage.house.ports, room=room)
    client = await log_in(stage)
    urls = await make(client, "1/;section=2")
    await fetch(client, "1/;section=2", "BINARY")
    assert room.free == 4096
    room.free = 0
    ending = await client.ask(f'URLFETCH "x" ("{urls[0]}" BINARY)'.encode())
    assert ending == [
        b'* URLFETCH "x" NIL',
        b"t NO [UNAVAILABLE] The service cannot answer now; try again",
    ]
    room.free = 4096


# --- BODYPARTSTRUCTURE


async def test_the_structure_of_a_part_is_as_in_that_of_the_message(stage: Stage) -> None:
    client = await stage.reader()
    whole = (await fetched(client, b"BODYSTRUCTURE")).partition(b"BODYSTRUCTURE ")[2]
    for part in ("1/;section=1", "1/;section=2", "1/;section=4", "1/;section=4/;partial=0.1"):
        assert await structure_of(client, part) in whole
    assert await structure_of(client, "1/;section=2") == (
        b'("APPLICATION" "OCTET-STREAM" ("NAME" "a long name.bin") NIL NIL "BASE64" 8 NIL'
        b' ("ATTACHMENT" ("FILENAME*" "utf-8\'\'caf%C3%A9.bin")) NIL NIL)'
    )
    for part in ("1", "1/;section=TEXT"):
        assert await structure_of(client, part) + b")" == whole.replace(b" UID 1)", b")")


async def test_the_structure_of_what_is_decoded_says_so(stage: Stage) -> None:
    client = await log_in(stage)
    said = await fetch(client, "1/;section=4", "BINARY BODYPARTSTRUCTURE")
    assert said == (
        b'(BODYPARTSTRUCTURE ("TEXT" "PLAIN" NIL NIL NIL "BINARY" 13 1 NIL NIL NIL NIL))'
        b" (BINARY {13}\r\none line\r\ntwo)"
    )
    said = await fetch(client, "1/;section=4", "BODYPARTSTRUCTURE BODY")
    assert said == (
        b'(BODYPARTSTRUCTURE ("TEXT" "PLAIN" NIL NIL NIL "QUOTED-PRINTABLE" 16 2 NIL NIL NIL NIL))'
        b" (BODY {16}\r\none=\r\n line\r\ntwo)"
    )


async def test_the_structure_of_what_is_in_a_message_in_a_message(stage: Stage) -> None:
    client = await log_in(stage)
    part = await structure_of(client, "2/;section=2")
    assert part.startswith(b'("MESSAGE" "RFC822" NIL NIL "inner" "7BIT" ')
    held = await structure_of(client, "2/;section=2.TEXT")
    assert held in part
    assert held.startswith(b'(("TEXT" "PLAIN" ')
    assert await structure_of(client, "2/;section=2.2") == (
        b'("TEXT" "HTML" NIL NIL NIL "7BIT" 11 0 NIL NIL NIL NIL)'
    )


@pytest.mark.parametrize(
    ("part", "octets", "lines"),
    [
        ("2/;section=2.HEADER", 92, 4),
        ("2/;section=2.MIME", 60, 3),
        ("2/;section=HEADER.FIELDS%20(To)", 31, 2),
    ],
)
async def test_the_structure_of_fields_is_that_of_a_text(
    stage: Stage, part: str, octets: int, lines: int
) -> None:
    client = await log_in(stage)
    assert await structure_of(client, part) == OF_FIELDS % (octets, lines)
    assert (await fetch(client, part)).startswith(b"{%d}" % octets)


# --- the grammar


@pytest.mark.parametrize(
    "asked",
    [
        b"",
        b"(x BINARY BODY)",
        b"(x BODY BODY)",
        b"(x BINARY BINARY)",
        b"(x FROB)",
        b"(x BODY",
        b"x)",
        b'""',
        b"()",
        b"x  x",
    ],
)
async def test_what_is_no_urlfetch(stage: Stage, asked: bytes) -> None:
    client = await log_in(stage)
    assert (await client.ask(b"URLFETCH " + asked))[-1].startswith(b"t BAD ")


@pytest.mark.parametrize("fault", [KeyError, Damaged])
async def test_one_that_goes_away_while_it_is_sent_ends_the_connection(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
) -> None:
    stage.deliver(mail("large", "x" * 3 * READ_BYTES_MAX))
    client = await log_in(stage)
    (url,) = await make(client, "3")
    read, count = stage.house.blobs.read, 0

    def twice(*asked: object) -> bytes:
        nonlocal count
        count += 1
        if count > 2:
            raise fault
        found: bytes = read(*asked)  # type: ignore[arg-type]
        return found

    monkeypatch.setattr(stage.house.blobs, "read", twice)
    await client.say(f'u URLFETCH "{url}"'.encode())
    with pytest.raises(EOFError):
        while True:
            await client.take(4096)
