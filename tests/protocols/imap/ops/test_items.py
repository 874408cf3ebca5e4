"""Items of FETCH: whatever is asked together is told as it is told alone."""

import random

from protocols.imap.fetch_commands import FetchItem
from tests.protocols.imap.stage import Client, mail, open_stage

SUBSETS = 60


async def fetched(client: Client, numbers: range, items: list[FetchItem]) -> list[bytes]:
    """What stands between the parentheses of each response."""
    words = b" ".join(item.value for item in items)
    lines = await client.ask(b"FETCH %d:%d (%b)" % (numbers[0], numbers[-1], words))
    told = []
    for number, line in zip(numbers, lines[:-1], strict=True):
        start = b"* %d FETCH (" % number
        assert line.startswith(start)
        assert line.endswith(b")")
        told.append(line[len(start) : -1])
    return told


async def test_items_stand_together_as_each_stands_alone_in_their_order() -> None:
    async with open_stage() as stage:
        for number in range(9):
            stage.deliver(mail(f"number {number}", body="word " * number))
        client = await stage.reader()
        await client.ask(b"STORE 2,5 +FLAGS (\\Seen own)")
        await client.ask(b"STORE 7 +FLAGS (\\Deleted)")
        await client.ask(b"EXPUNGE")
        await client.ask(b"FETCH 1 (MODSEQ)")
        everybody = range(1, 9)
        alone = {item: await fetched(client, everybody, [item]) for item in FetchItem}
        chance = random.Random(1)
        for _ in range(SUBSETS):
            asked = chance.sample(list(FetchItem), chance.randint(1, len(FetchItem)))
            first, last = sorted(chance.choices(everybody, k=2))
            numbers = range(first, last + 1)
            assert await fetched(client, numbers, asked) == [
                b" ".join(alone[item][number - 1] for item in FetchItem if item in asked)
                for number in numbers
            ]
