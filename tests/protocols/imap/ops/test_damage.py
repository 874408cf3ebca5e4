"""Messages whose octets are damaged on the node that is asked: never left out in silence, never
passed off for others, and the connection goes on where it can (RFC 5530 3 CORRUPTION)."""

from collections.abc import AsyncIterator

import pytest

from protocols.ports import READ_BYTES_MAX, Damaged
from storage.ids import BlobId, blob_id
from storage.mail import mailboxes
from storage.mail.moves import plan_expunge
from tests.protocols.imap.stage import Stage, mail, open_stage

CORRUPTION = b"t NO [CORRUPTION] Part of this mail is damaged here and being mended"


class Rot:
    """Damages blobs of a house, from some octet on, and mends them."""

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        self._read = stage.house.blobs.read
        self.bad: dict[BlobId, int] = {}
        monkeypatch.setattr(stage.house.blobs, "read", self.read)

    def read(self, blob: BlobId, start: int, length: int) -> bytes:
        if start + length > self.bad.get(blob, start + length):
            raise Damaged("rotten")
        return self._read(blob, start, length)

    def spoil(self, message: bytes, sound: int = 0) -> None:
        """All but the first octets can be read no more."""
        self.bad[blob_id(message)] = sound


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        yield opened


@pytest.fixture
def rot(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Rot:
    return Rot(stage, monkeypatch)


def messages(stage: Stage, rot: Rot) -> None:
    """Three messages, the second of them damaged."""
    found = [mail(f"number {number}", "Hi.\r\n") for number in range(3)]
    for message in found:
        stage.deliver(message)
    rot.spoil(found[1])


async def test_fetch_tells_the_others_and_of_the_damaged_one_what_it_can(
    stage: Stage, rot: Rot
) -> None:
    messages(stage, rot)
    client = await stage.reader()
    lines = await client.ask(b"UID FETCH 1:3 BODY.PEEK[TEXT]")
    assert lines == [
        b"* 1 FETCH (UID 1 BODY[TEXT] {5}",
        b"Hi.",
        b")",
        b"* 2 FETCH (UID 2)",
        b"* 3 FETCH (UID 3 BODY[TEXT] {5}",
        b"Hi.",
        b")",
        CORRUPTION,
    ]
    # without anything else to tell, nothing is told of it; of several sections none
    lines = await client.ask(b"FETCH 1:2 BODY.PEEK[]")
    assert [line for line in lines if line.startswith(b"*")] == [b"* 1 FETCH (BODY[] {152}"]
    assert lines[-1] == CORRUPTION
    lines = await client.ask(b"FETCH 2 (RFC822.SIZE BODY.PEEK[HEADER] BINARY.PEEK[1])")
    assert lines == [b"* 2 FETCH (RFC822.SIZE 152)", CORRUPTION]
    # what is in the rows is as it was
    assert (await client.ask(b"FETCH 2 ENVELOPE"))[-1] == b"t OK FETCH completed"
    rot.bad.clear()
    assert (await client.ask(b"FETCH 2 BODY.PEEK[]"))[-1] == b"t OK FETCH completed"


async def test_an_answer_that_is_on_its_way_ends_with_the_connection(
    stage: Stage, rot: Rot
) -> None:
    message = mail("large", "x" * 3 * READ_BYTES_MAX)
    stage.deliver(message)
    client = await stage.reader()
    rot.spoil(message, 2 * READ_BYTES_MAX)
    await client.say(b"a FETCH 1 BODY.PEEK[]")
    assert (await client.line()).startswith(b"* 1 FETCH (BODY[] {")
    with pytest.raises(EOFError):
        await client.take(3 * READ_BYTES_MAX)


async def test_two_sections_of_which_the_second_is_damaged_are_taken_back(
    stage: Stage, rot: Rot
) -> None:
    message = mail("half", "Hi.\r\n")
    stage.deliver(message)
    client = await stage.reader()
    rot.spoil(message, message.index(b"\r\n\r\n") + 4)
    assert await client.ask(b"FETCH 1 (UID BODY.PEEK[HEADER] BODY.PEEK[TEXT])") == [
        b"* 1 FETCH (UID 1)",
        CORRUPTION,
    ]


@pytest.mark.parametrize(
    "search", [b"TEXT hi", b"BODY hi", b"NOT BODY hi", b"HEADER X-Odd hi", b"NOT HEADER X-Odd hi"]
)
async def test_a_search_does_not_take_a_message_it_cannot_read_for_one_that_does_not_match(
    stage: Stage, rot: Rot, search: bytes
) -> None:
    messages(stage, rot)
    client = await stage.reader()
    await client.ask(b"SEARCH RETURN (SAVE) ALL")
    assert await client.ask(b"SEARCH RETURN (SAVE) " + search) == [CORRUPTION]
    assert await client.ask(b"FETCH $ UID") == [b"t OK FETCH completed"]  # RFC 9051 6.4.4.1
    assert await client.ask(b"SORT (DATE) UTF-8 " + search) == [CORRUPTION]
    # what need not be read is found
    assert (await client.ask(b"SEARCH 1 " + search))[-1] == b"t OK SEARCH completed"
    assert (await client.ask(b"SEARCH SUBJECT number"))[0] == b"* SEARCH 1 2 3"
    rot.bad.clear()
    assert (await client.ask(b"SEARCH " + search))[-1] == b"t OK SEARCH completed"


async def test_updates_of_a_search_end_when_they_can_no_more_be_known(
    stage: Stage, rot: Rot
) -> None:
    client = await stage.reader()
    await client.ask(b"SEARCH RETURN (UPDATE) BODY hi", b"s")
    await client.ask(b"SEARCH RETURN (UPDATE) SUBJECT number", b"u")
    messages(stage, rot)
    assert await client.ask(b"NOOP") == [
        b"* 3 EXISTS",
        b'* NO [NOUPDATE "s"] A message is damaged here',
        b'* ESEARCH (TAG "u") ADDTO (0 1:3)',
        b"t OK NOOP completed",
    ]
    assert (await client.ask(b'CANCELUPDATE "s"'))[-1].startswith(b"t BAD")


async def test_news_of_a_damaged_message_is_told_without_its_sections(
    stage: Stage, rot: Rot
) -> None:
    client = await stage.reader()
    await client.ask(b"NOTIFY SET (selected (MessageNew (FLAGS BODY.PEEK[TEXT]) MessageExpunge))")
    message = mail("one", "Hi.\r\n")
    rot.spoil(message)
    stage.deliver(message)
    assert await client.line() == b"* 1 EXISTS"
    assert await client.line() == b"* 1 FETCH (FLAGS () UID 1)"


async def test_what_is_made_of_a_damaged_message_is_not_made(stage: Stage, rot: Rot) -> None:
    messages(stage, rot)
    client = await stage.reader()
    url = b"/INBOX/;UID=2"
    ending = (await client.ask(b'APPEND INBOX CATENATE (URL "' + url + b'")'))[-1]
    assert ending == CORRUPTION
    assert (await client.ask(b"STATUS INBOX (MESSAGES)"))[0] == b"* STATUS INBOX (MESSAGES 3)"


async def test_octets_that_are_nowhere_though_the_message_is_there_are_damage_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.deliver(mail("one"))

    def nowhere(*_: object) -> bytes:
        raise KeyError

    monkeypatch.setattr(stage.house.blobs, "read", nowhere)
    client = await stage.reader()
    assert await client.ask(b"SEARCH TEXT hello") == [CORRUPTION]
    assert await client.ask(b"SEARCH HEADER X-Odd x") == [CORRUPTION]
    assert await client.ask(b"UID FETCH 1 BODY.PEEK[]") == [b"* 1 FETCH (UID 1)", CORRUPTION]


async def test_a_message_that_is_expunged_while_it_is_read_is_gone_and_not_damaged(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.fill(2)
    client = await stage.reader()
    house, real = stage.house, stage.house.blobs.read
    inbox = mailboxes.by_role(house.view(), stage.alice, "inbox")
    assert inbox is not None

    def collected(blob: BlobId, start: int, length: int) -> bytes:
        monkeypatch.setattr(house.blobs, "read", real)
        house.run(lambda plan: plan_expunge(plan, stage.alice, inbox.id, [1]))
        raise KeyError(blob)

    monkeypatch.setattr(house.blobs, "read", collected)
    lines = await client.ask(b"UID FETCH 1:2 BODY.PEEK[TEXT]")
    assert [line for line in lines if line.startswith((b"*", b"t"))] == [
        b"* 2 FETCH (UID 2 BODY[TEXT] {8}",
        b"* 1 EXPUNGE",
        b"t OK FETCH completed",
    ]
