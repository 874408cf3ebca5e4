"""Sending: to each once, without Bcc, and what became of it."""

from collections.abc import Sequence

import pytest

from protocols.submitting import ACCOUNTS_MAX, without_fields
from storage.ids import AccountId, BlobId, blob_id
from storage.mail.mailboxes import by_role
from storage.mail.messages import ALL_MAIL, by_date, meta
from storage.mail.quota import plan_limit
from storage.submissions import Recipient, Submission, get_submission, plan_cancel, plan_create
from storage.uploads import plan_upload
from tests.fakes import FakeHouse, make_house

ALICE, BOB = "alice@example.org", "bob@example.org"
MESSAGE = (
    b"From: alice@example.org\r\nBcc: hidden@example.org,\r\n more@example.org\r\n"
    b"Date: Sun, 1 Nov 2026 10:00:00 +0100\r\nMessage-ID: <a@x>\r\n\r\nBcc: body\r\n"
)


class Story:
    """Alice's house, and a submission of hers."""

    def __init__(self, people: Sequence[str] = (ALICE, BOB)) -> None:
        self.house: FakeHouse = make_house(dict.fromkeys(people, "x"))
        self.alice = self.house.accounts[ALICE]

    def submit(self, *recipients: str, message: bytes = MESSAGE) -> int:
        blob = blob_id(message)
        submission = Submission(
            1, 1, 1, blob, ALICE, None, tuple(Recipient(each) for each in recipients), 0, 0
        )

        def command(plan: object) -> int:
            plan_upload(plan, self.alice, blob, len(message), octets_max=10**9)  # type: ignore
            return plan_create(plan, self.alice, submission)  # type: ignore[arg-type]

        return self.house.run(command, blobs=[message])

    async def send(self, number: int) -> int:
        """How many commands it took."""
        ports = self.house.ports
        return len(await ports.submitter.send(ports, self.alice, number))

    def status(self, number: int) -> dict[str, str]:
        held = get_submission(self.house.engine, self.alice, number)
        assert held is not None
        return {each.email: each.reply[:9] for each in held.recipients}

    def received(self, address: str) -> list[bytes]:
        """The messages in an inbox."""
        account = self.house.accounts[address]
        inbox = by_role(self.house.engine, account, "inbox")
        assert inbox is not None
        found = by_date(self.house.engine, account, inbox.id, newest_first=False, limit=None)
        return [self._read(account, email) for _, email, _ in found]

    def _read(self, account: AccountId, email: int) -> bytes:
        held = meta(self.house.engine, account, email)  # type: ignore[arg-type]
        assert held is not None
        return self.house.blobs.read(BlobId(held.blob), 0, 100_000)


async def test_it_comes_to_each_inbox_once_and_hides_who_is_hidden() -> None:
    story = Story()
    number = story.submit(BOB, "Bob+x@example.org", ALICE)
    assert await story.send(number) == 1
    (message,) = story.received(BOB)
    assert message.startswith(b"Return-Path: <alice@example.org>\r\nReceived: by mail.example.org ")
    assert b"hidden" not in message and b"more@" not in message
    assert message.endswith(b"\r\n\r\nBcc: body\r\n") and message.count(b"Date: ") == 1
    assert len(story.received(ALICE)) == 1
    assert set(story.status(number).values()) == {"250 2.1.5"}
    assert await story.send(number) == 0 and len(story.received(BOB)) == 1


async def test_who_cannot_have_it_has_an_answer() -> None:
    story = Story()
    story.house.run(lambda plan: plan_limit(plan, story.house.accounts[BOB], 10))
    number = story.submit("someone@elsewhere.example", BOB, ALICE)
    await story.send(number)
    assert story.status(number) == {
        "someone@elsewhere.example": "550 5.4.4",
        BOB: "552 5.2.2",
        ALICE: "250 2.1.5",
    }


async def test_many_take_several_commands() -> None:
    people = [ALICE, *(f"u{n}@example.org" for n in range(ACCOUNTS_MAX + 1))]
    story = Story(people)
    number = story.submit(*people[1:])
    assert await story.send(number) == 2
    assert all(len(story.received(each)) == 1 for each in people[1:])


async def test_a_rival_that_was_faster_changes_nothing() -> None:
    story = Story()
    number = story.submit(BOB)
    story.house.conflicts = 2
    assert await story.send(number) == 1
    assert len(story.received(BOB)) == 1
    canceled = story.submit(BOB)
    story.house.run(lambda plan: plan_cancel(plan, story.alice, canceled))
    assert await story.send(canceled) == 0 and await story.send(99) == 0
    assert len(story.received(BOB)) == 1


async def test_fields_that_must_be_there_are_added() -> None:
    story = Story()
    await story.send(story.submit(BOB, message=b"From: alice@example.org\r\n\r\n"))
    (message,) = story.received(BOB)
    assert b"\r\nDate: " in message and b"\r\nMessage-ID: <s1.1@mail.example.org>" in message


async def test_a_message_is_handed_over_without_a_submission() -> None:
    story = Story()
    ports = story.house.ports
    told = await ports.submitter.hand_over(
        ports, story.alice, "", [BOB, "x@elsewhere.example"], MESSAGE
    )
    assert told[BOB] == ("yes", "250 2.1.5 delivered")
    assert told["x@elsewhere.example"][0] == "no"
    assert story.received(BOB)[0].startswith(b"Return-Path: <>\r\n")
    found = by_date(story.house.engine, story.alice, ALL_MAIL, newest_first=True, limit=1)
    assert found == []


@pytest.mark.parametrize(
    ("message", "left"),
    [
        (b"A: 1\r\nBCC: x\r\nB: 2\r\n\r\nBcc: y", b"A: 1\r\nB: 2\r\n\r\nBcc: y"),
        (b"Bcc: x\n y\nA: 1\nbcc : z\n\nbody", b"A: 1\n\nbody"),
        (b"Bcc: x\r\n\r\nbody", b"\r\nbody"),
        (b"A: 1\r\nBcc: x", b"A: 1\r\n"),
        (b"A: 1\r\n\r\n", b"A: 1\r\n\r\n"),
    ],
)
def test_bcc_goes_and_nothing_else(message: bytes, left: bytes) -> None:
    assert without_fields(message, "bcc") == left
