"""Blobs that no record holds: found, marked, and forgotten by ordinary batches.

    X  lone        blob 32     -> marked_ms u64 | parts u32 (if it is not whole; else 0) | mark u64
    Y  collected               -> blobs u64 | octets u64, ever
    E  guarded     replica u64 -> epoch u64: this process takes marks away when it links

Which blobs are lone is asked of all accounts' links, which takes long and happens beside
deliveries. What makes it safe is in the rows, and not in who leads or how late a batch comes:

    mark     X is put
    link     whoever plans a link of the blob expects X as he saw it, and takes it away; and he
             expects the blob to be here, or brings it whole in the same batch
    forget   all accounts are looked through, beginning after X was put; then a batch expects X as
             it was, and deletes X and what says that the blob is here

No two marks are alike: a late one never looks like another that a link took away. So while X
stands as it was nobody has linked the blob since; and if no account had a link when it was looked
at after that, none has one when the batch applies. A link that comes later finds the blob gone, is
a conflict, and is planned again: with the bytes, or refused. How long X must have stood (the grace)
is for the readers' and uploaders' convenience alone. A process of a version that knows no marks
has not written E for the epoch in which it proposes: while a member has not, nothing is forgotten.

Only rows are decided here; each node takes back its own disk by itself (storage/reclaim.py).
"""

import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from storage import keys
from storage.audit import next_account
from storage.engine import Rows
from storage.ids import SYSTEM_ACCOUNT, BlobId
from storage.keys import KeyRange, account_prefix
from storage.plan import Plan
from storage.slices import Steps, pages
from storage.values import pack_u64, unpack_u64

# Blobs whose links are looked for in one walk through all accounts: 10 MB of names.
WALK_BLOBS_MAX: Final = 32_768
# Rows that one batch expects, of blobs and their parts: some 100 KB. A blob of more goes alone.
BATCH_ROWS_MAX: Final = 1_024

_LONE: Final = struct.Struct(">QI")
_MARK_BITS: Final = 64  # drawn at random for each
_COLLECTED: Final = struct.Struct(">QQ")
_COLLECTED_KEY: Final = account_prefix(SYSTEM_ACCOUNT) + b"Y"


class Found(NamedTuple):
    """A blob as a walk has seen it."""

    blob: BlobId
    octets: int | None
    """None: it is not whole."""
    offsets: tuple[int, ...]
    """Of the parts that came, if it is not whole."""
    mark: bytes | None
    """What stood at X before the accounts were looked through."""
    is_held: bool


def walk(rows: Rows, after: BlobId | None) -> Steps[tuple[list[Found], BlobId | None]]:
    """The next blobs that no account holds, and those that are marked and held all the same; and
    where to go on. `rows` may move on between two steps, as a node applies."""
    sizes, upto = yield from _whole(rows, after)
    partial = yield from _partial(rows, _window(b"q", after, upto))
    marks = yield from _by_blob(rows, _window(b"X", after, upto))
    lone = dict.fromkeys((*sizes, *partial))
    first, last = _first(after), upto or BlobId(b"\xff" * 32)
    account = next_account(rows, None)
    while account is not None:
        start = keys.blob_link_range(account, first)[0]
        for page in pages(rows, (start, keys.blob_link_range(account, last)[1])):
            for key, _ in page:
                lone.pop(keys.unpack_blob_link_key(key)[0], None)
            yield
        yield
        account = next_account(rows, account)
    found = []
    for blob in (*sizes, *partial):
        is_held = blob not in lone
        if not is_held or blob in marks:
            offsets = tuple(partial.get(blob, ()))
            found.append(Found(blob, sizes.get(blob), offsets, marks.get(blob), is_held))
    return found, upto


def _first(after: BlobId | None) -> BlobId:
    return BlobId(bytes(32)) if after is None else after


def _window(letter: bytes, after: BlobId | None, upto: BlobId | None) -> KeyRange:
    start, end = keys.blobs_range(letter)
    if after is not None:
        start += after + b"\xff" * 9  # behind its parts, too
    return start, end if upto is None else keys.blobs_range(letter)[0] + upto + b"\xff" * 9


def _whole(rows: Rows, after: BlobId | None) -> Steps[tuple[dict[BlobId, int], BlobId | None]]:
    """Sizes of the next whole blobs; and the last of them, None when there are no more."""
    sizes: dict[BlobId, int] = {}
    for page in pages(rows, _window(b"B", after, None)):
        for key, value in page:
            sizes[BlobId(key[-32:])] = unpack_u64(value)
        if len(sizes) >= WALK_BLOBS_MAX:
            return sizes, BlobId(page[-1][0][-32:])
        yield
    return sizes, None


