"""The grammar that listens in all tests of this door: it refuses what it should, and every odd
message that we have is told in words that it allows."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.protocols.imap.grammar import Heard
from tests.protocols.imap.stage import Client, open_stage
from tests.protocols.mime.odd_messages import ODD_MESSAGES

SAMPLES: Final = Path(__file__).resolve().parents[4] / "shared" / "corpora" / "eml"
ITEMS: Final = (
    b"UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE PREVIEW SAVEDATE EMAILID"
    b" THREADID BODY.PEEK[HEADER.FIELDS (SUBJECT X-None)] BODY.PEEK[1.MIME]"
)
TAG: Final = b"the.end.of.it"

RIGHT = (
    b"* OK [CAPABILITY IMAP4rev2 IMAP4rev1 AUTH=PLAIN] ready\r\n",
    b"* 12 FETCH (FLAGS (\\Seen $Work) UID 7 MODSEQ (9))\r\n",
    b'* 1 FETCH (BODY[HEADER.FIELDS (TO "X Y")]<0> {2}\r\n)) BODY[] NIL)\r\n',
    b'* LIST (\\HasChildren) "/" "a b"\r\n* LIST () NIL x ("OLDNAME" (y))\r\n',
    b"* THREAD (2)(3 6 (4 23)(44 7 96))\r\n* SEARCH\r\n* SORT 5 3 (MODSEQ 7)\r\n",
    b'* ESEARCH (TAG "a") UID MIN 1 ALL 1:3,9 COUNT 4 PARTIAL (-1:-100 NIL)\r\n',
    b"+ \r\n+ c2VjcmV0\r\n+ go on\r\na1 NO [BADCHARSET (UTF-8)] what\r\n",
    b'* METADATA INBOX (/private/comment "x" /shared/a NIL)\r\n',
    b'* ENABLED IMAP4rev2\r\n* OK gr\xc3\xbcn\r\n* STATUS "gr\xc3\xbcn" (MESSAGES 0)\r\n',
)
WRONG = (
    (b"* OK\r\n", "no text"),
    (b"* OK  two\r\n\r\n", "an empty line"),
    (b"* OK [NONSENSE] text\r\n", "an unknown code"),
    (b"* OK [UIDNEXT 0] text\r\n", "a zero"),
    (b"* OK gr\xc3\xbcn\r\n", "UTF-8 before it was enabled"),
    (b"* WHATEVER 1\r\n", "an unknown response"),
    (b"* 0 FETCH (UID 1)\r\n", "message 0"),
    (b"* 1 FETCH ()\r\n", "nothing told"),
    (b"* 1 FETCH (UID 1  FLAGS ())\r\n", "two spaces"),
    (b"* 1 FETCH (UID 1 UID 1)\r\n", "an item twice"),
    (b"* 1 FETCH (UID 4294967296)\r\n", "33 bits"),
    (b'* 1 FETCH (INTERNALDATE "1-Jan-2026 00:00:00 +0000")\r\n', "a short date"),
    (b'* 1 FETCH (BODY ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 3))\r\n', "a text without lines"),
    (b'* 1 FETCH (BODY ("A" "B" NIL NIL NIL NIL 3))\r\n', "NIL for an encoding"),
    (b'* 1 FETCH (BODY ("A" "B" NIL NIL NIL "7BIT" 3 NIL))\r\n', "extension data in BODY"),
    (b'* 1 FETCH (BODY ("A" "B" ("c") NIL NIL "7BIT" 3))\r\n', "a name without a value"),
    (b"* 1 FETCH (BODY (NIL NIL))\r\n", "a body of nothing"),
    (b"* 1 FETCH (ENVELOPE (NIL NIL () NIL NIL NIL NIL NIL NIL NIL))\r\n", "no addresses"),
    (b'* LIST (\\HasChildren \\HasNoChildren) "/" a\r\n', "both"),
    (b'* LIST (\\NonExistent \\Noselect) "/" a\r\n', "two of mbx-list-sflag"),
    (b'* LIST () "/" inbox\r\n', "the inbox in another case"),
    (b'* LIST () "/" "a&b"\r\n', "no UTF-7"),
    (b"* THREAD (1 (2))\r\n", "one branch is no branch"),
    (b"* VANISHED \r\n", "an empty set"),
    (b'* ESEARCH (TAG "a") ALL *\r\n', "a star from a server"),
    (b"+\r\n", "a plus alone"),
    (b"a+1 OK done\r\n", "a plus in a tag"),
)


@pytest.mark.parametrize("octets", RIGHT)
def test_what_the_rfcs_print_is_allowed(octets: bytes) -> None:
    heard = Heard()
    for at in range(len(octets)):
        heard.feed(octets[at : at + 1])
    ends = [found.end() for found in re.finditer(rb"(?<!\})\r\n", octets)]
    assert heard.count == len(ends)


@pytest.mark.parametrize(("octets", "why"), WRONG)
def test_what_is_out_of_order_is_refused(octets: bytes, why: str) -> None:
    with pytest.raises(AssertionError, match="RFC 9051 9"):
        Heard().feed(octets)
    assert why


async def hear(client: Client, command: bytes) -> bytes:
    """Send it; the line that ends it. What is between the grammar has heard."""
    await client.say(b"%b %b" % (TAG, command))
    while not (line := await client.line()).startswith(TAG + b" "):
        pass
    return line


@pytest.mark.parametrize("enabled", [b"", b"ENABLE IMAP4rev2", b"ENABLE UTF8=ACCEPT"])
async def test_every_odd_message_is_told_in_words_of_the_grammar(enabled: bytes) -> None:
    samples = [path.read_bytes() for path in sorted(SAMPLES.glob("*.eml"))]
    async with open_stage() as stage:
        for message in [*dict(ODD_MESSAGES).values(), *samples]:
            stage.deliver(message)
        client = stage.connect()
        await client.login()
        if enabled:
            assert b" OK " in await hear(client, enabled)
        await client.select()
        assert b" OK " in await hear(client, b"FETCH 1:* (%b)" % ITEMS)
        assert b" OK " in await hear(client, b"FETCH 1:* (BODY[] BINARY.PEEK[])")
        for number in range(1, len(ODD_MESSAGES) + len(samples) + 1):
            ending = await hear(client, b"FETCH %d (BINARY.SIZE[1] BINARY.PEEK[1])" % number)
            assert b" OK " in ending or b" NO [UNKNOWN-CTE] " in ending, number
        for method in (b"REFERENCES", b"ORDEREDSUBJECT", b"REFS"):
            assert b" OK " in await hear(client, b"UID THREAD %b UTF-8 ALL" % method)
