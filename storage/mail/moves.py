"""Plan where emails are: JMAP's mailboxIds; IMAP's COPY, MOVE and EXPUNGE; destruction.

An email may be in several mailboxes, with a UID in each. JMAP adds and removes memberships. An
IMAP copy is a message of its own (RFC 9051 6.4.7: its flags are independent), so COPY makes a new
email of the same blob in the same thread; MOVE (6.4.8) keeps the email, unless the target holds
it already: then what arrives there is a new email too.

UIDs that name nothing are passed over, as IMAP's UID commands require (RFC 9051 6.4.9).
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from storage import blob_links, keys
from storage.ids import AccountId, EmailId, MailboxId
from storage.keys import TypeCode
from storage.mail import quota
from storage.mail.counts import read_counts
from storage.mail.errors import EmailNotFound, MailboxNotFound, TooManyEmails
from storage.mail.ingest import check_mailboxes
from storage.mail.ledger import COMMAND_EMAILS_MAX, Ledger
from storage.mail.mailbox_rows import check_mailbox
from storage.mail.messages import meta, metas_at, uid_rows
from storage.mail.neighbours import WINDOW_EMAILS, read_rows
from storage.mail.records import DELETED, EmailMeta, unpacker
from storage.mail.threads import join_thread, leave_thread, unpack_hints
from storage.plan import Plan

# What a copy takes beside its content: keys and small rows. And a hint of its thread.
COPY_OCTETS: Final = 400
HINT_OCTETS: Final = 48

Message = tuple[int, EmailMeta]
"""UID and email."""


def plan_mailboxes(
    plan: Plan,
    account: AccountId,
    email: EmailId,
    *,
    add: Collection[MailboxId] = (),
    remove: Collection[MailboxId] = (),
    replace: Collection[MailboxId] | None = None,
) -> EmailMeta:
    """Put an email into `replace` (None: where it is) without `remove` and with `add`.

    It gets a new UID in each mailbox it enters. Returns the email as it is now; when nothing
    changes the account's version stays. Raises EmailNotFound and what `check_mailboxes` does.
    """
    old = _found(meta(plan, account, email), email)
    uids = dict(old.mailboxes)
    wanted = (set(uids if replace is None else replace) - set(remove)) | set(add)
    check_mailboxes(plan, account, wanted)
    if wanted == uids.keys():
        return old
    ledger = Ledger(plan, account)
    new = _moved(ledger, old, {mailbox: uids.get(mailbox) for mailbox in wanted})
    ledger.close()
    return new


def plan_copy_uids(
    plan: Plan, account: AccountId, source: MailboxId, uids: Sequence[int], target: MailboxId
) -> list[tuple[int, int]]:
    """IMAP COPY: (UID in source, UID of its copy in target), ascending, of as many of the first as
    one command holds: the rest is for the next. Raises OverQuota when there is no room for all."""
    metas = _messages(plan, account, source, uids, target)
    if not metas:
        return []
    octets = sum(found.size for _, found in metas)
    quota.check_room(plan, account, octets, messages=len(metas))
    ledger = Ledger(plan, account)
    pairs: list[tuple[int, int]] = []
    for uid, found, content in _with_contents(ledger, metas):
        pairs.append((uid, _copied(ledger, found, content, target)))
        if ledger.is_full:
            break
    ledger.close()
    return pairs


def plan_move_uids(
    plan: Plan, account: AccountId, source: MailboxId, uids: Sequence[int], target: MailboxId
) -> list[tuple[int, int]]:
    """IMAP MOVE: (UID in source, UID in target), ascending.

    Within one mailbox a move gives new UIDs. Raises OverQuota only where it must copy.
    """
    metas = _messages(plan, account, source, uids, target)
    if not metas:
        return []
    held = [found for _, found in metas if _is_in(found, target) and source != target]
    octets = sum(found.size for found in held)
    quota.check_room(plan, account, octets, messages=len(held))
    ledger = Ledger(plan, account)
    ledger.read_threads([found.thread for _, found in metas])
    pairs: list[tuple[int, int]] = []
    for uid, found in metas:
        left: dict[MailboxId, int | None] = {
            mailbox: number for mailbox, number in found.mailboxes if mailbox != source
        }
        if target in left:
            [(_, _, content)] = _with_contents(ledger, [(uid, found)])
            pairs.append((uid, _copied(ledger, found, content, target)))
            _moved(ledger, found, left)
        else:
            moved = _moved(ledger, found, {**left, target: None})
            pairs.append((uid, dict(moved.mailboxes)[target]))
    ledger.close()
    return pairs


def plan_expunge(
    plan: Plan, account: AccountId, mailbox: MailboxId, uids: Sequence[int]
) -> list[int]:
    """Take messages out of a mailbox; an email that was nowhere else is destroyed.

    Returns the UIDs that were there, ascending. One that lives on elsewhere loses its $deleted:
    what the mark asked for is done, and other mailboxes' next EXPUNGE must not take it along.
    """
    metas = _messages(plan, account, mailbox, uids, mailbox)
    if metas:
        ledger = Ledger(plan, account)
        for _, found, hints in _with_hints(ledger, metas):
            kept = tuple([keyword for keyword in found.keywords if keyword != DELETED])
            _removed(ledger, found, hints, mailbox, kept)
        ledger.close()
    return [uid for uid, _ in metas]


def plan_empty(
    plan: Plan, account: AccountId, mailbox: MailboxId, *, limit: int = COMMAND_EMAILS_MAX
) -> int:
    """Take the first messages, at most `limit`, out of a mailbox; returns how many are left.

    A large mailbox is emptied by one command after the other, then destroyed. No EXPUNGE: an
    email that lives on elsewhere keeps all its keywords.
    """
    assert 0 < limit <= COMMAND_EMAILS_MAX, limit
    counts = read_counts(plan, account, mailbox)
    if counts is None:
        raise MailboxNotFound(f"no mailbox {mailbox}")
    first = [uid for uid, _ in uid_rows(plan, account, mailbox, limit=limit)]
    metas = _messages(plan, account, mailbox, first, mailbox)
    if metas:
        ledger = Ledger(plan, account)
        for _, found, hints in _with_hints(ledger, metas):
            _removed(ledger, found, hints, mailbox, found.keywords)
        ledger.close()
    return counts.emails - len(metas)


def plan_destroy(plan: Plan, account: AccountId, email: EmailId) -> None:
    """Destroy an email wherever it is; raises EmailNotFound."""
    old = _found(meta(plan, account, email), email)
    ledger = Ledger(plan, account)
    [(_, _, hints)] = _with_hints(ledger, [(0, old)])
    _destroyed(ledger, old, hints)
    ledger.close()


def _found(found: EmailMeta | None, email: EmailId) -> EmailMeta:
    if found is None:
        raise EmailNotFound(f"no email {email}")
    return found


def _is_in(found: EmailMeta, mailbox: MailboxId) -> bool:
    return any(holder == mailbox for holder, _ in found.mailboxes)


def _messages(
    plan: Plan, account: AccountId, source: MailboxId, uids: Iterable[int], target: MailboxId
) -> list[tuple[int, EmailMeta]]:
    """The messages that the UIDs name, ascending; raises MailboxNotFound, TooManyEmails."""
    check_mailbox(plan, account, source)
    check_mailbox(plan, account, target)
    wanted = set(uids)
    if len(wanted) > COMMAND_EMAILS_MAX:
        raise TooManyEmails(f"{len(wanted)} messages are over {COMMAND_EMAILS_MAX}")
    return metas_at(plan, account, source, wanted)


def _moved(ledger: Ledger, old: EmailMeta, wanted: dict[MailboxId, int | None]) -> EmailMeta:
    """The email in the wanted mailboxes, with a new UID where none is given."""
    mailboxes = tuple(
        (mailbox, wanted[mailbox] or ledger.next_uid(mailbox)) for mailbox in sorted(wanted)
    )
    new = msgspec.structs.replace(old, mailboxes=mailboxes, modseq=ledger.version)
    ledger.change(old, new)
    return new


class _Content(NamedTuple):
    """What never changes of an email, as its rows have it."""

    view: bytes
    parts: bytes
    hints: tuple[bytes, ...]
    """Those of its thread."""


class _HintsAlone(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An EmailView of which nothing but the hints is unpacked."""

    renderer: msgspec.Raw
    json: msgspec.Raw
    envelope: msgspec.Raw
    bodystructure: msgspec.Raw
    hints: bytes = b""


