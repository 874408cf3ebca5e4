"""UPDATE over whole connections: whoever follows by the words of RFC 5267 never goes wrong."""

import random
import re

import pytest

from tests.protocols.imap.stage import Client, Stage, mail, open_stage

_ITEM = re.compile(rb"(ADDTO|REMOVEFROM) \(([^)]*)\)")


def spelled(numbers: bytes) -> list[int]:
    found: list[int] = []
    for piece in numbers.split(b","):
        low, _, high = piece.partition(b":")
        found += range(int(low), int(high or low) + 1)
    return found


class Watcher:
    """A client with one context in UIDs, sorted, and one in message numbers."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.lists: dict[bytes, list[int]] = {}

    async def ask(self, command: bytes, tag: bytes = b"t") -> None:
        for line in await self.client.ask(command, tag):
            self.hear(line)

    def hear(self, line: bytes) -> None:
        if line.endswith(b" EXPUNGE"):
            gone = int(line.split()[1])
            assert gone not in self.lists[b"numbers"], "it was to be taken out before"
            kept = self.lists[b"numbers"]
            self.lists[b"numbers"] = [number - (number > gone) for number in kept]
        if not line.startswith(b"* ESEARCH"):
            return
        tag = line.split(b'"')[1]
        if tag not in self.lists:
            told = re.search(rb"ALL (\S+)", line)
            self.lists[tag] = spelled(told[1]) if told else []
        for verb, text in _ITEM.findall(line):
            parts = text.split()
            for at, numbers in zip(map(int, parts[::2]), parts[1::2], strict=True):
                self.change(tag, verb, at, spelled(numbers))

    def change(self, tag: bytes, verb: bytes, at: int, numbers: list[int]) -> None:
        held = self.lists[tag]
        if verb == b"ADDTO":
            assert not set(numbers) & set(held)
            self.lists[tag] = held[: at - 1] + numbers + held[at - 1 :] if at else held + numbers
            if not at:
                self.lists[tag].sort()
        else:
            assert set(numbers) <= set(held)
            assert not at or held[at - 1 : at - 1 + len(numbers)] == numbers
            self.lists[tag] = [number for number in held if number not in numbers]

    async def found(self, command: bytes) -> list[int]:
        """What a search says, and what else is said on the way."""
        lines = await self.client.ask(command)
        for line in lines:
            self.hear(line)
        told = next(line for line in lines if line.startswith((b"* SORT", b"* SEARCH")))
        return [int(number) for number in told.split()[2:]]


SORTED = b"(REVERSE SUBJECT SIZE) UTF-8 UNFLAGGED SUBJECT a"
NUMBERED = b"OR SEEN TEXT flower"


async def disturb(stage: Stage, client: Client, chance: random.Random) -> None:
    """Somebody does something."""
    some = b",".join(b"%d" % chance.randint(1, 40) for _ in range(3))
    match chance.randrange(5):
        case 0:
            letters = "".join(chance.choice("ab") for _ in range(2))
            stage.deliver(mail(letters, chance.choice(["Flowers.\r\n", "Stones.\r\n"])))
        case 1:
            await client.ask(
                b"UID STORE %b %bFLAGS (\\Flagged)" % (some, chance.choice([b"+", b"-"]))
            )
        case 2:
            await client.ask(b"UID STORE %b %bFLAGS (\\Seen)" % (some, chance.choice([b"+", b"-"])))
        case 3:
            await client.ask(b"UID STORE %b +FLAGS.SILENT (\\Deleted)" % some)
            await client.ask(b"UID EXPUNGE %b" % some)
        case _:
            await client.ask(b"UID MOVE %b INBOX" % some)


@pytest.mark.parametrize("seed", range(2))
async def test_whoever_follows_knows_the_results(seed: int) -> None:
    chance = random.Random(seed)
    async with open_stage() as stage:
        for _ in range(12):
            subject = "".join(chance.choice("ab") for _ in range(2))
            stage.deliver(mail(subject, chance.choice(["Flowers.\r\n", "Stones.\r\n"])))
        other = await stage.reader()
        watcher = Watcher(await stage.reader())
        await watcher.ask(b"UID SORT RETURN (UPDATE ALL) " + SORTED, b"uids")
        await watcher.ask(b"SEARCH RETURN (UPDATE ALL) " + NUMBERED, b"numbers")
        for _ in range(25):
            for _ in range(chance.randint(1, 3)):
                await disturb(stage, other, chance)
            # a FETCH by numbers leaves the expunges for later
            await watcher.ask(chance.choice([b"NOOP", b"FETCH 1 FLAGS", b"UID FETCH 1 FLAGS"]))
        await watcher.ask(b"NOOP")
        assert watcher.lists[b"uids"] == await watcher.found(b"UID SORT " + SORTED)
        assert watcher.lists[b"numbers"] == await watcher.found(b"SEARCH " + NUMBERED)
        assert watcher.lists[b"uids"] or watcher.lists[b"numbers"]