def _partial(rows: Rows, window: KeyRange) -> Steps[dict[BlobId, list[int]]]:
    """Offsets of the parts of blobs that are not whole."""
    found: dict[BlobId, list[int]] = {}
    for page in pages(rows, window):
        for key, _ in page:
            found.setdefault(BlobId(key[-40:-8]), []).append(unpack_u64(key[-8:]))
        yield
    return found


def _by_blob(rows: Rows, window: KeyRange) -> Steps[dict[BlobId, bytes]]:
    found: dict[BlobId, bytes] = {}
    for page in pages(rows, window):
        found.update([(BlobId(key[-32:]), value) for key, value in page])
        yield
    return found


def portions(found: Iterable[Found]) -> Iterator[list[Found]]:
    """What one batch settles."""
    portion: list[Found] = []
    rows = 0
    for each in found:
        rows += 2 + len(each.offsets)
        if portion and rows > BATCH_ROWS_MAX:
            yield portion
            portion, rows = [], 2 + len(each.offsets)
        portion.append(each)
    if portion:
        yield portion


def plan_settle(plan: Plan, found: Sequence[Found], members: Collection[int], grace_ms: int) -> int:
    """Mark what is lone, forget what has been for `grace_ms`, unmark what is held; how many are
    forgotten. `members` are the replicas that may propose."""
    may_forget = _are_guarded(plan, members)
    gone = octets = 0
    for each in found:
        lone = keys.lone_blob_key(each.blob)
        if plan.expect(lone) != each.mark or not _is_as_found(plan, each):
            continue  # linked, grown or forgotten since: the next walk sees it
        if each.is_held:
            plan.delete(lone)
        elif each.mark is None or _LONE.unpack_from(each.mark)[1] != len(each.offsets):
            mark = pack_u64(plan.chance.getrandbits(_MARK_BITS))
            plan.put(lone, _LONE.pack(plan.now_ms, len(each.offsets)) + mark)
        elif may_forget and _LONE.unpack_from(each.mark)[0] <= plan.now_ms - grace_ms:
            for key in _rows_of(each):
                plan.delete(key)
            plan.delete(lone)
            gone, octets = gone + 1, octets + (each.octets or 0)
    if gone:
        held = plan.expect(_COLLECTED_KEY)
        before = (0, 0) if held is None else _COLLECTED.unpack(held)
        plan.put(_COLLECTED_KEY, _COLLECTED.pack(before[0] + gone, before[1] + octets))
    return gone


def _rows_of(each: Found) -> list[bytes]:
    """What says that its bytes are here."""
    if each.octets is not None:
        return [keys.blob_key(each.blob)]
    return [keys.blob_part_key(each.blob, offset) for offset in each.offsets]


def _is_as_found(plan: Plan, each: Found) -> bool:
    """It is whole still, or not yet; and the batch expects that."""
    whole = plan.expect(keys.blob_key(each.blob))
    if each.octets is not None:
        return whole is not None
    return whole is None and all(plan.expect(key) is not None for key in _rows_of(each))


def collected(rows: Rows) -> tuple[int, int]:
    """How many blobs were ever forgotten, and their octets."""
    held = rows.get(_COLLECTED_KEY)
    if held is None:
        return 0, 0
    blobs, octets = _COLLECTED.unpack(held)
    return blobs, octets


def _guard_key(replica: int) -> bytes:
    return account_prefix(SYSTEM_ACCOUNT) + b"E" + pack_u64(replica)


def _epoch(held: bytes | None) -> bytes | None:
    """The boot epoch in a row of storage/apply.py."""
    return None if held is None else held[:8]


def plan_guard(plan: Plan, replica: int) -> None:
    """The process that proposes this, as that replica, takes marks away when it links."""
    epoch = _epoch(plan.expect(keys.epoch_key(replica)))
    if epoch is not None and plan.expect(_guard_key(replica)) != epoch:
        plan.put(_guard_key(replica), epoch)


def _are_guarded(plan: Plan, members: Collection[int]) -> bool:
    """Whoever may propose now, and when this applies, takes marks away."""
    registered = [(plan.expect(keys.epoch_key(each)), each) for each in sorted(members)]
    return all(
        held is None or plan.expect(_guard_key(each)) == _epoch(held) for held, each in registered
    )