_unpack_hints_alone: Final = unpacker(_HintsAlone)


def _with_hints(
    ledger: Ledger, metas: Sequence[Message]
) -> Iterator[tuple[int, EmailMeta, tuple[bytes, ...]]]:
    """Messages that may be destroyed, with the hints of their threads; what that takes is read for
    many at once."""
    for window in _windows(metas):
        views = _read(ledger, keys.email_view_key, window)
        for (uid, found), view in zip(window, views, strict=True):
            yield uid, found, _hints_of(view)


def _with_contents(
    ledger: Ledger, metas: Sequence[Message]
) -> Iterator[tuple[int, EmailMeta, _Content]]:
    """Messages that are about to be copied, each with its content, read likewise."""
    for window in _windows(metas):
        views = _read(ledger, keys.email_view_key, window)
        parts = _read(ledger, keys.email_parts_key, window)
        for (uid, found), view, part in zip(window, views, parts, strict=True):
            yield uid, found, _Content(view, part, _hints_of(view))


def _windows(metas: Sequence[Message]) -> Iterator[Sequence[Message]]:
    for start in range(0, len(metas), WINDOW_EMAILS):
        yield metas[start : start + WINDOW_EMAILS]


def _read(
    ledger: Ledger, key_of: Callable[[AccountId, EmailId], bytes], window: Sequence[Message]
) -> list[bytes]:
    """A row of each, and their threads."""
    account = ledger.account
    ledger.read_threads([found.thread for _, found in window])
    held = read_rows(ledger.plan, account, key_of, [found.id for _, found in window])
    return [held[key_of(account, found.id)] for _, found in window]


