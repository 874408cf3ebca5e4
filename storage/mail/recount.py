"""Recount: everything derived of an account's mail, made anew from its primary rows.

Primary are mailbox records, EmailMeta, the hints kept in EmailView, and the numbers that only
ever grow. All else follows from them: UID rows, orders by date, threads, counts, hints, blob
links, name and role indexes, counters. `recount` says where what is held differs from what
should be, in one go, as tests do after each step; `recount_in_steps` is for an account that is
being used: it reads all of it a little at a time, and is right if the version stayed the same.
"""

from collections.abc import Iterable, Iterator

import msgspec

from storage import keys
from storage.engine import Rows, prefix_end
from storage.ids import AccountId, EmailId, MailboxId, ThreadId
from storage.keys import KeyRange, TypeCode
from storage.mail.counts import Tally, member_of, read_counts, thread_shares
from storage.mail.ledger import ALL_MAIL, date_place
from storage.mail.mailbox_rows import index_of, index_rows, read_mailboxes, trash_of
from storage.mail.messages import email_view
from storage.mail.records import (
    EmailMeta,
    Mailbox,
    MailboxCounts,
    ThreadMember,
    ThreadRecord,
    is_visible,
    pack,
    uid_row_at,
    unpack_meta,
    unpack_uid_row,
)
from storage.mail.state import state, version
from storage.mail.threads import unpack_hint, unpack_hints
from storage.slices import DIFFERENCES_MAX, Steps, at_once, differences, pages, portions
from storage.values import pack_u64

__all__ = ["DIFFERENCES_MAX", "recount", "recount_in_steps"]

_Threads = dict[ThreadId, tuple[ThreadMember, ...]]


def recount(rows: Rows, account: AccountId) -> list[str]:
    """What is not as the primary rows have it, in words; empty when all is well."""
    return at_once(recount_in_steps(rows, account))


def recount_in_steps(rows: Rows, account: AccountId) -> Steps[list[str]]:
    """The same, with pauses."""
    mailboxes = read_mailboxes(rows, account)
    metas: list[EmailMeta] = []
    for page in pages(rows, keys.email_meta_range(account)):
        metas += [unpack_meta(value) for _, value in page]
        yield
    threads = yield from _threads(metas)
    wrong: list[str] = []
    for check in (_uid_rows, _date_rows, _written_once, _hints):
        wrong += yield from check(rows, account, metas)
    wrong += yield from _thread_rows(rows, account, threads)
    wrong += yield from _counts(rows, account, mailboxes, metas, threads)
    wrong += _numbers(rows, account, mailboxes, metas, threads)
    should = dict(row for mailbox in mailboxes for row in index_of(account, mailbox))
    held = dict(index_rows(rows, account))
    wrong += [
        f"mailbox index {key.hex()}: {held.get(key)!r} is held, should be {should.get(key)!r}"
        for key in sorted(should.keys() | held.keys())
        if should.get(key) != held.get(key)
    ]
    return wrong[:DIFFERENCES_MAX]


def _window(account: AccountId, collection: bytes) -> KeyRange:
    """All rows of one collection, whoever left them there."""
    prefix = keys.account_prefix(account) + collection
    return prefix, prefix_end(prefix)


def _uid_rows(rows: Rows, account: AccountId, metas: list[EmailMeta]) -> Steps[list[str]]:
    should: dict[bytes, bytes] = {}
    for portion in portions(metas):
        for meta in portion:
            for place, (mailbox, uid) in enumerate(meta.mailboxes):
                should[keys.uid_key(account, mailbox, uid)] = pack(uid_row_at(meta, place))
        yield
    window = _window(account, b"u")
    return (yield from differences("UID row", rows, window, should, written_now=_uid_row_now))


def _uid_row_now(held: bytes) -> bytes:
    """A row as it would be written now: older ones have fewer fields."""
    return pack(unpack_uid_row(held))


def _date_rows(rows: Rows, account: AccountId, metas: list[EmailMeta]) -> Steps[list[str]]:
    should: dict[bytes, bytes] = {}
    for portion in portions(meta for meta in metas if is_visible(meta)):
        for meta in portion:
            for mailbox in (ALL_MAIL, *(mailbox for mailbox, _ in meta.mailboxes)):
                key = keys.date_key(account, mailbox, date_place(meta), meta.id)
                should[key] = pack_u64(meta.thread)
        yield
    return (yield from differences("date row", rows, _window(account, b"d"), should))


def _threads(metas: list[EmailMeta]) -> Steps[_Threads]:
    found: dict[ThreadId, list[ThreadMember]] = {}
    for portion in portions(metas):
        for meta in portion:
            found.setdefault(meta.thread, []).append(member_of(meta))
        yield
    threads: _Threads = {}
    for some in portions(found.items()):
        for thread, members in some:
            ordered = sorted(members, key=lambda member: (member.received_ms, member.email))
            threads[thread] = tuple(ordered)
        yield
    return threads


def _thread_rows(rows: Rows, account: AccountId, threads: _Threads) -> Steps[list[str]]:
    should: dict[bytes, bytes] = {}
    for portion in portions(threads.items()):
        for thread, members in portion:
            should[keys.thread_key(account, thread)] = pack(ThreadRecord(members))
        yield
    return (yield from differences("thread", rows, keys.thread_range(account), should))


