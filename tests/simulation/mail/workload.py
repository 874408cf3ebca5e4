"""Clients at work: deliver, list, flag, move, remove, swap a register; anywhere, by any door.

The same tasks run against simulated nodes under virtual time and against real processes. All
chance is drawn from a seeded Random, all time is Trio's.
"""

import random
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from math import inf
from typing import Any, Final, Protocol

import trio

from tests.simulation.linearizable import Op
from tests.simulation.mail.clients import Gone, Imap, Jmap, Lmtp, Row
from tests.simulation.mail.history import (
    Census,
    Claim,
    History,
    Life,
    Listing,
    Move,
    Place,
    Span,
)

ACCOUNTS: Final = {"alice@example.org": "alice-demo", "bob@example.org": "bob-demo"}
REGISTERS: Final = ("carol@example.org", "carol-demo")
REGISTERS_COUNT: Final = 3
MAILBOXES: Final = ("INBOX", "Archive")
JMAP_NAMES: Final = {"INBOX": "Inbox", "Archive": "Archive"}
# Above this many messages in an account, clients rather remove some.
MESSAGES_MAX: Final = 40
# A client that hears nothing for this long goes elsewhere; the outcome stays unknown.
ANSWER_S: Final = 12.0


class World(Protocol):
    """A cluster that clients can reach."""

    @property
    def names(self) -> Sequence[str]:
        """All nodes."""
        ...

    async def dial(self, name: str, door: str) -> trio.abc.Stream:
        """A stream to a node's door; raises OSError."""
        ...


