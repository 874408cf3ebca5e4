"""An IMAP client that believes only what it is told, and remembers what it was promised.

It comes back after every cut: with nothing, or by QRESYNC with what it knew (RFC 7162 3.2.5).
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio

from fuzz.imap_ledger import Ledger
from fuzz.imap_line import Cut, Line, World
from fuzz.imap_view import View, Violation, code_of, render

MAILBOX: Final = "INBOX"
REDIAL_S: Final = 0.3
# RFC 5530, RFC 2180, RFC 7162: what may be refused although the client has done nothing wrong.
REFUSALS: Final = frozenset(
    {b"UNAVAILABLE", b"EXPUNGEISSUED", b"MODIFIED", b"INUSE", b"CORRUPTION"}
)
KINDS: Final = ("rev1", "rev2", "condstore", "qresync")
_TOKEN: Final = re.compile(rb"(?im)^X-Token: (\S+)")


def _nothing(*_: object) -> None:
    """No more to do."""


@dataclass
class Doing:
    """A command, whether messages may be told to be gone while it is answered, and what its
    ending means."""

    text: str
    may_lose: bool = True
    sent: Callable[[], None] = _nothing
    done: Callable[[bytes], None] = _nothing
    failed: Callable[[bytes], None] = _nothing


class Client:
    """One client, whose kind follows from its number."""

    def __init__(self, world: World, ledger: Ledger, number: int, chance: random.Random) -> None:
        self.world, self.ledger, self.chance = world, ledger, chance
        self.kind = KINDS[number % len(KINDS)]
        self.number = number
        self.view = View()
        self.line: Line | None = None
        self.name = ""
        self.counts: dict[str, int] = {}
        self.read_only = False
        self._kept = False
        self.tag = self._selected_at = 0

    @property
    def modseqs(self) -> bool:
        """It knows of MODSEQs."""
        return self.kind in ("condstore", "qresync")

    # --- life

    async def connect(self, name: str | None = None) -> None:
        """Log in somewhere, select, and learn what is new."""
        self.name = name or self.chance.choice(self.world.names)
        self.line = await Line.dial(self.world, self.name)
        await self.line.response()
        self.count("connections")
        if not await self.plain(f"LOGIN {self.world.user} {self.world.password}"):
            raise Cut("not logged in")
        enable = {"rev2": "IMAP4rev2", "qresync": "QRESYNC", "condstore": "CONDSTORE"}
        if self.kind in enable:
            await self.plain(f"ENABLE {enable[self.kind]}")
        self.view.vanishes = self.kind == "qresync"
        await self.select()

    async def settle(self) -> None:
        """Hear all that there is to hear."""
        while True:
            try:
                if self.line is None:
                    await self.connect()
                if await self.plain("NOOP"):
                    return await self.learn()
            except Cut:
                await self.hang_up()
            await trio.sleep(REDIAL_S)

    async def hang_up(self) -> None:
        """Without a word."""
        if self.line is not None:
            await self.line.close()
            self.line = None
            self._kept = self.kind == "qresync" and self.view.keep()

    async def select(self) -> None:
        resync, self._kept = self._kept, False
        self.read_only = self.chance.random() < 0.05
        words = f"{'EXAMINE' if self.read_only else 'SELECT'} {MAILBOX}"
        view = self.view
        if resync:
            self.count("resynchronised")
            uids = [m.uid for m in view.messages if m.uid is not None]
            words += f" (QRESYNC ({view.uidvalidity} {view.synced}"
            words += self._resync_data(uids) + "))"
        least, self._selected_at = self.ledger.uidnext_least, self.ledger.moment()
        view.open(resync=resync)
        if not await self.plain(words):
            raise Cut("not selected")
        view.opened()
        if view.uidnext < least:
            raise Violation(f"UIDNEXT is {view.uidnext}; {least - 1} was given out before")
        await self.learn()

    def _resync_data(self, uids: list[int]) -> str:
        known = f" {render(uids)}"
        if self.chance.random() < 0.5:
            return known
        places = sorted(self.chance.sample(range(len(uids)), min(5, len(uids))))
        sequences = ",".join(str(at + 1) for at in places)
        return f"{known} ({sequences} {','.join(str(uids[at]) for at in places)})"

    async def learn(self) -> None:
        """Ask for UIDs and flags that it was not told yet."""
        items = "(UID FLAGS MODSEQ)" if self.modseqs else "(UID FLAGS)"
        while unknown := [at for at, m in enumerate(self.view.messages, 1) if not m.known]:
            await self.do(Doing(f"FETCH {render(unknown)} {items}", may_lose=False))
            if all(self.view.messages[at - 1].known for at in unknown):
                return
            await self.plain("NOOP")  # some are gone, and now it is told

    # --- commands

    async def plain(self, text: str) -> bool:
        """A command that needs no more; whether it was done."""
        done: list[bytes] = []
        await self.do(Doing(text, done=done.append))
        return bool(done)

    async def do(self, *doings: Doing) -> None:
        """Send commands together, and hear all that comes until the last one has ended."""
        assert self.line is not None
        parts, tags = [], []
        for doing in doings:
            self.tag += 1
            tags.append(b"c%d" % self.tag)
            parts.append(tags[-1] + b" " + doing.text.encode() + b"\r\n")
            doing.sent()
            self.count(doing.text.split()[1 if doing.text.startswith("UID") else 0].lower())
        await self.line.send(b"".join(parts))
        for tag, doing in zip(tags, doings, strict=True):
            await self.hear_to_the_end(tag, doing)

    async def hear_to_the_end(self, tag: bytes, doing: Doing) -> None:
        assert self.line is not None
        while True:
            text, literals = await self.line.response()
            if text.startswith(tag + b" "):
                break
            if not text.startswith(b"* "):
                raise Violation("neither untagged nor the command's ending")
            self.hear(text, literals, may_lose=doing.may_lose, tag=tag)
        self.view.ended(text)
        self._tell_ledger()
        status, (code, _) = text.split(b" ", 2)[1], code_of(text)
        if status == b"OK":
            doing.done(text)
        elif status == b"NO" and code in REFUSALS:
            self.count(code.decode().lower())
            doing.failed(text)
        else:
            raise Violation("the command was right")

    def hear(self, text: bytes, literals: list[bytes], *, may_lose: bool, tag: bytes) -> None:
        self.view.hear(text, may_lose=may_lose, tag=tag)
        for literal in literals:
            token, uid = _TOKEN.search(literal), self.view.fetched[-1].uid
            if token is not None and uid is not None:
                self.ledger.read(uid, token[1].decode())
        self._tell_ledger()

    def _tell_ledger(self) -> None:
        for uid in self.view.gone:
            self.ledger.lost(uid)
        for said in self.view.fetched:
            self.ledger.heard(said, self._selected_at)
        self.view.gone.clear()
        self.view.fetched.clear()

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1