def _hints_of(view: bytes) -> tuple[bytes, ...]:
    return unpack_hints(_unpack_hints_alone(view).hints)


def _copied(ledger: Ledger, found: EmailMeta, content: _Content, target: MailboxId) -> int:
    """A new email of the same blob, alone in the target; returns its UID."""
    plan, account = ledger.plan, ledger.account
    uid = ledger.next_uid(target)
    new = msgspec.structs.replace(
        found,
        id=ledger.next_email(),
        thread=join_thread(ledger, content.hints, beside=found.thread),
        mailboxes=((target, uid),),
        modseq=ledger.version,
        created=ledger.version,
        saved_s=(plan.now_ms // 1000,),
        origin=found.origin or found.id,
    )
    ledger.change(None, new)
    rows = ledger.rows
    rows[keys.email_view_key(account, new.id)] = content.view
    rows[keys.email_parts_key(account, new.id)] = content.parts
    link, held = blob_links.link_beside(account, new.blob, TypeCode.EMAIL, new.id)
    rows[link] = held
    ledger.weight += len(content.view) + len(content.parts) + COPY_OCTETS
    ledger.weight += HINT_OCTETS * len(content.hints)
    return uid


def _removed(
    ledger: Ledger,
    old: EmailMeta,
    hints: tuple[bytes, ...],
    mailbox: MailboxId,
    keywords: tuple[str, ...],
) -> None:
    """The email leaves a mailbox: destroyed if it was its last, else with these keywords."""
    left = tuple((holder, uid) for holder, uid in old.mailboxes if holder != mailbox)
    if not left:
        _destroyed(ledger, old, hints)
        return
    new = msgspec.structs.replace(old, mailboxes=left, keywords=keywords, modseq=ledger.version)
    ledger.change(old, new)


def _destroyed(ledger: Ledger, old: EmailMeta, hints: tuple[bytes, ...]) -> None:
    plan, account = ledger.plan, ledger.account
    leave_thread(ledger, hints)
    ledger.change(old, None)
    ledger.rows[keys.email_view_key(account, old.id)] = None
    ledger.rows[keys.email_parts_key(account, old.id)] = None
    blob_links.plan_unlink(plan, account, old.blob, TypeCode.EMAIL, old.id)
