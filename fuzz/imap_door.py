"""A whole IMAP door that hostile bytes are sent to: parser, core, session and ops, over a house in
memory that is made anew for each input.

The connection is an administrator's; it has logged in and selected its inbox when the bytes begin.
While they come others
change the account, and a second connection listens to all that NOTIFY can tell. What the door says
must come to an end, be as the RFC's formal syntax has it, and end with the response it is at.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import trio
from trio.testing import (
    MemoryReceiveStream,
    MemorySendStream,
    MockClock,
    memory_stream_pair,
    wait_all_tasks_blocked,
)

from protocols.delivery import prepare
from protocols.imap import ImapDoor
from storage.accounts import plan_set_administrator
from storage.mail import mailboxes
from storage.mail.annotations import SHARED, plan_annotate
from storage.mail.errors import OverQuota
from storage.mail.ingest import plan_ingest
from storage.mail.moves import plan_expunge
from storage.plan import Plan
from tests.fakes import FakeHouse, make_house
from tests.protocols.imap.grammar import Heard
from tests.tokens import let_in

ALICE: Final = "alice@example.org"
BOB: Final = "bob@example.org"
# The bytes come in pieces of this size, and others change something between two of them.
PIECE_BYTES: Final = 128
# What the door may say to one input, in octets: inputs are small, and so is the house.
SAID_BYTES_MAX: Final = 64 * 1024 * 1024
# No connection lives longer by its own clock, which jumps wherever all wait.
LIFE_S: Final = 24 * 3600.0

_PREAMBLE: Final = b"a LOGIN alice@example.org secret\r\nb SELECT INBOX\r\n"
_LISTENS: Final = (
    b"a LOGIN alice@example.org secret\r\nb ENABLE QRESYNC METADATA\r\nc SELECT INBOX\r\n"
    b"d NOTIFY SET STATUS (selected (MessageNew (UID FLAGS BODY[TEXT] ENVELOPE) MessageExpunge"
    b" FlagChange)) (personal (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange"
    b" MailboxMetadataChange ServerMetadataChange))\r\n"
)
MemoryStream = trio.StapledStream[MemorySendStream, MemoryReceiveStream]


def imap_door(data: bytes) -> None:
    """The bytes of a connection that may do anything its user may. Raises what is wrong."""
    trio.run(_converse, data, clock=MockClock(autojump_threshold=0))


async def _converse(data: bytes) -> None:
    house = make_house({ALICE: "secret", BOB: "secret"})
    house.run(lambda plan: plan_set_administrator(plan, house.accounts[ALICE], True))
    let_in(house, house.accounts[ALICE])  # its token is the same each time: the corpus has it
    world = _World(house)
    for number in range(4):
        world.deliver(number)
    door = ImapDoor(house.ports)
    with trio.fail_after(LIFE_S):
        async with trio.open_nursery() as nursery:
            listener, theirs = memory_stream_pair()
            nursery.start_soon(door.converse, theirs, "127.0.0.1", False)
            nursery.start_soon(_hear, listener)
            await listener.send_all(_LISTENS)
            client, theirs = memory_stream_pair()
            nursery.start_soon(door.converse, theirs, "127.0.0.1", False)
            nursery.start_soon(_say, client, data, world.change)
            await _hear(client)
            await listener.send_eof()


async def _say(stream: MemoryStream, data: bytes, between: Callable[[], None]) -> None:
    try:
        await stream.send_all(_PREAMBLE)
        for start in range(0, len(data), PIECE_BYTES):
            await stream.send_all(data[start : start + PIECE_BYTES])
            await wait_all_tasks_blocked()
            between()
        await stream.send_all(b"\r\n")
        await stream.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return  # it was sent away


async def _hear(stream: MemoryStream) -> None:
    """All that the door says until it hangs up."""
    heard, octets = Heard(), 0
    while piece := await stream.receive_some():
        octets += len(piece)
        assert octets <= SAID_BYTES_MAX, "the door does not stop talking"
        heard.feed(piece)
    assert heard.is_whole, "the last response is not whole"


class _World:
    """What others do to the account meanwhile, one thing after the other."""

    def __init__(self, house: FakeHouse) -> None:
        self._house = house
        self._account = house.accounts[ALICE]
        inbox = mailboxes.by_role(house.view(), self._account, "inbox")
        assert inbox is not None
        self._inbox = inbox.id
        self._done = 0

    def deliver(self, number: int) -> None:
        """A message comes in."""
        message = b"Subject: %d\r\nX: \xff\r\n\r\nhello %d\r\n" % (number, number)
        email = prepare(message, received_ms=self._house.clock.now_ms())

        def command(plan: Plan) -> None:
            plan_ingest(plan, self._account, email, mailboxes=[self._inbox])

        with suppress(OverQuota):  # he may have set himself one
            self._house.run(command, blobs=[message])

    def change(self) -> None:
        """Some mail, some of it gone, a name, an annotation."""
        self._done += 1
        number, account = self._done, self._account
        match number % 4:
            case 0:
                self.deliver(100 + number)
            case 1:
                self._house.run(lambda plan: plan_expunge(plan, account, self._inbox, [number]))
            case 2:
                value = {"/comment": b"%d" % number}
                self._house.run(
                    lambda plan: plan_annotate(plan, account, self._inbox, SHARED, value)
                )
            case _:
                self._house.run(
                    lambda plan: mailboxes.plan_update(
                        plan, account, self._inbox, name=f"Post{number}"
                    )
                )
