"""Sequence numbers under fire: many clients change one mailbox, each counts by the RFC's rules.

Every client keeps its own idea of the mailbox from the responses alone (RFC 9051 7.4, 7.5) and
checks them as they come: EXISTS never shrinks, an EXPUNGE names a message there is and never comes
during FETCH, STORE or SEARCH, a FETCH with a UID names the message the client has there. In the
end, after a NOOP, all that it believes is true. A failure prints the seed that brings it back.
"""

import random
import re
from dataclasses import dataclass, field

import pytest

from storage.mail import mailboxes
from storage.mail.moves import plan_expunge
from storage.mail.uids import uid_rows
from tests.protocols.imap.stage import Client, Stage, mail, open_stage

FLAGS = ("\\Seen", "\\Flagged", "\\Deleted", "$Junk")
# Who counts may have news at any time, but for EXPUNGE (RFC 5465 6.1.2), or not at all.
EVERYTHING = "SET (selected-delayed (MessageNew (UID FLAGS) MessageExpunge FlagChange))"
NOTIFICATIONS = (
    EVERYTHING,
    "SET (selected-delayed (MessageNew MessageExpunge))",
    "SET (selected NONE)",
    "NONE",
)
_FETCH = re.compile(rb"\* ([0-9]+) FETCH \((.*)\Z")
_UID = re.compile(rb"UID ([0-9]+)")
_FLAGS = re.compile(rb"FLAGS \(([^)]*)\)")
_COUNT = re.compile(rb"\* ([0-9]+) (EXISTS|EXPUNGE)\Z")


@dataclass(eq=False)
class Message:
    """What a client knows of one message."""

    uid: int | None = None
    flags: frozenset[bytes] | None = None


@dataclass
class Believer:
    """A client and its idea of the mailbox."""

    client: Client
    messages: list[Message] = field(default_factory=list)
    tag: int = 0
    notified: bool = False

    async def run(self, command: str, *, expunges: bool = True) -> list[bytes]:
        self.tag += 1
        lines = await self.client.ask(command.encode(), b"t%d" % self.tag)
        for line in lines[:-1]:
            self.hear(line, expunges=expunges)
        return lines

    def hear(self, line: bytes, *, expunges: bool) -> None:
        counted = _COUNT.match(line)
        if counted is not None and counted[2] == b"EXISTS":
            count = int(counted[1])
            assert count >= len(self.messages), line
            self.messages += [Message() for _ in range(count - len(self.messages))]
        elif counted is not None:
            assert expunges, f"{line!r} where none may be"
            del self.messages[self.index(int(counted[1]))]
        fetched = _FETCH.match(line)
        if fetched is not None:
            message = self.messages[self.index(int(fetched[1]))]
            if uid := _UID.search(fetched[2]):
                assert message.uid in (None, int(uid[1])), (line, message)
                message.uid = int(uid[1])
            if flags := _FLAGS.search(fetched[2]):
                message.flags = frozenset(flags[1].split())

    def index(self, number: int) -> int:
        assert 1 <= number <= len(self.messages), number
        return number - 1


async def join(stage: Stage) -> Believer:
    client = stage.connect()
    await client.login()
    believer = Believer(client)
    await believer.run("SELECT INBOX")
    await believer.run("FETCH 1:* (UID FLAGS)", expunges=False)
    return believer


