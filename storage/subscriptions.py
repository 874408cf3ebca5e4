"""Push subscriptions (RFC 8620 7.2): to whom changes of an account are pushed, and how far.

A subscription is a record of its account. Beside it, in the system account, is its watch: the
version of the account that it has been told, so that whoever sends goes on where another stopped.
Watches change with every push and move nobody's version; each is expected as it was read. All
watches together are the list of the cluster's subscriptions.

What signs pushes is in push_keys.py; a subscription keeps a mark of its key.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from storage.collection import Collection
from storage.engine import Rows
from storage.grants import get_grant
from storage.ids import AccountId, Version
from storage.keys import TypeCode
from storage.plan import Plan
from storage.push_keys import key_mark, plan_push_key
from storage.push_rows import push_watch_key, push_watch_range, unpack_push_watch_key
from storage.slices import Steps, Wrong, pages

SUBSCRIPTIONS_MAX: Final = 64

_WATCH: Final = struct.Struct(">QB")
_ASKED: Final = 1


class TooManySubscriptions(Exception):
    """Over SUBSCRIPTIONS_MAX of one account."""


class PushKeys(msgspec.Struct, array_like=True, frozen=True):
    """What a client's pushes are encrypted with (RFC 8291 2): its public key, and a secret."""

    p256dh: bytes
    auth: bytes


class Subscription(msgspec.Struct, array_like=True, frozen=True):
    """One device's. `types` None is all; times in milliseconds since 1970.

    `credential` tells what secret the account had when it was made, `grant` by which grant of OAuth
    it was (0: by none), `signed_by` under which key of the cluster: it goes when any of them does.
    """

    device: str
    url: str
    push_keys: PushKeys | None
    code: str
    verified: bool
    expires_ms: int
    types: tuple[str, ...] | None
    credential: bytes
    signed_by: bytes = b""
    grant: int = 0


@dataclass(frozen=True, slots=True)
class Watch:
    """How far a subscription is: told up to a version, and whether its verification was sent."""

    told: Version
    asked: bool


SUBSCRIPTIONS: Final = Collection(TypeCode.PUSH_SUBSCRIPTION, Subscription)


def credential_mark(secret: str) -> bytes:
    """What a subscription keeps of the secret (a password's hash) that it was made by."""
    return hashlib.sha256(secret.encode()).digest()[:16]


def is_credited(rows: Rows, account: AccountId, held: Subscription, secret: str) -> bool:
    """What it was made by is still good (RFC 8620 7.2): the account's secret now is that of then,
    and the grant stands if it was one."""
    if credential_mark(secret) != held.credential:
        return False
    return held.grant == 0 or get_grant(rows, account, held.grant) is not None


def _pack_watch(watch: Watch) -> bytes:
    return _WATCH.pack(watch.told, _ASKED if watch.asked else 0)


def _unpack_watch(value: bytes) -> Watch:
    told, done = _WATCH.unpack(value)
    return Watch(Version(told), bool(done & _ASKED))


def get_watch(rows: Rows, account: AccountId, number: int) -> Watch | None:
    """How far a subscription is."""
    held = rows.get(push_watch_key(account, number))
    return None if held is None else _unpack_watch(held)


def subscribers(rows: Rows) -> Iterator[AccountId]:
    """The accounts that have subscriptions, in order."""
    start, end = push_watch_range()
    while found := rows.scan(start, end, limit=1):
        account = unpack_push_watch_key(found[0][0])[0]
        yield account
        start = push_watch_range(account)[1]


def watched(rows: Rows, account: AccountId) -> list[tuple[int, Subscription, Watch]]:
    """An account's subscriptions with their ids, and how far each is."""
    found = []
    for number, subscription in SUBSCRIPTIONS.list(rows, account, limit=SUBSCRIPTIONS_MAX):
        watch = get_watch(rows, account, number)
        assert watch is not None, (account, number)
        found.append((number, subscription, watch))
    return found


def plan_subscribe(plan: Plan, account: AccountId, subscription: Subscription) -> int:
    """Add a subscription under the present key, to be verified; its id.

    Raises TooManySubscriptions.
    """
    if len(SUBSCRIPTIONS.list(plan, account, limit=SUBSCRIPTIONS_MAX)) == SUBSCRIPTIONS_MAX:
        raise TooManySubscriptions(f"more than {SUBSCRIPTIONS_MAX} subscriptions")
    signed_by = key_mark(plan_push_key(plan))
    signed = msgspec.structs.replace(subscription, signed_by=signed_by)
    number = SUBSCRIPTIONS.create(plan, account, signed)
    watch = Watch(plan.version(account), asked=False)
    plan.put(push_watch_key(account, number), _pack_watch(watch))
    return number


def plan_change(plan: Plan, account: AccountId, number: int, subscription: Subscription) -> None:
    """Replace a subscription; one that is verified by it is told what changes from now on."""
    old = SUBSCRIPTIONS.get(plan, account, number)
    SUBSCRIPTIONS.update(plan, account, number, subscription)
    if old is not None and subscription.verified and not old.verified:
        watch = Watch(plan.version(account), asked=True)
        plan.put(push_watch_key(account, number), _pack_watch(watch))


def plan_unsubscribe(plan: Plan, account: AccountId, number: int) -> None:
    """Forget a subscription; raises Missing."""
    SUBSCRIPTIONS.destroy(plan, account, number)
    plan.delete(push_watch_key(account, number))


def plan_told(plan: Plan, told: Iterable[tuple[AccountId, int, Watch]]) -> None:
    """Remember how far these are; one that has gone, or is further already, stays as it is."""
    for account, number, watch in told:
        key = push_watch_key(account, number)
        held = plan.expect(key)
        if held is None:
            continue
        before = _unpack_watch(held)
        after = Watch(max(before.told, watch.told), before.asked or watch.asked)
        if after != before:
            plan.put(key, _pack_watch(after))


def recount_subscriptions(rows: Rows, account: AccountId) -> Steps[Wrong]:
    """Subscriptions whose watch is not there."""
    wrong = yield from SUBSCRIPTIONS.recount_in_steps(rows, account)
    wrong += [
        f"push subscription {number} is not watched"
        for number, _ in SUBSCRIPTIONS.list(rows, account)
        if get_watch(rows, account, number) is None
    ]
    return wrong


def lone_watches(rows: Rows) -> Steps[Wrong]:
    """Watches whose subscription is not there."""
    wrong: Wrong = []
    for page in pages(rows, push_watch_range()):
        for key, _ in page:
            account, number = unpack_push_watch_key(key)
            if SUBSCRIPTIONS.get(rows, account, number) is None:
                wrong.append(f"a watch on push subscription {number} of account {account}, no more")
        yield
    return wrong
