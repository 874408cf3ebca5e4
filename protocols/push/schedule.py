"""Which push is due when: a core without I/O; the sender carries out what it says.

Per subscription: a verification first, once; then StateChanges, each with the newest state of
every type that changed since the last one that arrived. While one is under way, or its service
rests after a failure, changes fold into the next: a subscription is a mask and a version, however
much happens.

    delivered      told so far; the next after PAUSE_S at the earliest
    busy (429)     the pauses between its pushes double too, and what the service says is kept
    failed         tried again after pauses that double, until the subscription expires
    unreached      the same; a verification is given up after VERIFICATION_ATTEMPTS_MAX
    gone           404, 410: the subscription is forgotten
"""

import random
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from protocols.jmap.state_change import PUSHED_BITS, type_bits
from storage.ids import AccountId, Version
from storage.subscriptions import Subscription, Watch

# Between two pushes of one subscription; doubled by each 429 up to the second.
PAUSE_S: Final = 1.0
PAUSE_S_MAX: Final = 600.0
# After the first failure; doubled by each, up to the second.
RETRY_S: Final = 5.0
RETRY_S_MAX: Final = 1800.0
# A service that was not reached has seen no request: RFC 8620 7.2 forbids another after one.
VERIFICATION_ATTEMPTS_MAX: Final = 4
# Verifications of one account in a window of time: they go to whoever it names.
VERIFICATIONS_MAX: Final = 20
VERIFICATIONS_WINDOW_S: Final = 60.0
# Pushes under way at once, and of those to one host.
POSTS_MAX: Final = 64
POSTS_PER_HOST_MAX: Final = 16

Key = tuple[AccountId, int]
Missed = Callable[[Version], tuple[Version, int]]
"""What changed of an account after a version: its version now, and a mask of types."""


class Outcome(Enum):
    """What became of a push."""

    DELIVERED = auto()
    BUSY = auto()
    FAILED = auto()
    UNREACHED = auto()
    GONE = auto()


@dataclass(slots=True, eq=False)
class Job:
    """One subscription as the schedule knows it."""

    account: AccountId
    number: int
    subscription: Subscription
    host: str
    told: Version
    asked: bool
    """Its verification was sent, or given up."""
    newest: Version
    sending_version: Version
    sending: int = 0
    due: int = 0
    """Types that changed since `told`."""
    in_flight: bool = False
    failures: int = 0
    pause_s: float = PAUSE_S
    next_s: float = 0.0
    removed: bool = False

    @property
    def wants(self) -> bool:
        """Whether there is something to send."""
        return self.due != 0 if self.subscription.verified else not self.asked

    @property
    def watch(self) -> Watch:
        """How far it is, to be remembered."""
        return Watch(self.told, self.asked)


