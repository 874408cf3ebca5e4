"""Conversations as the RFCs print them: every file of tests/imap/dialogues is played to a door.

    # text          a remark; the RFC section a passage is about
    C: line         the client says this line (C2: a second connection, logged in as it likes)
    S: line         the server must say exactly this next; `...` stands for anything
    S* line         the same, when the lines up to the next non-S* line may come in any order
    S> line         this is said in the end; what is said before it is passed over
    ! verb words    the stage does something: see `Player.stage_direction`

A file starts with an account alice@example.org (password secret) and its usual mailboxes.
"""

import re
from pathlib import Path

import pytest
import trio

from protocols.imap import ImapDoor
from storage.accounts import plan_set_administrator
from storage.mail.quota import plan_limit, plan_messages_limit
from tests.protocols.imap.stage import SECRET, Client, Stage, mail, open_stage

DIALOGUES = Path(__file__).resolve().parents[2] / "imap" / "dialogues"
_SPOKEN = re.compile(r"([CS])([0-9]?)([:*>]) ?(.*)")


def matches(pattern: str, line: str) -> bool:
    """The line is the pattern, with anything for each `...`."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("..."))), line) is not None


class Player:
    """Plays one file."""

    def __init__(self, stage: Stage, path: Path) -> None:
        self.stage = stage
        self.path = path
        self.clients: dict[str, Client] = {}
        self.loose: list[str] = []
        self.peer_ip = "127.0.0.1"
        self.number = 0

    def client(self, name: str) -> Client:
        if name not in self.clients:
            self.clients[name] = self.stage.connect(peer_ip=self.peer_ip)
        return self.clients[name]

    async def play(self) -> None:
        for number, text in enumerate(self.path.read_text().splitlines(), 1):
            self.number = number
            if not text.strip() or text.startswith("#"):
                continue
            if text.startswith("!"):
                await self.stage_direction(text[1:].split())
                continue
            spoken = _SPOKEN.fullmatch(text)
            assert spoken is not None, self.where(text)
            who, name, mark, line = spoken.groups()
            if who == "C":
                await self.client(name).say(line.encode())
            else:
                if mark == ">":
                    await self.pass_over(self.client(name), line)
                else:
                    await self.expect(self.client(name), line, ordered=mark == ":")

    async def expect(self, client: Client, pattern: str, *, ordered: bool) -> None:
        if not ordered:
            self.loose.append(pattern)
            return
        while self.loose:
            said = await self.said(client, self.loose[0])
            found = next((one for one in self.loose if matches(one, said)), None)
            assert found is not None, self.where(f"none of {self.loose}: {said!r}")
            self.loose.remove(found)
        said = await self.said(client, pattern)
        assert matches(pattern, said), self.where(f"{pattern!r} was to be said, not {said!r}")

    async def pass_over(self, client: Client, pattern: str) -> None:
        tag = pattern.split(" ")[0] + " "
        while not matches(pattern, said := await self.said(client, pattern)):
            assert not said.startswith(tag) or tag == "* ", self.where(f"{pattern!r}: {said!r}")

    async def said(self, client: Client, pattern: str) -> str:
        try:
            return (await client.line()).decode()
        except (EOFError, trio.TooSlowError):
            raise AssertionError(self.where(f"{pattern!r} was to be said, not silence")) from None

    async def stage_direction(self, words: list[str]) -> None:
        """What happens off the stage."""
        house = self.stage.house
        match words:
            case ["deliver", *subject]:
                self.stage.deliver(mail(" ".join(subject)))
            case ["deliver-to", mailbox, *subject]:
                self.stage.deliver(mail(" ".join(subject)), mailbox=mailbox)
            case ["deliver-file", name]:
                octets = (self.path.parent / name).read_bytes()
                self.stage.deliver(octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
            case ["account", address]:
                house.add_account(address, SECRET)
            case ["administrator", address]:
                self.appoint(address, True)
            case ["no-administrator", address]:
                self.appoint(address, False)
            case ["quota", octets]:
                house.run(lambda plan: plan_limit(plan, self.stage.alice, int(octets)))
            case ["messages", count]:
                house.run(lambda plan: plan_messages_limit(plan, self.stage.alice, int(count)))
            case ["limit", count]:
                self.stage.door = ImapDoor(house.ports, message_limit=int(count))
            case ["save-limit", count]:
                self.stage.door = ImapDoor(house.ports, save_limit=int(count))
            case ["unavailable"]:
                house.unavailable = True
            case ["available"]:
                house.unavailable = False
            case ["peer", ip]:
                self.peer_ip = ip
            case ["pass", seconds]:
                house.clock.pass_s(float(seconds))
            case ["rev1", *name]:
                self.client(name[0] if name else "").hears_recent = True
            case ["deflate", *name]:
                self.client(name[0] if name else "").deflate()
            case ["undeflate", *name]:
                self.client(name[0] if name else "").undeflate()
            case ["closed", *name]:
                with pytest.raises(EOFError):
                    await self.client(name[0] if name else "").line()
            case _:
                raise AssertionError(self.where("unknown stage direction"))

    def appoint(self, address: str, administrator: bool) -> None:
        account = self.stage.house.accounts[address]
        self.stage.house.run(lambda plan: plan_set_administrator(plan, account, administrator))

    def where(self, what: str) -> str:
        return f"{self.path.name}:{self.number}: {what}"


@pytest.mark.parametrize("path", sorted(DIALOGUES.glob("*.txt")), ids=lambda path: path.stem)
async def test_dialogue(path: Path) -> None:
    async with open_stage() as stage:
        await Player(stage, path).play()


def test_there_are_dialogues_for_every_section() -> None:
    assert len(list(DIALOGUES.glob("*.txt"))) >= 20
