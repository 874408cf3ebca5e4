"""SORT and THREAD over a mailbox: what each connection is told, numbers and UIDs."""

import pytest

from protocols.imap.ops import sort
from tests.protocols.imap.stage import open_stage


def letter(
    subject: str, *, day: int, own: str = "", references: str = "", sender: str = "bob"
) -> bytes:
    fields = [
        f"From: {sender.title()} <{sender}@example.net>",
        "To: alice@example.org",
        f"Subject: {subject}",
        f"Date: {day} Nov 2026 10:00:00 +0000",
        f"Message-ID: <{own or subject.replace(' ', '.')}@example.net>",
    ]
    if references:
        fields.append("References: " + " ".join(f"<{r}@example.net>" for r in references.split()))
    return ("\r\n".join(fields) + f"\r\n\r\n{'x' * day}\r\n").encode()


LETTERS = (
    letter("tea", day=5, own="1", sender="carol"),
    letter("Re: tea", day=7, own="2", references="1"),
    letter("Milk", day=1, own="3", sender="alice"),
    letter("Re: tea", day=6, own="4", references="1"),
    letter("AW: milk", day=9, own="5", sender="dave"),
)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (b"SORT (DATE) UTF-8 ALL", b"* SORT 3 1 4 2 5"),
        (b"SORT (REVERSE DATE) US-ASCII ALL", b"* SORT 5 2 4 1 3"),
        (b"SORT (SUBJECT DATE) utf-8 ALL", b"* SORT 5 3 1 4 2"),
        (b"SORT (FROM REVERSE SIZE) UTF-8 2:4", b"* SORT 3 2 4"),
        (b"SORT (DISPLAYFROM) UTF-8 SUBJECT milk", b"* SORT 3 5"),
        (b"SORT (ARRIVAL) UTF-8 SUBJECT nothing", b"* SORT"),
        (b"UID SORT (DATE) UTF-8 UID 2:*", b"* SORT 3 4 2 5"),
        (b"SORT RETURN (MIN MAX COUNT) (DATE) UTF-8 ALL",
         b'* ESEARCH (TAG "t") MIN 3 MAX 5 COUNT 5'),
        (b"SORT RETURN () (REVERSE DATE) UTF-8 ALL", b'* ESEARCH (TAG "t") ALL 5,2,4,1,3'),
        (b"UID SORT RETURN (ALL) (ARRIVAL) UTF-8 ALL", b'* ESEARCH (TAG "t") UID ALL 1:5'),
        (b"THREAD REFERENCES UTF-8 ALL", b"* THREAD (3)(1 (4)(2))(5)"),
        (b"THREAD REFS UTF-8 ALL", b"* THREAD (3)(1 (4)(2))(5)"),
        (b"THREAD REFS UTF-8 1:3", b"* THREAD (1 2)(3)"),
        (b"UID THREAD REFS UTF-8 2,4", b"* THREAD ((4)(2))"),
        (b"THREAD ORDEREDSUBJECT UTF-8 ALL", b"* THREAD (3)(1 (4)(2))(5)"),
        (b"THREAD REFERENCES UTF-8 2,4", b"* THREAD ((4)(2))"),
        (b"UID THREAD REFERENCES UTF-8 FROM nobody", b"* THREAD"),
    ],
)  # fmt: skip
async def test_what_is_told(asked: bytes, told: bytes) -> None:
    async with open_stage() as stage:
        for one in LETTERS:
            stage.deliver(one)
            stage.house.clock.pass_s(1)
        client = await stage.reader()
        assert (await client.ask(asked))[0] == told


async def test_what_was_sorted_is_saved_and_tells_its_modseq() -> None:
    async with open_stage() as stage:
        for one in LETTERS:
            stage.deliver(one)
        client = await stage.reader()
        answer = await client.ask(b"SORT RETURN (SAVE MIN) (REVERSE DATE) UTF-8 ALL")
        assert answer[0] == b'* ESEARCH (TAG "t") MIN 5'
        assert (await client.ask(b"SEARCH $"))[0] == b"* SEARCH 5"
        lines = await client.ask(b"SORT (DATE) UTF-8 MODSEQ 1 1:2")
        told = next(line for line in lines if line.startswith(b"* SORT"))
        assert told.startswith(b"* SORT 1 2 (MODSEQ ")


@pytest.mark.parametrize(
    "asked",
    [
        b"SORT () UTF-8 ALL",
        b"SORT (COLOUR) UTF-8 ALL",
        b"SORT (REVERSE) UTF-8 ALL",
        b"SORT (DATE) ALL",
        b"SORT (" + b" ".join([b"DATE"] * 21) + b") UTF-8 ALL",
        b"THREAD MAGIC UTF-8 ALL",
        b"THREAD REFERENCES UTF-8",
    ],
)
async def test_what_is_refused(asked: bytes) -> None:
    async with open_stage() as stage:
        client = await stage.reader()
        assert (await client.ask(asked))[-1].split()[1] in (b"BAD", b"NO")


async def test_a_charset_we_do_not_know() -> None:
    async with open_stage() as stage:
        client = await stage.reader()
        assert b"NO [BADCHARSET" in (await client.ask(b"SORT (DATE) KOI8-R ALL"))[-1]


async def test_many_messages_are_threaded_beside_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sort, "THREADED_HERE_MAX", 3)
    async with open_stage() as stage:
        for one in LETTERS:
            stage.deliver(one)
        client = await stage.reader()
        told = (await client.ask(b"THREAD REFERENCES UTF-8 ALL"))[0]
        assert told == b"* THREAD (3)(1 (4)(2))(5)"