async def act(believer: Believer, chance: random.Random) -> None:
    """One command that a client may think of."""
    count = len(believer.messages)
    if not count:
        await believer.run("NOOP")
        return
    low = chance.randint(1, count)
    numbers = f"{low}:{chance.randint(low, min(low + 3, count))}"
    uid = believer.messages[low - 1].uid or 1
    flag = chance.choice(FLAGS)
    sign = chance.choice("+-")
    match chance.randrange(15):
        case 0 | 1:
            await believer.run(f"STORE {numbers} {sign}FLAGS ({flag})", expunges=False)
        case 2:
            await believer.run(f"UID STORE {uid}:* {sign}FLAGS ({flag})")
        case 3:
            await believer.run("EXPUNGE")
        case 4:
            await believer.run(f"UID EXPUNGE 1:{uid}")
        case 5:
            await believer.run(f"FETCH {numbers} (UID FLAGS)", expunges=False)
        case 6:
            await believer.run(f"UID FETCH {uid}:* (FLAGS BODY[TEXT]<0.1>)")
        case 7:
            await believer.run(f"SEARCH {numbers} NOT DELETED", expunges=False)
        case 8:
            await believer.run(f"COPY {numbers} INBOX")
        case 9:
            await believer.run(f"MOVE {low} {chance.choice(('Archive', 'INBOX'))}")
        case 10:
            await believer.run("NOOP")
        case 11:
            await idle(believer)
        case 12 | 13:
            await store_silently(believer, low, sign, flag)
        case 14:
            await believer.run(f"NOTIFY {chance.choice(NOTIFICATIONS)}")
            believer.notified = True


async def store_silently(believer: Believer, number: int, sign: str, flag: str) -> None:
    """The client works the new flags out by itself (RFC 9051 6.4.6)."""
    message = believer.messages[number - 1]
    if believer.notified:  # flags told before the STORE are not those after it
        await believer.run("NOOP")
        if message not in believer.messages:
            return
        number = believer.messages.index(message) + 1
    before, message.flags = message.flags, None
    ending = (await believer.run(f"STORE {number} {sign}FLAGS.SILENT ({flag})", expunges=False))[-1]
    if message.flags is None and before is not None and b" OK " in ending:
        change = {flag.encode()}
        message.flags = before | change if sign == "+" else before - change


async def idle(believer: Believer) -> None:
    believer.tag += 1
    tag = b"t%d" % believer.tag
    await believer.client.say(tag + b" IDLE")
    await believer.client.say(b"DONE")
    while not (line := await believer.client.line()).startswith(tag):
        believer.hear(line, expunges=True)


def interfere(stage: Stage, chance: random.Random, step: int) -> None:
    """What other doors do to the mailbox."""
    if chance.random() < 0.5:
        stage.deliver(mail(f"number {step}"))
        return
    inbox = mailboxes.by_role(stage.house.view(), stage.alice, "inbox")
    assert inbox is not None
    rows = uid_rows(stage.house.view(), stage.alice, inbox.id)
    if rows:
        uid = chance.choice(rows)[0]
        stage.house.run(lambda plan: plan_expunge(plan, stage.alice, inbox.id, [uid]))


def truth(stage: Stage) -> list[tuple[int, frozenset[str]]]:
    """What the mailbox really holds."""
    inbox = mailboxes.by_role(stage.house.view(), stage.alice, "inbox")
    assert inbox is not None
    rows = uid_rows(stage.house.view(), stage.alice, inbox.id)
    return [(uid, frozenset(row.keywords)) for uid, row in rows]


def shown(flags: frozenset[bytes]) -> frozenset[str]:
    """Flags as they are stored."""
    return frozenset(flag.decode().lower().replace("\\", "$") for flag in flags)


@pytest.mark.parametrize("seed", range(12))
async def test_every_client_counts_as_the_server_does(seed: int) -> None:
    chance = random.Random(seed)
    async with open_stage() as stage:
        for step in range(6):
            stage.deliver(mail(f"first {step}"))
        believers = [await join(stage) for _ in range(3)]
        for step in range(120):
            if chance.random() < 0.25:
                interfere(stage, chance, step)
            else:
                await act(chance.choice(believers), chance)
        for believer in believers:
            await believer.run(f"NOTIFY {EVERYTHING}")
            held = truth(stage)
            assert len(believer.messages) == len(held)
            for message, (uid, keywords) in zip(believer.messages, held, strict=True):
                assert message.uid in (None, uid)
                assert message.flags is None or shown(message.flags) == keywords
