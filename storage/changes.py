"""The change log: what each version of an account changed, by type; and its reading.

One row per (type, version) lists the ids created, updated and destroyed. `since` folds the rows
after a version into RFC 8620 5.2's answer: an id is in one list only, and one that came and went
in between is in none. A second log, by mailbox, keeps the UIDs that left it (RFC 7162 3.2.10).

The state of a type is the version that last changed it (`changed_at`): it stays when others change.
A row is written once and never changed by a later command, so a reader may stop inside one: such a
state is a version and how many ids of the next row have been told (`skip`).
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Final

import msgspec

from storage import keys
from storage.engine import Row, Rows, prefix_end
from storage.ids import AccountId, MailboxId, Version
from storage.keys import TypeCode
from storage.plan import Plan
from storage.values import pack_u64, unpack_u64

# Rows of the log read at a time.
SCAN_ROWS: Final = 256
# Rows of the log one trimming batch deletes.
TRIM_ROWS_MAX: Final = 2_000


class ChangeRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What one command changed of one type. `counted`: updated, but only in its counts."""

    created: tuple[int, ...] = ()
    updated: tuple[int, ...] = ()
    destroyed: tuple[int, ...] = ()
    counted: tuple[int, ...] = ()


class Changes(msgspec.Struct, frozen=True):
    """RFC 8620 5.2: ids ascending; `counted` are those of `updated` that changed in counts alone,
    and `counts_only` says that all of them did.

    Asking again from (`new_version`, `new_skip`) goes on where this ends.
    """

    created: list[int]
    updated: list[int]
    destroyed: list[int]
    new_version: Version
    has_more: bool
    counts_only: bool
    new_skip: int = 0
    counted: tuple[int, ...] = ()


class TooOld(Exception):
    """The log does not tell what changed since then: RFC 8620 5.2 cannotCalculateChanges."""


_ENCODER: Final = msgspec.msgpack.Encoder()
_ROW: Final = msgspec.msgpack.Decoder(ChangeRow)
_UIDS: Final = msgspec.msgpack.Decoder(list[int])

# What the fold knows of an id, seen over the whole window.
_CREATED, _UPDATED, _COUNTED, _DESTROYED = range(4)


def record(
    plan: Plan,
    account: AccountId,
    kind: TypeCode,
    *,
    created: Collection[int] = (),
    updated: Collection[int] = (),
    destroyed: Collection[int] = (),
    counts_only: bool = False,
) -> Version:
    """Log that the running command changes these ids; returns the version it changes them at.

    A command may call it often: its calls fold into one row. `counts_only` says so of `updated`.
    """
    version = plan.touch(account, kind.bit)
    key = keys.change_key(account, kind, version)
    held = plan.get(key)
    full, counted = ((), updated) if counts_only else (updated, ())
    row = ChangeRow(tuple(created), tuple(full), tuple(destroyed), tuple(counted))
    if held is not None or len(created) + len(updated) + len(destroyed) != 1:
        fold = _Fold()
        if held is not None:
            fold.add_all(_ids(_ROW.decode(held)))
        fold.add_all(_ids(row))
        row = fold.row()
    plan.put(key, _ENCODER.encode(row))  # one id alone, as of a delivery, is in order as it is
    return version


class _Fold:
    """Folds rows, oldest first, into one."""

    def __init__(self) -> None:
        self.kinds: dict[int, int] = {}

    def add_all(self, ids: Iterable[tuple[int, int]]) -> None:
        for kind, number in ids:
            self._add(kind, number)

    def _add(self, kind: int, number: int) -> None:
        kinds = self.kinds
        before = kinds.get(number)
        if before is None:
            kinds[number] = kind
        elif kind == _DESTROYED:
            if before == _CREATED:
                del kinds[number]  # came and went: the asker never knew it
            else:
                kinds[number] = _DESTROYED
        elif before == _DESTROYED:
            kinds[number] = _UPDATED  # gone and made again under the same id
        elif before == _COUNTED and kind == _UPDATED:
            kinds[number] = _UPDATED

    def row(self) -> ChangeRow:
        lists: tuple[list[int], ...] = ([], [], [], [])
        for number in sorted(self.kinds):
            lists[self.kinds[number]].append(number)
        return ChangeRow(
            created=tuple(lists[_CREATED]),
            updated=tuple(lists[_UPDATED]),
            destroyed=tuple(lists[_DESTROYED]),
            counted=tuple(lists[_COUNTED]),
        )


def _ids(row: ChangeRow) -> Iterator[tuple[int, int]]:
    """The row's ids in the fixed order that `skip` counts in."""
    yield from ((_CREATED, number) for number in row.created)
    yield from ((_UPDATED, number) for number in row.updated)
    yield from ((_COUNTED, number) for number in row.counted)
    yield from ((_DESTROYED, number) for number in row.destroyed)


def changed_at(
    rows: Rows, account: AccountId, kind: TypeCode, up_to: Version | None = None
) -> Version:
    """The version that last changed the type, `up_to` one (None: now); 0 before its first change.

    When the log has no row of the type left: where the log begins.
    """
    until = newest(rows, account) if up_to is None else up_to
    if rows.get(keys.change_key(account, kind, until)) is not None:
        return until  # mostly so, and a sixth of the cost of a scan
    last = rows.scan(*keys.change_range(account, kind, -1, until), reverse=True, limit=1)
    if last:
        return keys.unpack_change_key(last[0][0])[1]
    return Version(min(horizon(rows, account), until))


