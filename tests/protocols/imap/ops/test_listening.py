"""Who only listens (NOTIFY) knows in the end what there is, as well as who asks (LIST, STATUS)."""

import random
import re
from collections.abc import Iterable

import pytest
from trio.testing import wait_all_tasks_blocked

from protocols.imap.ops.panorama import RENAME_ROUNDS_MAX, in_order
from storage.ids import MailboxId
from storage.mail import mailboxes
from storage.mail.errors import MailError
from storage.mail.sharing import ANYONE, plan_rights
from tests.protocols.imap.stage import ALICE, Client, Stage, mail, open_stage

BOB = "bob@example.org"
_LIST = re.compile(rb'\* LIST \(([^)]*)\) "/" (?:"([^"]*)"|(\S+))(?: \("OLDNAME" \((.*)\)\))?')
_STATUS = re.compile(rb'\* STATUS (?:"([^"]*)"|(\S+)) \(.*?MESSAGES (\d+)')


class Listener:
    """What a client makes of what it is told: names, and how many messages each has."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.held: dict[str, int | None] = {}

    async def listen(self) -> None:
        """All that was said up to now, and what NOOP adds."""
        await wait_all_tasks_blocked()
        for line in await self.client.ask(b"NOOP", b"q"):
            self.hear(line)

    def hear(self, line: bytes) -> None:
        if status := _STATUS.match(line):
            self.held[(status[1] or status[2]).decode()] = int(status[3])
        elif listed := _LIST.match(line):
            name = (listed[2] or listed[3]).decode()
            if listed[4]:
                self.rename(listed[4].strip(b'"').decode(), name)
            if b"\\NonExistent" in listed[1]:
                self.held.pop(name, None)
            else:
                self.held.setdefault(name, None)

    def rename(self, old: str, new: str) -> None:
        """RFC 5465 5.4: its children are renamed too, and nobody says so."""
        for name in list(self.held):
            if name == old or name.startswith(old + "/"):
                self.held[new + name.removeprefix(old)] = self.held.pop(name)


async def asked(client: Client, pattern: bytes) -> dict[str, int]:
    """What LIST and STATUS say."""
    lines = await client.ask(b'LIST "" ' + pattern + b" RETURN (STATUS (MESSAGES))")
    found = (_STATUS.match(line) for line in lines)
    return {(one[1] or one[2]).decode(): int(one[3]) for one in found if one is not None}


class Alice:
    """Makes, renames, deletes, fills and shares mailboxes as it comes."""

    def __init__(self, stage: Stage, chance: random.Random) -> None:
        self.stage = stage
        self.chance = chance

    def act(self) -> None:
        """Something; nothing where the store refuses it."""
        chance, house, alice = self.chance, self.stage.house, self.stage.alice
        boxes = mailboxes.list_mailboxes(house.view(), alice)
        one, other = chance.choice(boxes), chance.choice(boxes)
        parent = chance.choice((MailboxId(0), other.id))
        name, reader = chance.choice("abc"), chance.choice((house.accounts[BOB], ANYONE))
        rights = chance.choice(("lr", "lr", "lr", ""))
        try:
            match chance.randrange(6):
                case 0:
                    house.run(lambda plan: mailboxes.plan_create(plan, alice, name, parent=parent))
                case 1 | 2:
                    house.run(
                        lambda plan: mailboxes.plan_update(
                            plan, alice, one.id, name=name, parent=parent
                        )
                    )
                case 3:
                    house.run(
                        lambda plan: mailboxes.plan_destroy_mailbox(
                            plan, alice, one.id, remove_emails=True
                        )
                    )
                case 4:
                    path = mailboxes.path(house.view(), alice, one.id)
                    self.stage.deliver(mail(f"n {chance.random()}"), mailbox="/".join(path))
                case 5:
                    house.run(lambda plan: plan_rights(plan, alice, one.id, reader, rights))
        except MailError:
            pass


@pytest.mark.parametrize("seed", range(8))
async def test_who_listens_knows_what_who_asks_is_told(seed: int) -> None:
    chance = random.Random(seed)
    async with open_stage(people=(ALICE, BOB)) as stage:
        alice = Alice(stage, chance)
        wanted = {
            ALICE: (b"(personal (MailboxName MessageNew MessageExpunge))", b"*"),
            BOB: (b'(subtree "Other Users" (MailboxName MessageNew MessageExpunge))', b"Other*"),
        }
        listeners = {}
        for address, (filters, pattern) in wanted.items():
            client = stage.connect()
            await client.login(address)
            await client.ask(b"NOTIFY SET " + filters)
            listeners[address] = Listener(client)
            listeners[address].held.update(await asked(client, pattern))
        for _ in range(40):
            for _ in range(chance.randint(1, 5)):  # between two looks
                alice.act()
            for address, one in listeners.items():
                await one.listen()
                truth = await asked(one.client, wanted[address][1])
                assert set(one.held) == set(truth), address
                told = {name: count for name, count in one.held.items() if count is not None}
                assert told == {name: truth[name] for name in told}, address


def applied(names: Iterable[str], told: Iterable[tuple[str, str | None]]) -> dict[str, str]:
    """What a client makes of renames, line by line: what it was by what it is."""
    held = {name: name for name in names}
    for name, old in told:
        if old is not None:
            moved = [one for one in held if one == old or one.startswith(old + "/")]
            held.update({name + one.removeprefix(old): held.pop(one) for one in moved})
    return held


def test_a_chain_is_told_from_its_end() -> None:
    told = list(in_order({"b": "a", "c": "b", "d": "c", "a": None}))
    assert told == [("d", "c"), ("c", "b"), ("b", "a"), ("a", None)]


@pytest.mark.parametrize(
    "names",
    [
        {"b": "a", "b/y": "a/x", "a/z": "c"},
        {"b": "a", "a": "a/b/a"},  # out of what it was in, and into its place
        {"b": "a", "b/x/c": "a/x/y/z", "a/x": "a/x/y"},
    ],
)
def test_an_old_name_is_what_the_client_calls_it_by_then(names: dict[str, str]) -> None:
    held = ["a", "a/b", "a/b/a", "a/x", "a/x/y", "a/x/y/z", "c"]
    found = applied([name for name in held if name in names.values()], in_order(names))
    assert found == names


def test_a_circle_is_told_without_old_names() -> None:
    assert sorted(in_order({"b": "a", "a": "b", "d": "c"}), key=str) == [
        ("a", None),
        ("b", None),
        ("d", "c"),
    ]


def test_no_order_is_looked_for_without_an_end() -> None:
    chain = {f"n{number + 1}": f"n{number}" for number in range(10 * RENAME_ROUNDS_MAX)}
    told = list(in_order(chain))
    assert {name for name, _ in told} == set(chain)
    known = [name for name, old in told if old is not None]
    assert known and len(known) < len(chain)