@dataclass(slots=True)
class Schedule:
    """All subscriptions that one sender serves."""

    chance: random.Random
    host_of: Callable[[str], str]
    _jobs: dict[AccountId, dict[int, Job]] = field(default_factory=dict)
    _pending: dict[Key, Job] = field(default_factory=dict)
    _hosts: dict[str, int] = field(default_factory=dict)
    _in_flight: int = 0
    _verified_at: dict[AccountId, deque[float]] = field(default_factory=dict)

    def load(
        self,
        account: AccountId,
        found: Sequence[tuple[int, Subscription, Watch]],
        missed: Missed,
        now_s: float,
    ) -> None:
        """The account's subscriptions are these, and no others."""
        known = self._jobs.pop(account, {})
        jobs: dict[int, Job] = {}
        for number, subscription, watch in found:
            job = known.pop(number, None)
            if job is None:
                job = self._new(account, number, subscription, watch, now_s)
            elif subscription.verified and not job.subscription.verified:
                job.told, job.next_s, job.failures = watch.told, now_s, 0
            job.subscription = subscription
            job.told, job.asked = max(job.told, watch.told), job.asked or watch.asked
            jobs[number] = job
            if subscription.verified:
                self._note(job, *missed(job.told))
            self._mark(job)
        for job in known.values():
            job.removed = True
            self._pending.pop((account, job.number), None)
        if jobs:
            self._jobs[account] = jobs

    def _new(
        self, account: AccountId, number: int, held: Subscription, watch: Watch, now_s: float
    ) -> Job:
        return Job(
            account=account,
            number=number,
            subscription=held,
            host=self.host_of(held.url),
            told=watch.told,
            asked=watch.asked,
            newest=watch.told,
            sending_version=watch.told,
            next_s=now_s,
        )

    def knows(self, account: AccountId) -> bool:
        """Whether the account has subscriptions here."""
        return account in self._jobs

    def note(self, account: AccountId, version: Version, types: int) -> None:
        """Something of an account has changed."""
        for job in self._jobs.get(account, {}).values():
            if job.subscription.verified:
                self._note(job, version, types)
                self._mark(job)

    def _note(self, job: Job, version: Version, types: int) -> None:
        job.newest = max(job.newest, version)
        if version > job.told:
            job.due |= types & type_bits(job.subscription.types) & PUSHED_BITS

    def _mark(self, job: Job) -> None:
        if job.wants and not job.in_flight and not job.removed:
            self._pending[(job.account, job.number)] = job
        else:
            self._pending.pop((job.account, job.number), None)

    def take_due(self, now_s: float) -> Iterator[Job]:
        """What is to be sent now; each is in flight until `done` is told of it."""
        for job in list(self._pending.values()):
            if self._in_flight >= POSTS_MAX:
                return
            if job.next_s > now_s or self._hosts.get(job.host, 0) >= POSTS_PER_HOST_MAX:
                continue
            if not job.subscription.verified and not self._may_verify(job, now_s):
                continue
            job.in_flight = True
            job.sending, job.sending_version, job.due = job.due, job.newest, 0
            self._in_flight += 1
            self._hosts[job.host] = self._hosts.get(job.host, 0) + 1
            del self._pending[(job.account, job.number)]
            yield job

    def _may_verify(self, job: Job, now_s: float) -> bool:
        recent = self._verified_at.setdefault(job.account, deque(maxlen=VERIFICATIONS_MAX))
        if len(recent) == VERIFICATIONS_MAX and now_s - recent[0] < VERIFICATIONS_WINDOW_S:
            job.next_s = recent[0] + VERIFICATIONS_WINDOW_S
            return False
        recent.append(now_s)
        return True

    def done(self, job: Job, outcome: Outcome, now_s: float, retry_after_s: float = 0) -> bool:
        """What became of a push; whether `job.watch` has moved and is to be remembered."""
        job.in_flight = False
        self._in_flight -= 1
        left = self._hosts[job.host] - 1
        if left:
            self._hosts[job.host] = left
        else:
            del self._hosts[job.host]
        sent, job.sending = job.sending, 0
        verifying = sent == 0
        moved = outcome is Outcome.DELIVERED
        if moved:
            job.failures, job.next_s = 0, now_s + job.pause_s
            job.told = max(job.told, job.sending_version) if not verifying else job.told
        else:
            job.due |= sent
            job.failures += 1
            if outcome is Outcome.BUSY:
                job.pause_s = min(job.pause_s * 2, PAUSE_S_MAX)
            job.next_s = now_s + max(self._rest(job.failures), retry_after_s)
        if verifying and (
            outcome is not Outcome.UNREACHED or job.failures >= VERIFICATION_ATTEMPTS_MAX
        ):
            job.asked, job.failures, moved = True, 0, True
        self._mark(job)
        return moved and not job.removed

    def _rest(self, failures: int) -> float:
        doublings = min(failures - 1, 20)
        longest = min(RETRY_S * float(1 << doublings), RETRY_S_MAX)
        return longest * self.chance.uniform(0.75, 1.0)

    def next_s(self) -> float | None:
        """When to look again, if nothing comes before."""
        return min((job.next_s for job in self._pending.values()), default=None)

    def jobs(self) -> list[Job]:
        """All of them."""
        return [job for jobs in self._jobs.values() for job in jobs.values()]

    def forget_old_verifications(self, now_s: float) -> None:
        """Accounts that asked for none lately are not remembered."""
        for account, recent in list(self._verified_at.items()):
            if now_s - recent[-1] >= VERIFICATIONS_WINDOW_S:
                del self._verified_at[account]

    @property
    def accounts(self) -> Collection[AccountId]:
        """Who has subscriptions."""
        return self._jobs.keys()