def since(
    rows: Rows,
    account: AccountId,
    kind: TypeCode,
    version: int,
    limit: int | None = None,
    *,
    skip: int | None = None,
) -> Changes:
    """What changed of one type after `version`, at most `limit` ids; raises TooOld.

    With a limit the answer may stop at an earlier version and say has_more. A single version
    that changed more ids than the limit is TooOld for an asker who cannot name places inside a
    version; one who can passes `skip` (0 at first) and gets `new_skip`.
    """
    assert limit is None or limit > 0, limit
    now = _reach(rows, account, kind, version)
    fold, reached, skipped = _Fold(), version, skip or 0
    for key, value in _walk(rows, keys.change_range(account, kind, version, now)):
        ids = list(_ids(_ROW.decode(value)))[skipped:]
        if limit is not None and len(fold.kinds.keys() | {number for _, number in ids}) > limit:
            if reached > version:
                return _answer(fold, reached, has_more=True)
            if skip is None:
                raise TooOld(f"one version changed more than {limit} ids")
            fold.add_all(ids[:limit])
            return _answer(fold, version, has_more=True, skip=skipped + limit)
        fold.add_all(ids)
        reached, skipped = keys.unpack_change_key(key)[1], 0
    return _answer(fold, now, has_more=False)


def check_reach(rows: Rows, account: AccountId, version: int) -> Version:
    """The account's version now; raises TooOld when the log does not lead there from `version`."""
    return _reach(rows, account, None, version)


def _reach(rows: Rows, account: AccountId, kind: TypeCode | None, version: int) -> Version:
    """As `check_reach`; to a type that has not changed since, the log leads from anywhere."""
    now = newest(rows, account)
    if version <= now:
        if version >= horizon(rows, account):
            return now
        if kind is not None and version >= changed_at(rows, account, kind):
            return now
    raise TooOld(f"version {version} is not in the log, which ends at {now}")


def newest(rows: Rows, account: AccountId) -> Version:
    """The account's version now: the log ends there."""
    held = rows.get(keys.version_key(account))
    return Version(0 if held is None else unpack_u64(held))


def horizon(rows: Rows, account: AccountId) -> int:
    """The log leads from this version on; it was forgotten at and below."""
    held = rows.get(keys.horizon_key(account))
    return 0 if held is None else unpack_u64(held)


def _answer(fold: _Fold, version: int, *, has_more: bool, skip: int = 0) -> Changes:
    row = fold.row()
    return Changes(
        created=list(row.created),
        updated=sorted(row.updated + row.counted),
        destroyed=list(row.destroyed),
        new_version=Version(version),
        has_more=has_more,
        counts_only=bool(row.counted) and not row.updated,
        new_skip=skip,
        counted=row.counted,
    )


def _walk(rows: Rows, window: keys.KeyRange) -> Iterator[Row]:
    """Rows of a window in order, a page at a time."""
    start, end = window
    while page := rows.scan(start, end, limit=SCAN_ROWS):
        yield from page
        start = page[-1][0] + b"\x00"


def record_vanished(
    plan: Plan, account: AccountId, mailbox: MailboxId, uids: Collection[int]
) -> None:
    """Log that these UIDs leave the mailbox by the running command."""
    version = plan.touch(account, 0)  # no type's: one that it concerns is logged by `record`
    key = keys.expunged_key(account, mailbox, version)
    held = plan.get(key)
    gone = set(uids) if held is None else {*uids, *_UIDS.decode(held)}
    plan.put(key, _ENCODER.encode(sorted(gone)))


def vanished(rows: Rows, account: AccountId, mailbox: MailboxId, version: int) -> list[int]:
    """UIDs that left the mailbox after `version`, ascending; raises TooOld."""
    check_reach(rows, account, version)
    gone: set[int] = set()
    for _, value in _walk(rows, keys.expunged_range(account, mailbox, version)):
        gone.update(_UIDS.decode(value))
    return sorted(gone)


def plan_trim(plan: Plan, account: AccountId, up_to: Version) -> bool:
    """Forget changes at and below `up_to`, at most TRIM_ROWS_MAX rows; True: there is more.

    The horizon row moves first, so a reader between two batches of trimming is told TooOld. The
    newest row of each type stays: it says since when the type is as it is.
    """
    held = plan.expect(keys.horizon_key(account))
    if held is None or unpack_u64(held) < up_to:
        plan.put(keys.horizon_key(account), pack_u64(up_to))
    old = _old_rows(plan, account, up_to, TRIM_ROWS_MAX)
    for key, _ in old:
        plan.delete(key)
    return len(old) == TRIM_ROWS_MAX


def has_untrimmed(rows: Rows, account: AccountId) -> bool:
    """Is anything left that the log's horizon has passed: whoever trimmed it did not finish."""
    return bool(_old_rows(rows, account, horizon(rows, account), 1))


def _old_rows(rows: Rows, account: AccountId, up_to: int, limit: int) -> list[Row]:
    """The first rows at and below `up_to` that may go."""
    old: list[Row] = []
    for kind in TypeCode:
        last = changed_at(rows, account, kind)
        window = keys.change_range(account, kind, -1, min(up_to, last - 1))
        if len(old) < limit:
            old += rows.scan(*window, limit=limit - len(old))
    return old + _old_expunged(rows, account, up_to, limit - len(old))


def _old_expunged(rows: Rows, account: AccountId, up_to: int, room: int) -> list[Row]:
    """Rows of UIDs gone at or below `up_to`, mailbox after mailbox."""
    old: list[Row] = []
    mailbox = MailboxId(0)
    end = prefix_end(keys.expunged_key(account, mailbox, 0)[:-16])
    while room > len(old) and (
        page := rows.scan(keys.expunged_key(account, mailbox, 0), end, limit=1)
    ):
        mailbox, _ = keys.unpack_expunged_key(page[0][0])
        window = keys.expunged_range(account, mailbox, -1, up_to)
        old += rows.scan(*window, limit=room - len(old))
        mailbox = MailboxId(mailbox + 1)
    return old
