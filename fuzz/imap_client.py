"""A random IMAP client that believes only what it is told, and remembers what it was promised."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio

from fuzz.imap_ledger import Ledger, is_keeper
from fuzz.imap_line import Cut, Line, World
from fuzz.imap_view import Message, View, Violation, code_of, numbers, render

MAILBOX, ASIDE = "INBOX", "Archive"
# So many messages that may go again, and nobody appends more.
LOOSE_MAX: Final = 60
SET_MAX: Final = 8
PAUSE_S: Final = 0.4
REDIAL_S: Final = 0.3
SHARED: Final = ("\\Seen", "\\Flagged", "\\Answered", "$Junk")
# RFC 5530, RFC 2180, RFC 7162: what may be refused although the client has done nothing wrong.
REFUSALS: Final = frozenset({b"UNAVAILABLE", b"EXPUNGEISSUED", b"MODIFIED", b"INUSE"})
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


def mail(token: str) -> bytes:
    """A small message with this token."""
    return (
        f"From: stress@example.net\r\nTo: alice@example.org\r\nSubject: {token}\r\n"
        f"Message-ID: <{token}@example.net>\r\nX-Token: {token}\r\n\r\nHello, {token}.\r\n"
    ).encode()


class Client:
    """One of many on the same mailbox."""

    def __init__(self, world: World, ledger: Ledger, number: int, seed: int) -> None:
        self.world, self.ledger = world, ledger
        self.chance = random.Random(f"{seed}/imap/{number}")
        self.kind = KINDS[number % len(KINDS)]
        self.keyword = f"$own{number}"
        self.number = number
        self.view = View()
        self.line: Line | None = None
        self.name = ""
        self.counts: dict[str, int] = {}
        self.read_only = False
        self._kept = False
        self._tag = self._token = self._selected_at = 0

    @property
    def modseqs(self) -> bool:
        """It knows of MODSEQs."""
        return self.kind in ("condstore", "qresync")

    # --- life

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

    async def connect(self, name: str | None = None) -> None:
        """Log in somewhere, select, and learn what is new."""
        self.name = name or self.chance.choice(self.world.names)
        self.line = await Line.dial(self.world, self.name)
        self._count("connections")
        if not await self._plain(f"LOGIN {self.world.user} {self.world.password}"):
            raise Cut("not logged in")
        enable = {"rev2": "IMAP4rev2", "qresync": "QRESYNC", "condstore": "CONDSTORE"}
        if self.kind in enable:
            await self._plain(f"ENABLE {enable[self.kind]}")
        self.view.vanishes = self.kind == "qresync"
        await self._select()

    async def settle(self) -> None:
        """Hear all that there is to hear."""
        while True:
            try:
                if self.line is None:
                    await self.connect()
                if await self._plain("NOOP"):
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

    async def _select(self) -> None:
        resync, self._kept = self._kept, False
        self.read_only = self.chance.random() < 0.05
        words = f"{'EXAMINE' if self.read_only else 'SELECT'} {MAILBOX}"
        view = self.view
        if resync:
            self._count("resynchronised")
            uids = [m.uid for m in view.messages if m.uid is not None]
            words += f" (QRESYNC ({view.uidvalidity} {view.synced}"
            words += self._resync_data(uids) + "))"
        least, self._selected_at = self.ledger.uidnext_least, self.ledger.moment()
        view.open(resync=resync)
        if not await self._plain(words):
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
            await self._plain("NOOP")  # some are gone, and now it is told

    # --- commands

    async def _plain(self, text: str) -> bool:
        """A command that needs no more; whether it was done."""
        done: list[bytes] = []
        await self.do(Doing(text, done=done.append))
        return bool(done)

    async def do(self, *doings: Doing) -> None:
        """Send commands together, and hear all that comes until the last one has ended."""
        assert self.line is not None
        parts, tags = [], []
        for doing in doings:
            self._tag += 1
            tags.append(b"c%d" % self._tag)
            parts.append(tags[-1] + b" " + doing.text.encode() + b"\r\n")
            doing.sent()
            self._count(doing.text.split()[1 if doing.text.startswith("UID") else 0].lower())
        await self.line.send(b"".join(parts))
        for tag, doing in zip(tags, doings, strict=True):
            await self._hear_to_the_end(tag, doing)

    async def _hear_to_the_end(self, tag: bytes, doing: Doing) -> None:
        assert self.line is not None
        while True:
            text, literals = await self.line.response()
            if text.startswith(tag + b" "):
                break
            if not text.startswith(b"* "):
                raise Violation("neither untagged nor the command's ending")
            self._hear(text, literals, may_lose=doing.may_lose, tag=tag)
        self.view.ended(text)
        self._tell_ledger()
        status, (code, _) = text.split(b" ", 2)[1], code_of(text)
        if status == b"OK":
            doing.done(text)
        elif status == b"NO" and code in REFUSALS:
            self._count(code.decode().lower())
            doing.failed(text)
        else:
            raise Violation("the command was right")

    def _hear(self, text: bytes, literals: list[bytes], *, may_lose: bool, tag: bytes) -> None:
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

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    # --- what comes to its mind

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
        await self._plain(
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
            await self._plain("EXPUNGE")
            return
        places = self._some(lambda m: m.flags is not None and b"\\deleted" in m.flags)
        if places:
            await self._plain(f"UID EXPUNGE {render(self._uids(places))}")

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
            await self._plain(f"{prefix}MOVE {named} {ASIDE}")

    async def _idle(self) -> None:
        assert self.line is not None
        self._tag += 1
        self._count("idle")
        tag = b"c%d" % self._tag
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
                self._hear(text, literals, may_lose=True, tag=tag)
        await self.line.send(b"DONE\r\n")
        await self._hear_to_the_end(tag, Doing("DONE"))

    async def _leave(self) -> None:
        """Another selection, or another connection."""
        match self.chance.randrange(5):
            case 0:
                await self._plain("CLOSE")
                await self._select()
            case 1:
                await self._select()
            case 2:
                await self._plain("UNSELECT")
                await self._select()
            case 3:
                await self._plain("LOGOUT")
                await self.hang_up()
            case 4:
                await self.hang_up()
