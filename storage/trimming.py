"""How far back an account's change log goes, and forgetting what is older.

    Z  ages   -> [noted_ms, version] ... oldest first: what the account's version was then

The newest CHANGES_KEPT versions always stay: a phone that was in a drawer finds its way back by
RFC 8620 5.2 and RFC 7162. What is before them stays while it is younger than KEPT_MS, up to
CHANGES_MAX. The log itself knows no time, so an account whose log is longer than CHANGES_KEPT has
its version noted every NOTE_MS, by the same command that trims; all others cost no row at all.

Whoever trims (node/trimmer.py) may be followed by another at any moment: what is left to do is
read from the rows.
"""

from typing import Final

import msgspec

from storage import changes
from storage.engine import Rows
from storage.ids import AccountId, Version
from storage.keys import account_prefix
from storage.plan import Plan

DAY_MS: Final = 24 * 3600 * 1000

# Versions of an account whose changes are always told: some 2 MB of rows, a month of 300 a day.
CHANGES_KEPT: Final = 10_000
# Those before are told for so long ...
KEPT_MS: Final = 30 * DAY_MS
# ... unless an account changes as if there were no tomorrow: some 20 MB of rows.
CHANGES_MAX: Final = 100_000
# So often the version is noted; what is told may be told for so much longer than KEPT_MS.
NOTE_MS: Final = DAY_MS

_ENCODER: Final = msgspec.msgpack.Encoder()
_AGES: Final = msgspec.msgpack.Decoder(list[tuple[int, int]])


def _ages_key(account: AccountId) -> bytes:
    return account_prefix(account) + b"Z"


def _ages(rows: Rows, account: AccountId) -> list[tuple[int, int]]:
    held = rows.get(_ages_key(account))
    return [] if held is None else _AGES.decode(held)


def is_due(rows: Rows, account: AccountId, now_ms: int) -> bool:
    """Would `plan_keep` change anything now."""
    version, horizon = changes.newest(rows, account), changes.horizon(rows, account)
    if version - CHANGES_KEPT > horizon:
        ages = _ages(rows, account)
        if _must_note(ages, version, now_ms) or _horizon_due(ages, version, now_ms) > horizon:
            return True
    return horizon > 0 and changes.has_untrimmed(rows, account)


def plan_keep(plan: Plan, account: AccountId) -> bool:
    """Note how old the log is, and forget what is too old; True: call again, there is more."""
    version, horizon = changes.newest(plan, account), changes.horizon(plan, account)
    ages = _ages(plan, account)
    due = _horizon_due(ages, version, plan.now_ms)
    wanted = max(horizon, due)
    if version - CHANGES_KEPT > horizon and _must_note(ages, version, plan.now_ms):
        ages.append((plan.now_ms, version))
    # The horizon is behind every age that has led to it; those led nowhere any more.
    left = [age for age in ages if age[1] > wanted]
    plan.expect(_ages_key(account))
    if left != _ages(plan, account):
        plan.put(_ages_key(account), _ENCODER.encode(left))
    if wanted > horizon or (horizon > 0 and changes.has_untrimmed(plan, account)):
        return changes.plan_trim(plan, account, Version(wanted))
    return False


def _must_note(ages: list[tuple[int, int]], version: int, now_ms: int) -> bool:
    return not ages or (ages[-1][0] <= now_ms - NOTE_MS and ages[-1][1] < version)


def _horizon_due(ages: list[tuple[int, int]], version: int, now_ms: int) -> int:
    """The newest version that need not be told any more; 0 or less when all must be."""
    aged = max((noted for at_ms, noted in ages if at_ms <= now_ms - KEPT_MS), default=0)
    return min(version - CHANGES_KEPT, max(aged, version - CHANGES_MAX))
