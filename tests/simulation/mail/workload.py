"""Clients at work: deliver, list, flag, move, remove, swap a register; anywhere, by any door.

The same tasks run against simulated nodes under virtual time and against real processes. All
chance is drawn from a seeded Random, all time is Trio's.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from math import inf
from typing import Any, Final, Protocol

import trio

from tests.simulation.linearizable import Op
from tests.simulation.mail.clients import Gone, Imap, Jmap, Lmtp, Row
from tests.simulation.mail.history import Census, History, Life, Listing, Place, Span

ACCOUNTS: Final = {"alice@example.org": "alice-demo", "bob@example.org": "bob-demo"}
REGISTERS: Final = ("carol@example.org", "carol-demo")
REGISTERS_COUNT: Final = 3
MAILBOXES: Final = ("INBOX", "Archive")
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


@dataclass
class Client:
    """One user at a time, one operation at a time; keeps a connection for a while."""

    world: World
    history: History
    chance: random.Random
    pause_s: float
    note: Callable[..., None] = field(default=lambda *_: None)
    number: int = 0
    _made: int = 0

    # --- conversations ---

    @asynccontextmanager
    async def _talk(self, node: str, door: str, account: str, password: str) -> Any:
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
            (self._imap_session, "imap", 4),
            (self._jmap_session, "http", 4),
            (self._register_session, "http", 6),
        ]
        while True:
            (doing, door, _), *_ = self.chance.choices(doings, [weight for *_, weight in doings])
            node = self.chance.choice(self.world.names)
            account, password = self.chance.choice(sorted(ACCOUNTS.items()))
            if doing == self._register_session:
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
                async with self._talk(node, door, account, password) as client:
                    for _ in range(self.chance.randint(1, 4)):
                        await doing(client, node, account)
        except (Gone, OSError, trio.TooSlowError) as error:
            self.history.counts["conversations cut short"] += 1
            self.note("client", self.number, node, door, type(error).__name__, error)

    def _done(self, what: str, *words: object) -> None:
        self.history.counts[f"{what} ok"] += 1
        self.note("client", self.number, what, *words)

    # --- messages ---

    async def _deliveries(self, client: Lmtp, node: str, account: str) -> None:
        self._made += 1  # first: a token is never used twice, whatever comes of it
        await self.deliver(client, account, f"t{self.number}-{self._made}")

    async def deliver(self, client: Lmtp, account: str, token: str) -> None:
        """One message with this token."""
        began = trio.current_time()
        self.history.lives[token] = life = Life(account, Span(began))
        size = self.chance.choice([20, 200, 12_000])
        body = (
            (
                f"From: client@example.net\r\nTo: {account}\r\nSubject: {token}\r\n"
                f"Message-ID: <{token}@example.net>\r\n\r\n{'x' * 70}\r\n"
            )
            + "\r\n".join(["line of text"] * (size // 14))
            + "\r\n"
        )
        await client.deliver(account, body.encode())
        life.delivered = Span(began, trio.current_time())
        self._done("delivery", account, token)

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
        if len(rows) > MESSAGES_MAX // 2 or self.chance.random() < 0.25:
            await self._remove_by_imap(client, [row, *rows[: len(rows) // 4]])
        elif self.chance.random() < 0.5:
            flag = self.chance.choice([r"+FLAGS (\Seen)", r"-FLAGS (\Seen)", r"+FLAGS (kept)"])
            await client.ask(f"UID STORE {row.uid} {flag}")
            self._done("flag", row.token)
        else:
            there = MAILBOXES[1 - MAILBOXES.index(mailbox)]
            await self._move(row.token, client.ask(f'UID MOVE {row.uid} "{there}"'))

    async def _move(self, token: str, asking: Awaitable[Any]) -> None:
        moves, began = self.history.lives[token].moves, trio.current_time()
        moves.append(Span(began))
        await asking
        moves[moves.index(Span(began))] = Span(began, trio.current_time())
        self._done("move", token)

    async def _remove_by_imap(self, client: Imap, rows: list[Row]) -> None:
        uids = ",".join(str(uid) for uid in sorted({row.uid for row in rows}))
        spans = self._begin_removals([row.token for row in rows])
        await client.ask(f"UID STORE {uids} +FLAGS.SILENT (\\Deleted)")
        await client.ask(f"UID EXPUNGE {uids}")
        # Somebody may have moved one away in the meantime, which the answer does not say.
        left = {row.token for row in await client.rows()}
        quiet = {t for t in spans if not self.history.lives[t].moves}
        self._end_removals(spans, quiet - left)

    def _begin_removals(self, tokens: list[str]) -> dict[str, Span]:
        began = trio.current_time()
        spans = {token: Span(began) for token in tokens}
        for token, span in spans.items():
            self.history.lives[token].removals.append(span)
        return spans

    def _end_removals(self, spans: dict[str, Span], gone: set[str]) -> None:
        for token in sorted(gone):
            removals = self.history.lives[token].removals
            at = next(i for i, one in enumerate(removals) if one is spans[token])
            removals[at] = replace(spans[token], ended=trio.current_time())
            self._done("removal", token)

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
                self._done("flag", email["subject"])
        else:
            boxes = await client.mailboxes()
            there = boxes[self.chance.choice(["Inbox", "Archive"])]
            moved = {email["id"]: {"mailboxIds": {there: True}}}
            await self._move(email["subject"], client.call(("Email/set", {"update": moved})))

    async def _remove_by_jmap(self, client: Jmap, emails: list[dict[str, Any]]) -> None:
        by_id = {email["id"]: email["subject"] for email in emails}
        spans = self._begin_removals(list(by_id.values()))
        (answer,) = await client.call(("Email/set", {"destroy": list(by_id)}))
        self._end_removals(spans, {by_id[gone] for gone in answer.get("destroyed") or ()})

    # --- registers: the keyword that a message of carol's has, at most one at a time ---

    async def _register_session(self, client: Jmap, node: str, account: str) -> None:
        state, emails = await self._read_registers(client)
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

    async def _read_registers(self, client: Jmap) -> tuple[str, list[tuple[str, Any, str]]]:
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
                async with client._talk(node, "lmtp", *REGISTERS) as door:
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
