"""The one that pushes (trio): the leader of the cluster, for as long as it leads.

Whoever begins to lead reads all subscriptions and how far each was told, so what its predecessor
had not delivered, or had delivered and not written down, it sends: a push may come twice, and
none is missed. What was delivered is written down soon after, many at a time.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, Protocol

import trio

from protocols.jmap.state_change import changed_since
from protocols.ports import Ports, Unavailable, Watch
from protocols.push.message import Draw, content, seal
from protocols.push.post import Posted
from protocols.push.schedule import Job, Key, Outcome, Schedule
from protocols.webpush.targets import Target, read_target
from storage.accounts import get_account
from storage.engine import Rows
from storage.ids import SYSTEM_ACCOUNT, AccountId, Version
from storage.keys import TypeCode
from storage.mail.state import version
from storage.plan import Plan
from storage.push_keys import is_signed_for, plan_push_key, push_key, signing_key
from storage.subscriptions import (
    SUBSCRIPTIONS,
    is_credited,
    plan_told,
    plan_unsubscribe,
    subscribers,
    watched,
)
from storage.subscriptions import Watch as Told

_LOG: Final = logging.getLogger("trireme.push")

# News is looked at so often: what comes meanwhile is one look's work.
NEWS_PAUSE_S: Final = 0.02
# What was delivered is written down so often, and so many at a time.
RECORD_PAUSE_S: Final = 0.2
RECORDED_MAX: Final = 500
# Subscriptions that are over are looked for so often; they are not used meanwhile either.
OVER_LOOK_S: Final = 60.0
# After the cluster could not answer.
UNAVAILABLE_PAUSE_S: Final = 1.0
# Accounts read between two places where others may run.
LOAD_ACCOUNTS: Final = 64


class Poster(Protocol):
    """Sends one request (post.py)."""

    async def send(self, target: Target, headers: Sequence[tuple[str, str]], body: bytes) -> Posted:
        """What became of it."""
        ...


class PushSender:
    """Runs on every node, and sends on the one that leads."""

    def __init__(self, ports: Ports, poster: Poster, *, draw: Draw, contact: str) -> None:
        """`contact` is whom a push service writes to: a mailto or https URL (RFC 8292 2.1)."""
        self._ports = ports
        self._poster = poster
        self._draw = draw
        self._contact = contact
        self._leads = False
        self._turned = trio.Event()

    def lead(self, leads: bool) -> None:
        """This node leads now, or does not."""
        if leads != self._leads:
            self._leads = leads
            self._turned.set()
            self._turned = trio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            turned = self._turned
            if self._leads:
                async with trio.open_nursery() as nursery:
                    term = _Term(self._ports, self._poster, self._draw, self._contact)
                    nursery.start_soon(term.run)
                    await turned.wait()
                    nursery.cancel_scope.cancel()
            else:
                await turned.wait()


class _Term:
    """From the moment this node leads until it does not."""

    def __init__(self, ports: Ports, poster: Poster, draw: Draw, contact: str) -> None:
        self._ports = ports
        self._poster = poster
        self._draw = draw
        self._contact = contact
        self._schedule = Schedule(ports.chance, _host_of)
        self._bell = trio.Event()
        self._told: dict[Key, Told] = {}
        self._told_bell = trio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        with self._ports.news.watch_all() as watch:
            await self._barrier()
            await self._load_all()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hear, watch)
                nursery.start_soon(self._record)
                nursery.start_soon(self._expire)
                while True:
                    bell = self._bell
                    now_s = trio.current_time()
                    for job in self._schedule.take_due(now_s):
                        nursery.start_soon(self._push, job)
                    next_s = self._schedule.next_s()
                    # One that is due and was not taken waits for another to end.
                    until_s = next_s if next_s is not None and next_s > now_s else math.inf
                    with trio.move_on_at(until_s):
                        await bell.wait()

    def _ring(self) -> None:
        self._bell.set()
        self._bell = trio.Event()

    # --- what there is to send

    async def _barrier(self) -> None:
        """Everything that was acknowledged before this node led is here."""
        while True:
            try:
                await self._ports.reader.view()
            except Unavailable:
                await trio.sleep(UNAVAILABLE_PAUSE_S)
            else:
                return

    async def _load_all(self) -> None:
        rows = self._ports.reader.local()
        for count, account in enumerate([*subscribers(rows)]):
            if count % LOAD_ACCOUNTS == LOAD_ACCOUNTS - 1:
                await trio.lowlevel.checkpoint()
            self._load(self._ports.reader.local(), account)

    def _load(self, rows: Rows, account: AccountId) -> None:
        missed = partial(_missed, rows, account)
        self._schedule.load(account, watched(rows, account), missed, trio.current_time())

    async def _hear(self, watch: Watch) -> None:
        while True:
            await watch.wait()
            if self._take_news(watch.take()):
                await self._load_all()
            self._ring()
            await trio.sleep(NEWS_PAUSE_S)

    def _take_news(self, changed: Mapping[AccountId, tuple[Version, int]]) -> bool:
        """Fold it in; whether all must be read anew, since anything may have changed."""
        rows = self._ports.reader.local()
        for account, (newest, types) in changed.items():
            if not types & TypeCode.PUSH_SUBSCRIPTION.bit:
                self._schedule.note(account, newest, types)
            elif account == SYSTEM_ACCOUNT:
                return True
            else:
                self._load(rows, account)
        return False

    # --- sending

    async def _push(self, job: Job) -> None:
        posted = await self._post(job)
        level = logging.DEBUG if posted.outcome is Outcome.DELIVERED else logging.INFO
        _LOG.log(level, "push p%d of a%d: %s", job.number, job.account, posted.detail)
        moved = self._schedule.done(job, posted.outcome, trio.current_time(), posted.retry_after_s)
        if posted.outcome is Outcome.GONE:
            await self._forget((job.account, job.number))
        elif moved:
            self._told[(job.account, job.number)] = job.watch
            self._told_bell.set()
        self._ring()

    async def _post(self, job: Job) -> Posted:
        rows, now_ms = self._ports.reader.local(), self._ports.clock.now_ms()
        if _is_over(rows, job, now_ms):
            return Posted(Outcome.GONE, "it has expired, or its credentials or key have")
        target = read_target(job.subscription.url)
        assert target is not None, job.subscription.url
        if push_key(rows) is None:
            try:
                await self._ports.writer.write(SYSTEM_ACCOUNT, plan_push_key)
            except Unavailable:
                return Posted(Outcome.UNREACHED, "there is no key to sign with yet")
            rows = self._ports.reader.local()
        sign = signing_key(rows, job.subscription.signed_by, now_ms)
        if sign is None:
            return Posted(Outcome.GONE, "the key it was made under signs no more")
        sealed = seal(
            content(rows, job),
            job,
            target,
            sign=sign,
            contact=self._contact,
            now_s=now_ms // 1000,
            draw=self._draw,
        )
        return await self._poster.send(target, sealed.headers, sealed.body)

    # --- writing down

    async def _record(self) -> None:
        while True:
            await self._told_bell.wait()
            self._told_bell = trio.Event()
            while self._told:
                keys = list(self._told)[:RECORDED_MAX]
                batch = [(*key, self._told.pop(key)) for key in keys]
                try:
                    await self._ports.writer.write(SYSTEM_ACCOUNT, partial(_tell, batch))
                except Unavailable:
                    for account, number, told in batch:
                        self._told.setdefault((account, number), told)
                    await trio.sleep(UNAVAILABLE_PAUSE_S)
                await trio.sleep(RECORD_PAUSE_S)

    async def _expire(self) -> None:
        while True:
            for count, job in enumerate(self._schedule.jobs()):
                if count % LOAD_ACCOUNTS == LOAD_ACCOUNTS - 1:
                    await trio.lowlevel.checkpoint()
                if _is_over(self._ports.reader.local(), job, self._ports.clock.now_ms()):
                    await self._forget((job.account, job.number))
            self._schedule.forget_old_verifications(trio.current_time())
            await trio.sleep(OVER_LOOK_S)

    async def _forget(self, key: Key) -> None:
        """It is no more; when the cluster cannot say so now, the next look does it."""
        account, number = key

        def command(plan: Plan) -> None:
            if SUBSCRIPTIONS.get(plan, account, number) is not None:
                plan_unsubscribe(plan, account, number)

        try:
            await self._ports.writer.write(account, command)
        except Unavailable as error:
            _LOG.info("push p%d of a%d is over, and not forgotten yet: %s", number, account, error)


def _is_over(rows: Rows, job: Job, now_ms: int) -> bool:
    """It has expired, or the credentials it was made with (RFC 8620 7.2) or the key it was made
    under (RFC 9749 5) are no more."""
    owner, held = get_account(rows, job.account), job.subscription
    revoked = owner is None or not is_credited(rows, job.account, held, owner.password)
    is_signed = is_signed_for(rows, held.signed_by, now_ms)
    return revoked or not is_signed or held.expires_ms <= now_ms


def _tell(batch: Sequence[tuple[AccountId, int, Told]], plan: Plan) -> None:
    plan_told(plan, batch)


def _missed(rows: Rows, account: AccountId, told: Version) -> tuple[Version, int]:
    now = version(rows, account)
    return changed_since(rows, {account: now}, {account: told}).get(account, (now, 0))


def _host_of(url: str) -> str:
    target = read_target(url)
    assert target is not None, url
    return target.host