def _counts(
    rows: Rows,
    account: AccountId,
    mailboxes: list[Mailbox],
    metas: list[EmailMeta],
    threads: _Threads,
) -> Steps[list[str]]:
    wrong: list[str] = []
    tallies: dict[MailboxId, Tally] = {}
    for mailbox in mailboxes:
        held = read_counts(rows, account, mailbox.id)
        if held is None:
            return [f"mailbox {mailbox.id} has no counts"]
        # These two only grow; what they must be above is checked below.
        tallies[mailbox.id] = Tally(MailboxCounts(uidnext=held.uidnext, modseq=held.modseq))
        tallies[mailbox.id].messages_changed = True
    trash = trash_of(rows, account)
    for portion in portions(metas):
        for meta in portion:
            for box, uid in meta.mailboxes:
                if box not in tallies:
                    return [f"email {meta.id} is in mailbox {box}, which is not there"]
                tally = tallies[box]
                tally.add_email(meta, +1)
                if uid >= tally.uidnext or meta.modseq > tally.before.modseq:
                    wrong.append(f"mailbox {box}: UID {uid} of email {meta.id} is ahead of it")
        yield
    for some in portions(threads.values()):
        for members in some:
            for box, unread in thread_shares(members, trash).items():
                tallies[box].add_thread(unread, +1)
        yield
    should = {
        keys.mailbox_counts_key(account, box): pack(tally.after(tally.before.modseq))
        for box, tally in tallies.items()
    }
    window = keys.mailbox_counts_range(account)
    return wrong + (yield from differences("counts", rows, window, should))


def _written_once(rows: Rows, account: AccountId, metas: list[EmailMeta]) -> Steps[list[str]]:
    """Each email has its view, its part tree and its blob, and nothing else has any."""
    wrong: list[str] = []
    links = (
        key
        for page in pages(rows, _window(account, b"b"))
        for key, _ in page
        if keys.unpack_blob_link_key(key)[1] == TypeCode.EMAIL
    )
    for name, held, wanted in (
        ("blob link", links, (_link_key(account, meta) for meta in metas)),
        ("view", _keys(rows, account, b"l"), (keys.email_view_key(account, m.id) for m in metas)),
        (
            "part tree",
            _keys(rows, account, b"p"),
            (keys.email_parts_key(account, meta.id) for meta in metas),
        ),
    ):
        wrong += yield from _missing_or_nobodys(name, held, wanted)
    return wrong


def _keys(rows: Rows, account: AccountId, collection: bytes) -> Iterator[bytes]:
    return (key for page in pages(rows, _window(account, collection)) for key, _ in page)


def _missing_or_nobodys(
    name: str, held: Iterable[bytes], wanted: Iterable[bytes]
) -> Steps[list[str]]:
    due: set[bytes] = set()
    for portion in portions(wanted):
        due.update(portion)
        yield
    nobodys: list[bytes] = []
    for portion in portions(held):
        nobodys += [key for key in portion if key not in due]
        due.difference_update(portion)
        yield
    wrong = [f"{name} {key.hex()} is missing" for key in sorted(due)]
    return wrong + [f"{name} {key.hex()} is nobody's" for key in nobodys]


def _link_key(account: AccountId, meta: EmailMeta) -> bytes:
    return keys.blob_link_key(account, meta.blob, TypeCode.EMAIL, meta.id)


def _hints(rows: Rows, account: AccountId, metas: list[EmailMeta]) -> Steps[list[str]]:
    """Each hint counts the emails that keep it, and leads to a thread that was given out."""
    wanted: dict[bytes, int] = {}
    for portion in portions(metas):
        for meta in portion:
            view = email_view(rows, account, EmailId(meta.id))
            for hint in () if view is None else unpack_hints(view.hints):
                wanted[hint] = wanted.get(hint, 0) + 1
        yield
    next_thread = state(rows, account).next_thread
    wrong: list[str] = []
    for page in pages(rows, keys.thread_hint_range(account)):
        for key, value in page:
            hint = keys.unpack_thread_hint_key(key)
            (thread, count), due = unpack_hint(value), wanted.pop(hint, 0)
            if count != due:
                wrong.append(f"hint {hint.hex()}: {count} is held, should count {due}")
            if not 0 < thread < next_thread:
                wrong.append(f"hint {hint.hex()} leads to thread {thread}, never given out")
        yield
    return wrong + [
        f"hint {hint.hex()}: nothing is held, should count {due}" for hint, due in wanted.items()
    ]


def _numbers(
    rows: Rows,
    account: AccountId,
    mailboxes: list[Mailbox],
    metas: list[EmailMeta],
    threads: _Threads,
) -> list[str]:
    held = state(rows, account)
    wanted = msgspec.structs.replace(
        held,
        emails=len(metas),
        octets=sum(meta.size for meta in metas),
        deleted=sum(not is_visible(meta) for meta in metas),
        threads=sum(any(not member.deleted for member in members) for members in threads.values()),
        mailboxes=len(mailboxes),
    )
    wrong = [] if wanted == held else [f"counters: {held} is held, should be {wanted}"]
    wrong += [
        f"{name} {number} is not below the next, {after}"
        for name, number, after in (
            ("mailbox", max((box.id for box in mailboxes), default=0), held.next_mailbox),
            ("email", max((meta.id for meta in metas), default=0), held.next_email),
            ("thread", max((meta.thread for meta in metas), default=0), held.next_thread),
            (
                "UIDVALIDITY",
                max((box.uidvalidity for box in mailboxes), default=0),
                held.next_uidvalidity,
            ),
        )
        if number >= after
    ]
    if len({box.uidvalidity for box in mailboxes}) != len(mailboxes):
        wrong.append("two mailboxes share a UIDVALIDITY")
    now = version(rows, account)
    wrong += [f"email {meta.id} is ahead of its account" for meta in metas if meta.modseq > now]
    return wrong