def letter(account: str, token: str, size: int) -> bytes:
    """A message with this token and about so many octets."""
    head = (
        f"From: client@example.net\r\nTo: {account}\r\nSubject: {token}\r\n"
        f"Message-ID: <{token}@example.net>\r\n\r\n{'x' * 70}\r\n"
    )
    return (head + "line of text\r\n" * (size // 14)).encode()


@dataclass
class Client:
    """One user at a time, one operation at a time; keeps a connection for a while."""

    world: World
    history: History
    chance: random.Random
    pause_s: float
    note: Callable[..., None] = field(default=lambda *_: None)
    number: int = 0
    doings_max: int = 4
    """In one conversation; each begins with a login, which costs a real node some CPU."""
    _made: int = 0

    # --- conversations ---

    @asynccontextmanager
    async def talk(self, node: str, door: str, account: str, password: str) -> Any:
        """A conversation with one door, logged in where that is the custom."""
        stream = await self.world.dial(node, door)
        client: Lmtp | Imap | Jmap
        try:
            if door == "lmtp":
                client = Lmtp(stream)
                await client.greet()
            elif door == "imap":
                client = Imap(stream)
                await client.login(account, password)
            else:
                client = Jmap(stream)
                await client.login(account, password)
            yield client
        finally:
            await trio.aclose_forcefully(stream)

    async def run(self) -> None:
        """Work until cancelled."""
        doings: list[tuple[Callable[[Any, str, str], Awaitable[None]], str, int]] = [
            (self._deliveries, "lmtp", 5),
            (self._appends, "imap", 2),
            (self._imports, "http", 2),
            (self._imap_session, "imap", 5),
            (self._jmap_session, "http", 4),
            (self.use_registers, "http", 6),
        ]
        while True:
            (doing, door, _), *_ = self.chance.choices(doings, [weight for *_, weight in doings])
            node = self.chance.choice(self.world.names)
            account, password = self.chance.choice(sorted(ACCOUNTS.items()))
            if doing == self.use_registers:
                account, password = REGISTERS
            await self._once(doing, node, door, account, password)
            await trio.sleep(self.chance.uniform(0, self.pause_s))

    async def _once(
        self,
        doing: Callable[[Any, str, str], Awaitable[None]],
        node: str,
        door: str,
        account: str,
        password: str,
    ) -> None:
        try:
            with trio.fail_after(ANSWER_S):
                async with self.talk(node, door, account, password) as client:
                    for _ in range(self.chance.randint(1, self.doings_max)):
                        await doing(client, node, account)
        except (Gone, OSError, trio.TooSlowError) as error:
            self.history.counts["conversations cut short"] += 1
            self.note("client", self.number, node, door, type(error).__name__, error)

    def _done(self, what: str, *words: object) -> None:
        self.history.counts[f"{what} ok"] += 1
        self.note("client", self.number, what, *words)

    # --- messages ---

    def _token(self) -> str:
        self._made += 1  # first: a token is never used twice, whatever comes of it
        return f"t{self.number}-{self._made}"

    async def _deliveries(self, client: Lmtp, node: str, account: str) -> None:
        await self.deliver(client, account, self._token())

    def _letter(self, account: str, token: str) -> bytes:
        return letter(account, token, self.chance.choice([20, 200, 12_000]))

    async def _arrive(
        self, what: str, account: str, token: str, asking: Awaitable[Any], mailbox: str = "INBOX"
    ) -> Any:
        began = trio.current_time()
        self.history.lives[token] = life = Life(account, Span(began), mailbox)
        answer = await asking
        life.delivered = Span(began, trio.current_time())
        self._done(what, account, token)
        return answer

    async def deliver(self, client: Lmtp, account: str, token: str) -> None:
        """One message with this token."""
        asking = client.deliver(account, self._letter(account, token))
        await self._arrive("delivery", account, token, asking)

    async def _appends(self, client: Imap, node: str, account: str) -> None:
        token, mailbox = self._token(), self.chance.choice(MAILBOXES)
        asking = client.append(mailbox, self._letter(account, token))
        validity, uid = await self._arrive("imap append", account, token, asking, mailbox)
        self.history.claims.append(Claim((account, mailbox), validity, uid, token))

    async def _imports(self, client: Jmap, node: str, account: str) -> None:
        boxes, mailbox = await client.mailboxes(), self.chance.choice(MAILBOXES)
        token, there = self._token(), boxes[JMAP_NAMES[mailbox]]
        if self.chance.random() < 0.5:
            blob = await client.upload(self._letter(account, token))
            asking, what = client.import_(blob, there), "jmap import"
        else:
            asking, what = client.create(token, there), "jmap create"
        await self._arrive(what, account, token, asking, mailbox)

    async def _list(self, client: Imap, node: str, account: str, mailbox: str) -> list[Row]:
        began = trio.current_time()
        validity = await client.select(mailbox)
        rows = await client.rows()
        span = Span(began, trio.current_time())
        self.history.listings.append(Listing((account, mailbox), node, span, validity, tuple(rows)))
        self.history.counts["listings"] += 1
        self.note("client", self.number, "listing", node, account, mailbox, len(rows))
        return rows

    async def _imap_session(self, client: Imap, node: str, account: str) -> None:
        mailbox = self.chance.choice(MAILBOXES)
        rows = await self._list(client, node, account, mailbox)
        if not rows:
            return
        row = self.chance.choice(rows)
        there = MAILBOXES[1 - MAILBOXES.index(mailbox)]
        draw = self.chance.random()
        if len(rows) > MESSAGES_MAX // 2 or draw < 0.25:
            await self._remove_by_imap(client, [row, *rows[: len(rows) // 4]])
        elif draw < 0.6:
            flag = self.chance.choice([r"+FLAGS (\Seen)", r"-FLAGS (\Seen)", r"+FLAGS (kept)"])
            await client.ask(f"UID STORE {row.uid} {flag}")
            self._done("imap flag", row.token)
        elif draw < 0.85:
            await self._move_by_imap(client, row, account, there)
        else:
            await self._copy(client, row, account, there)

    async def _move_by_imap(self, client: Imap, row: Row, account: str, there: str) -> None:
        async def ask() -> bool:
            answers = await client.ask(f'UID MOVE {row.uid} "{there}"')
            return self._claim(b"".join(answers), account, there, row.token)

        await self._move("imap move", row.token, there, ask())

    async def _move(self, what: str, token: str, there: str, asking: Awaitable[bool]) -> None:
        """`asking` says whether anything was moved: the message may be elsewhere already."""
        moves, begun = self.history.lives[token].moves, Move(Span(trio.current_time()), there)
        moves.append(begun)
        moved = await asking
        at = next(i for i, one in enumerate(moves) if one is begun)
        if not moved:
            del moves[at]
            return
        moves[at] = Move(Span(begun.span.began, trio.current_time()), there)
        self._done(what, token)

    async def _copy(self, client: Imap, row: Row, account: str, there: str) -> None:
        copies, begun = self.history.lives[row.token].copies, Span(trio.current_time())
        copies.append(begun)
        await client.ask(f'UID COPY {row.uid} "{there}"')
        at = next(i for i, one in enumerate(copies) if one is begun)
        if not self._claim(client.said, account, there, row.token):
            del copies[at]
            return
        copies[at] = Span(begun.began, trio.current_time())
        self._done("imap copy", row.token)

    def _claim(self, answer: bytes, account: str, mailbox: str, token: str) -> bool:
        """Note the UID that COPYUID promises; False when nothing was there to be taken."""
        found = re.search(rb"\[COPYUID (\d+) \d+ (\d+)\]", answer)
        if found is None:
            return False
        claim = Claim((account, mailbox), int(found[1]), int(found[2]), token)
        self.history.claims.append(claim)
        return True

    async def _remove_by_imap(self, client: Imap, rows: list[Row]) -> None:
        tokens = {row.uid: row.token for row in rows}
        spans = self._begin_removals(tokens)
        uids = ",".join(str(uid) for uid in sorted(tokens))
        await client.ask(f"UID STORE {uids} +FLAGS.SILENT (\\Deleted)")
        await client.ask(f"UID EXPUNGE {uids}")
        # Somebody may have moved one away in the meantime, which the answer does not say.
        left = {row.token for row in await client.rows()}
        lives = self.history.lives
        quiet = [u for u, t in tokens.items() if not lives[t].moves and not lives[t].copies]
        gone = {uid for uid in quiet if tokens[uid] not in left}
        self._end_removals("imap expunge", spans, gone)

    def _begin_removals(self, tokens: Mapping[Any, str]) -> dict[Any, tuple[str, Span]]:
        began = trio.current_time()
        spans = {key: (token, Span(began)) for key, token in tokens.items()}
        for token, span in spans.values():
            self.history.lives[token].removals.append(span)
        return spans

    def _end_removals(
        self, what: str, spans: Mapping[Any, tuple[str, Span]], gone: Collection[Any]
    ) -> None:
        for key in sorted(gone):
            token, span = spans[key]
            removals = self.history.lives[token].removals
            at = next(i for i, one in enumerate(removals) if one is span)
            removals[at] = replace(span, ended=trio.current_time())
            self._done(what, token)

    async def _jmap_session(self, client: Jmap, node: str, account: str) -> None:
        began = trio.current_time()
        state, emails = await client.emails(["mailboxIds", "keywords"])
        span = Span(began, trio.current_time())
        tokens = tuple(email["subject"] for email in emails)
        self.history.censuses.append(Census(account, node, span, state, tokens))
        self.history.counts["censuses"] += 1
        self.note("client", self.number, "census", node, account, len(tokens), state)
        if not emails:
            return
        email = self.chance.choice(emails)
        if len(emails) > MESSAGES_MAX or self.chance.random() < 0.2:
            await self._remove_by_jmap(client, [email, *emails[: len(emails) // 4]])
        elif self.chance.random() < 0.5:
            seen = self.chance.random() < 0.5 or None
            update = {email["id"]: {"keywords/$flagged": seen}}
            (answer,) = await client.call(("Email/set", {"update": update}))
            if answer.get("updated"):
                self._done("jmap flag", email["subject"])
        else:
            boxes, there = await client.mailboxes(), self.chance.choice(MAILBOXES)
            moved = {email["id"]: {"mailboxIds": {boxes[JMAP_NAMES[there]]: True}}}

            async def ask() -> bool:
                (answer,) = await client.call(("Email/set", {"update": moved}))
                return bool(answer.get("updated"))

            await self._move("jmap move", email["subject"], there, ask())

    async def _remove_by_jmap(self, client: Jmap, emails: list[dict[str, Any]]) -> None:
        spans = self._begin_removals({email["id"]: email["subject"] for email in emails})
        (answer,) = await client.call(("Email/set", {"destroy": list(spans)}))
        self._end_removals("jmap destroy", spans, answer.get("destroyed") or ())

    # --- registers: the keyword that a message of carol's has, at most one at a time ---

    async def use_registers(self, client: Jmap, node: str, account: str) -> None:
        """Read all, then write or swap one."""
        state, emails = await self.read_registers(client)
        if not emails:
            return
        key, value, email = self.chance.choice(emails)
        new = f"v{self.number}-{self._made}"
        self._made += 1
        began = trio.current_time()
        update = {"update": {email: {"keywords": {new: True}}}}
        if self.chance.random() < 0.5:
            at = self._begin_op(key, began, ("write", new))
            (answer,) = await client.call(("Email/set", update))
            assert answer["updated"] is not None, answer
            self._end_op(at, None)
            return
        at = self._begin_op(key, began, ("swap", value, new))
        try:
            await client.call(("Email/set", {"ifInState": state, **update}))
        except Gone as gone:
            if str(gone) == "stateMismatch":
                # Another message may have changed: nothing was written, and nothing is said of
                # this one's value.
                del self.history.registers[at]
                self.history.counts["swaps refused"] += 1
                return
            raise
        self._end_op(at, True)

    async def read_registers(self, client: Jmap) -> tuple[str, list[tuple[str, Any, str]]]:
        """The account's state, and each register's key, value and email."""
        began = trio.current_time()
        state, emails = await client.emails(["keywords"])
        ended, found = trio.current_time(), []
        for email in sorted(emails, key=lambda email: str(email["subject"])):
            value = next(iter(email["keywords"]), None)
            op = Op(email["subject"], began, ended, ("read",), value)
            self.history.add_register(op)
            self.history.counts["register reads"] += 1
            found.append((email["subject"], value, email["id"]))
        return state, found

    def _begin_op(self, key: str, began: float, asked: tuple[Any, ...]) -> int:
        return self.history.add_register(Op(key, began, inf, asked))

    def _end_op(self, at: int, answered: bool | None) -> None:
        op = self.history.registers[at]
        self.history.registers[at] = replace(op, ended=trio.current_time(), answered=answered)
        self._done(f"register {op.asked[0]}", op.key, op.asked[-1])


async def make_registers(client: Client) -> None:
    """The messages whose keyword is a register; tried again until the accounts are there."""
    made = 0
    for attempt in count():
        node = client.chance.choice(client.world.names)
        try:
            with trio.fail_after(ANSWER_S):
                async with client.talk(node, "lmtp", *REGISTERS) as door:
                    while made < REGISTERS_COUNT:
                        await client.deliver(door, REGISTERS[0], f"register-{attempt}-{made}")
                        made += 1
            return
        except (Gone, OSError, trio.TooSlowError):
            await trio.sleep(0.2)


async def holdings(world: World, node: str) -> dict[Place, tuple[int, tuple[Row, ...]]]:
    """Everything that one node's IMAP shows. Raises Gone, OSError."""
    held: dict[Place, tuple[int, tuple[Row, ...]]] = {}
    for account, password in sorted({**ACCOUNTS, REGISTERS[0]: REGISTERS[1]}.items()):
        stream = await world.dial(node, "imap")
        try:
            imap = Imap(stream)
            await imap.login(account, password)
            for mailbox in MAILBOXES:
                validity = await imap.select(mailbox)
                held[account, mailbox] = validity, tuple(await imap.rows())
        finally:
            await trio.aclose_forcefully(stream)
    return held
