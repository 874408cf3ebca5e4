"""Recount: everything derived of an account's mail, made anew from its primary rows.

Primary are mailbox records, EmailMeta, the hints kept in EmailView, and the numbers that only
ever grow. All else follows from them: UID rows, orders by date, threads, counts, hints, blob
links, name and role indexes, counters. `recount` says where what is held differs from what
should be; tests run it after each step, and it can verify a live account. It reads all of it.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from storage import keys
from storage.engine import Row, Rows, prefix_end
from storage.ids import AccountId, EmailId, MailboxId, ThreadId
from storage.keys import TypeCode
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
    UidRow,
    is_visible,
    pack,
    unpack_meta,
)
from storage.mail.state import state, version
from storage.mail.threads import unpack_hint, unpack_hints
from storage.values import pack_u64

# Differences told; after these one knows enough.
DIFFERENCES_MAX: Final = 50


def recount(rows: Rows, account: AccountId) -> list[str]:
    """What is not as the primary rows have it, in words; empty when all is well."""
    mailboxes = read_mailboxes(rows, account)
    metas = [unpack_meta(value) for _, value in rows.scan(*keys.email_meta_range(account))]
    wrong: list[str] = []
    for check in (_uid_rows, _date_rows, _thread_rows, _written_once, _hints):
        wrong += check(rows, account, metas)
    wrong += _counts(rows, account, mailboxes, metas)
    wrong += _numbers(rows, account, mailboxes, metas)
    names = sorted(row for mailbox in mailboxes for row in index_of(account, mailbox))
    wrong += _differences("mailbox index", names, index_rows(rows, account))
    return wrong[:DIFFERENCES_MAX]


def _differences(name: str, wanted: Iterable[Row], held: Iterable[Row]) -> list[str]:
    should, have = dict(wanted), dict(held)
    return [
        f"{name} {key.hex()}: {have.get(key)!r} is held, should be {should.get(key)!r}"
        for key in sorted(should.keys() | have.keys())
        if should.get(key) != have.get(key)
    ]


def _under(rows: Rows, account: AccountId, collection: bytes) -> Sequence[Row]:
    """All rows of one collection, whoever left them there."""
    prefix = keys.account_prefix(account) + collection
    return rows.scan(prefix, prefix_end(prefix))


def _uid_rows(rows: Rows, account: AccountId, metas: list[EmailMeta]) -> list[str]:
    wanted = [
        (
            keys.uid_key(account, mailbox, uid),
            pack(UidRow(meta.id, meta.keywords, meta.modseq, meta.size, meta.received_ms)),
        )
        for meta in metas
        for mailbox, uid in meta.mailboxes
    ]
    return _differences("UID row", wanted, _under(rows, account, b"u"))


def _date_rows(rows: Rows, account: AccountId, metas: list[EmailMeta]) -> list[str]:
    wanted = [
        (keys.date_key(account, mailbox, date_place(meta), meta.id), pack_u64(meta.thread))
        for meta in metas
        if is_visible(meta)
        for mailbox in (ALL_MAIL, *(mailbox for mailbox, _ in meta.mailboxes))
    ]
    return _differences("date row", wanted, _under(rows, account, b"d"))


def _threads(metas: list[EmailMeta]) -> dict[ThreadId, tuple[ThreadMember, ...]]:
    found: dict[ThreadId, list[ThreadMember]] = {}
    for meta in metas:
        found.setdefault(meta.thread, []).append(member_of(meta))
    return {
        thread: tuple(sorted(members, key=lambda member: (member.received_ms, member.email)))
        for thread, members in found.items()
    }


def _thread_rows(rows: Rows, account: AccountId, metas: list[EmailMeta]) -> list[str]:
    wanted = [
        (keys.thread_key(account, thread), pack(ThreadRecord(members)))
        for thread, members in _threads(metas).items()
    ]
    return _differences("thread", wanted, rows.scan(*keys.thread_range(account)))


def _counts(
    rows: Rows, account: AccountId, mailboxes: list[Mailbox], metas: list[EmailMeta]
) -> list[str]:
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
    for meta in metas:
        for box, uid in meta.mailboxes:
            if box not in tallies:
                return [f"email {meta.id} is in mailbox {box}, which is not there"]
            tally = tallies[box]
            tally.add_email(meta, +1)
            if uid >= tally.uidnext or meta.modseq > tally.before.modseq:
                wrong.append(f"mailbox {box}: UID {uid} of email {meta.id} is ahead of its counts")
    for members in _threads(metas).values():
        for box, unread in thread_shares(members, trash).items():
            tallies[box].add_thread(unread, +1)
    wanted = [
        (keys.mailbox_counts_key(account, box), pack(tally.after(tally.before.modseq)))
        for box, tally in tallies.items()
    ]
    return wrong + _differences("counts", wanted, rows.scan(*keys.mailbox_counts_range(account)))


def _written_once(rows: Rows, account: AccountId, metas: list[EmailMeta]) -> list[str]:
    """Each email has its view, its part tree and its blob, and nothing else has any."""
    wrong: list[str] = []
    links = [
        key
        for key, _ in _under(rows, account, b"b")
        if keys.unpack_blob_link_key(key)[1] == TypeCode.EMAIL
    ]
    for name, held, wanted in (
        ("blob link", links, {_link_key(account, meta) for meta in metas}),
        (
            "view",
            [key for key, _ in _under(rows, account, b"l")],
            {keys.email_view_key(account, meta.id) for meta in metas},
        ),
        (
            "part tree",
            [key for key, _ in _under(rows, account, b"p")],
            {keys.email_parts_key(account, meta.id) for meta in metas},
        ),
    ):
        wrong += [f"{name} {key.hex()} is missing" for key in sorted(wanted.difference(held))]
        wrong += [f"{name} {key.hex()} is nobody's" for key in sorted(set(held) - wanted)]
    return wrong


def _link_key(account: AccountId, meta: EmailMeta) -> bytes:
    return keys.blob_link_key(account, meta.blob, TypeCode.EMAIL, meta.id)


def _hints(rows: Rows, account: AccountId, metas: list[EmailMeta]) -> list[str]:
    """Each hint counts the emails that keep it, and leads to a thread that was given out."""
    wanted: dict[bytes, int] = {}
    for meta in metas:
        view = email_view(rows, account, EmailId(meta.id))
        for hint in () if view is None else unpack_hints(view.hints):
            wanted[hint] = wanted.get(hint, 0) + 1
    held = {
        keys.unpack_thread_hint_key(key): unpack_hint(value)
        for key, value in rows.scan(*keys.thread_hint_range(account))
    }
    next_thread = state(rows, account).next_thread
    wrong = [
        f"hint {hint.hex()}: {held.get(hint)} is held, should count {wanted.get(hint, 0)}"
        for hint in sorted(wanted.keys() | held.keys())
        if hint not in held or held[hint][1] != wanted.get(hint)
    ]
    wrong += [
        f"hint {hint.hex()} leads to thread {thread}, never given out"
        for hint, (thread, _) in held.items()
        if not 0 < thread < next_thread
    ]
    return wrong


def _numbers(
    rows: Rows, account: AccountId, mailboxes: list[Mailbox], metas: list[EmailMeta]
) -> list[str]:
    held = state(rows, account)
    threads = _threads(metas).values()
    wanted = msgspec.structs.replace(
        held,
        emails=len(metas),
        octets=sum(meta.size for meta in metas),
        deleted=sum(not is_visible(meta) for meta in metas),
        threads=sum(any(not member.deleted for member in members) for members in threads),
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
