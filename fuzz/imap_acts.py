"""A stress client's days: commands as they come to its mind, none that would break a rule itself.

Keepers are only read, flagged and copied; what may go is marked, moved and expunged; the ledger is
told before a command is sent of what it may do, and after its ending of what was acknowledged.
"""

import random
from collections.abc import Callable
from typing import Final

import trio

from fuzz.imap_client import MAILBOX, REDIAL_S, Client, Doing
from fuzz.imap_ledger import Ledger, is_keeper
from fuzz.imap_line import Cut, World
from fuzz.imap_view import Message, Violation, code_of, numbers, render

ASIDE: Final = "Archive"
# So many messages that may go again, and nobody appends more.
LOOSE_MAX: Final = 60
SET_MAX: Final = 8
PAUSE_S: Final = 0.4
SHARED: Final = ("\\Seen", "\\Flagged", "\\Answered", "$Junk")


def mail(token: str) -> bytes:
    """A small message with this token."""
    return (
        f"From: stress@example.net\r\nTo: alice@example.org\r\nSubject: {token}\r\n"
        f"Message-ID: <{token}@example.net>\r\nX-Token: {token}\r\n\r\nHello, {token}.\r\n"
    ).encode()


class Busy(Client):
    """One of many on the same mailbox."""

    def __init__(self, world: World, ledger: Ledger, number: int, seed: int) -> None:
        super().__init__(world, ledger, number, random.Random(f"{seed}/imap/{number}"))
        self.keyword = f"$own{number}"
        self._token = 0

    async def run(self, over: Callable[[], bool]) -> None:
        """Do one thing after the other, reconnecting whenever it must, until it is over."""
        while not over():
            try:
                if self.line is None:
                    await self.connect()
                await self._one()
            except Cut:
                await self.hang_up()
                await trio.sleep(REDIAL_S)
            await trio.sleep(self.chance.random() * PAUSE_S)

    async def _one(self) -> None:
        chance = self.chance
        if chance.random() < 0.7 and not all(m.known for m in self.view.messages):
            await self.learn()
        if self.read_only:
            acts = [self._read, self._read, self._idle, self._leave]
            await chance.choice(acts)()
            return
        weights = {
            self._read: 6, self._store: 6, self._store_own: 6, self._delete: 4, self._append: 6,
            self._expunge: 4, self._copy: 2, self._move: 2, self._idle: 4, self._noop: 3,
            self._leave: 1, self._pipeline: 3, self._changes: 2,
        }  # fmt: skip
        await chance.choices(list(weights), list(weights.values()))[0]()

    def _some(self, wanted: Callable[[Message], bool]) -> list[int]:
        """Places (from 0) of a few messages of this kind, whose UIDs it knows."""
        places = [at for at, m in enumerate(self.view.messages) if m.uid and wanted(m)]
        self.chance.shuffle(places)
        return sorted(places[: self.chance.randint(1, SET_MAX)])

    def _uids(self, places: list[int]) -> list[int]:
        return [m.uid for m in (self.view.messages[at] for at in places) if m.uid is not None]

    def _named(self, places: list[int]) -> tuple[str, str, bool]:
        """`UID ` and UIDs, or "" and numbers, and whether it may lose messages meanwhile."""
        if self.chance.random() < 0.5:
            return "UID ", render(self._uids(places)), True
        return "", render(at + 1 for at in places), False

    async def _noop(self) -> None:
        await self.plain(
            self.chance.choice(("NOOP", "CHECK") if self.kind == "rev1" else ("NOOP",))
        )

    def _fetching(self, *, uid: bool | None = None) -> Doing:
        places = self._some(lambda _: True)
        if not places:
            return Doing("NOOP")
        prefix, named, may_lose = self._named(places)
        if uid is not None:
            prefix, named, may_lose = (
                ("UID ", render(self._uids(places)), True)
                if uid
                else ("", render(at + 1 for at in places), False)
            )
        modseq = " MODSEQ" if self.modseqs else ""
        items = self.chance.choice(
            (f"FLAGS UID{modseq}", f"UID FLAGS{modseq} BODY.PEEK[HEADER.FIELDS (X-Token)]", "UID")
        )
        if self.chance.random() < 0.2:
            verb = "SEARCH RETURN (ALL)" if self.kind == "rev2" else "SEARCH"
            keys = f"UID {named}" if prefix else named
            return Doing(f"{prefix}{verb} {keys} NOT DRAFT", may_lose)
        return Doing(f"{prefix}FETCH {named} ({items})", may_lose)

    async def _read(self) -> None:
        await self.do(self._fetching())

    async def _pipeline(self) -> None:
        """RFC 9051 5.5: numbers only behind commands that cannot change what they mean."""
        uid = self.chance.random() < 0.5
        doings = [self._fetching(uid=uid) for _ in range(self.chance.randint(2, 3))]
        if not any(doing.text == "NOOP" for doing in doings):
            await self.do(*doings)

    async def _changes(self) -> None:
        """RFC 7162 3.1.4.1, 3.2.6."""
        if not self.modseqs or self.view.synced == 0:
            return await self._read()
        since = max(1, self.view.synced - self.chance.randint(0, 20))
        vanished = " VANISHED" if self.view.vanishes else ""
        await self.do(Doing(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {since}{vanished})"))
        return None

    async def _store(self) -> None:
        """Flags that everybody changes."""
        flag = self.chance.choice(SHARED)
        if self.chance.random() < 0.15:
            places = self._some(lambda m: not is_keeper(m.uid or 0))
            await self._store_on(places, "", flag)
            return
        await self._store_on(self._some(lambda _: True), self.chance.choice("+-"), flag)

    async def _delete(self) -> None:
        places = self._some(lambda m: not is_keeper(m.uid or 0))
        sign = self.chance.choice("+++-")
        self.ledger.dooms(self._uids(places))
        await self._store_on(places, sign, "\\Deleted")

    async def _store_own(self) -> None:
        """The keyword that nobody else touches: what is acknowledged must stay."""
        places = self._some(lambda m: is_keeper(m.uid or 0))
        await self._store_on(places, self.chance.choice("++-"), self.keyword, own=True)

    async def _store_on(
        self, places: list[int], sign: str, flag: str, *, own: bool = False
    ) -> None:
        if not places:
            return
        chance, view = self.chance, self.view
        uids = self._uids(places)
        prefix, named, may_lose = self._named(places)
        silent = chance.random() < 0.4
        unchanged = ""
        if self.modseqs and chance.random() < 0.4:
            unchanged = f"(UNCHANGEDSINCE {view.synced}) "
        messages = [view.messages[at] for at in places]
        before = [m.flags for m in messages]
        there, change = sign == "+", {flag.lower().encode()}

        def sent() -> None:
            if own:
                self.ledger.writes(flag.lower(), uids, there=there)
            if silent:
                for message in messages:
                    message.flags = None

        def done(text: bytes) -> None:
            code, listed = code_of(text)
            refused = set(numbers(listed)) if code == b"MODIFIED" else set()
            numbered = uids if prefix else [at + 1 for at in places]
            for at, message in enumerate(messages):
                skipped = numbered[at] in refused
                if own and not skipped:
                    self.ledger.wrote(flag.lower(), [uids[at]], there=there)
                if message.flags is None and (old := before[at]) is not None:
                    new = old | change if sign == "+" else old - change if sign else change
                    message.flags = old if skipped else frozenset(new)

        words = (
            f"{prefix}STORE {named} {unchanged}{sign}FLAGS{'.SILENT' if silent else ''} ({flag})"
        )
        await self.do(Doing(words, may_lose, sent, done))

    async def _append(self) -> None:
        if sum(not is_keeper(m.uid or 0) for m in self.view.messages) >= LOOSE_MAX:
            return await self._expunge()
        self._token += 1
        token = f"m{self.number}-{self._token}"
        octets = mail(token)
        flags = self.chance.choice(("", "(\\Seen) ", "(\\Flagged $Junk) "))
        self.ledger.tried.add(token)

        def done(text: bytes) -> None:
            code, value = code_of(text)
            if code != b"APPENDUID":
                raise Violation("no APPENDUID")
            self.ledger.appended(int(value.split()[1]), token)

        words = f"APPEND {MAILBOX} {flags}{{{len(octets)}+}}\r\n{octets.decode()}"
        await self.do(Doing(words, done=done))
        return None

    async def _expunge(self) -> None:
        if self.chance.random() < 0.5:
            await self.plain("EXPUNGE")
            return
        places = self._some(lambda m: m.flags is not None and b"\\deleted" in m.flags)
        if places:
            await self.plain(f"UID EXPUNGE {render(self._uids(places))}")

    async def _copy(self) -> None:
        """Keepers only: a copy has the flags of its source, and one more \\Deleted is a doom."""
        places = self._some(lambda m: is_keeper(m.uid or 0))[:2]
        if not places or len(self.view.messages) > 4 * LOOSE_MAX:
            return await self._noop()
        prefix, named, _ = self._named(places)

        def done(text: bytes) -> None:
            code, value = code_of(text)
            if code != b"COPYUID":
                raise Violation("no COPYUID")
            _, sources, copies = value.split()
            for source, copy in zip(numbers(sources), numbers(copies), strict=True):
                self.ledger.copied(source, copy)

        await self.do(Doing(f"{prefix}COPY {named} {MAILBOX}", done=done))
        return None

    async def _move(self) -> None:
        places = self._some(lambda m: not is_keeper(m.uid or 0))[:3]
        if places:
            self.ledger.dooms(self._uids(places))
            prefix, named, _ = self._named(places)
            await self.plain(f"{prefix}MOVE {named} {ASIDE}")

    async def _idle(self) -> None:
        assert self.line is not None
        self.tag += 1
        self.count("idle")
        tag = b"c%d" % self.tag
        await self.line.send(tag + b" IDLE\r\n")
        ends: float | None = None
        while True:
            with trio.move_on_at(float("inf") if ends is None else ends) as scope:
                text, literals = await self.line.response()
            if scope.cancelled_caught:
                break
            if text.startswith(b"+"):
                ends = trio.current_time() + self.chance.random() * 3
            elif text.startswith(tag + b" NO [UNAVAILABLE]"):
                return
            else:
                self.hear(text, literals, may_lose=True, tag=tag)
        await self.line.send(b"DONE\r\n")
        await self.hear_to_the_end(tag, Doing("DONE"))

    async def _leave(self) -> None:
        """Another selection, or another connection."""
        match self.chance.randrange(5):
            case 0:
                await self.plain("CLOSE")
                await self.select()
            case 1:
                await self.select()
            case 2:
                await self.plain("UNSELECT")
                await self.select()
            case 3:
                await self.plain("LOGOUT")
                await self.hang_up()
            case 4:
                await self.hang_up()
