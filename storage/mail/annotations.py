"""Annotations: named values on a mailbox, or on an account as a whole (RFC 5464).

    A  annotation    mailbox u64 | reader u64 | entry -> version, value (None: it was removed)
    A  annotations                                    -> octets held, version of the last change

Mailbox 0 is the account itself. Reader 0 is an entry under /shared/, else the account of the one
who sees it under /private/. An entry's name here is lower case and without that first component.
What was removed leaves its name for a while, so that sessions can tell what has changed.
"""

import struct
from collections.abc import Mapping
from typing import Final

import msgspec

from storage.engine import Rows, prefix_end
from storage.ids import AccountId, MailboxId, Version
from storage.keys import TypeCode, account_prefix, mailbox_counts_key
from storage.mail.counts import read_counts
from storage.mail.errors import AnnotationTooLarge, TooManyAnnotations
from storage.mail.records import pack
from storage.plan import Plan

# One value. RFC 5464 4.1 asks for 1024 octets at least; a signature with a picture is larger.
VALUE_BYTES_MAX: Final = 64 * 1024
# Entries of one reader on one mailbox; RFC 5464 4.1 asks for 10 at least.
ENTRIES_MAX: Final = 100
# What was removed and is still named, beside them.
_REMOVED_MAX: Final = 100
# What one guest may keep for himself on a mailbox of another, in whose account it counts.
GUEST_BYTES_MAX: Final = 2 * VALUE_BYTES_MAX
# All of an account together; every node holds them as rows.
ACCOUNT_BYTES_MAX: Final = 16 * 1024 * 1024

SHARED: Final = AccountId(0)
"""The reader of what everyone sees."""
WHOLE_ACCOUNT: Final = MailboxId(0)

_HEAD: Final = struct.Struct(">QQ")
_MAILBOX: Final = struct.Struct(">Q")


class _Row(msgspec.Struct, array_like=True, frozen=True):
    version: int
    value: bytes | None


class _Total(msgspec.Struct, array_like=True, frozen=True):
    octets: int = 0
    version: int = 0


_ENCODER: Final = msgspec.msgpack.Encoder()
_ROW: Final = msgspec.msgpack.Decoder(_Row)
_TOTAL: Final = msgspec.msgpack.Decoder(_Total)


def _total_key(account: AccountId) -> bytes:
    return account_prefix(account) + b"A"


def _prefix(account: AccountId, mailbox: MailboxId, reader: AccountId) -> bytes:
    return _total_key(account) + _HEAD.pack(mailbox, reader)


def _total(rows: Rows, account: AccountId) -> _Total:
    held = rows.get(_total_key(account))
    return _Total() if held is None else _TOTAL.decode(held)


def annotations(
    rows: Rows, account: AccountId, mailbox: MailboxId, reader: AccountId
) -> dict[str, bytes]:
    """All that a reader sees on a mailbox, by entry in order."""
    prefix = _prefix(account, mailbox, reader)
    found: dict[str, bytes] = {}
    for key, octets in rows.scan(prefix, prefix_end(prefix)):
        value = _ROW.decode(octets).value
        if value is not None:
            found[key[len(prefix) :].decode("ascii")] = value
    return found


def last_change(rows: Rows, account: AccountId) -> Version:
    """The account's version when an annotation changed last."""
    return Version(_total(rows, account).version)


def changed_since(
    rows: Rows, account: AccountId, version: int
) -> list[tuple[MailboxId, AccountId, str, Version]]:
    """Mailbox, reader, entry and version of what changed or was removed after `version`."""
    start = _total_key(account) + b"\0"
    found = []
    for key, octets in rows.scan(start, prefix_end(_total_key(account))):
        row = _ROW.decode(octets)
        if row.version > version:
            mailbox, reader = _HEAD.unpack_from(key, len(start) - 1)
            entry = key[len(start) - 1 + _HEAD.size :].decode("ascii")
            found.append((MailboxId(mailbox), AccountId(reader), entry, Version(row.version)))
    return found


def plan_annotate(
    plan: Plan,
    account: AccountId,
    mailbox: MailboxId,
    reader: AccountId,
    values: Mapping[str, bytes | None],
) -> None:
    """Set entries, remove those with None. Raises AnnotationTooLarge, TooManyAnnotations."""
    if any(value is not None and len(value) > VALUE_BYTES_MAX for value in values.values()):
        raise AnnotationTooLarge(f"an annotation may have {VALUE_BYTES_MAX} octets")
    held = annotations(plan, account, mailbox, reader)
    changed = {entry: value for entry, value in values.items() if value != held.get(entry)}
    if not changed:
        return
    version = plan.touch(account, TypeCode.ANNOTATION.bit)
    prefix = _prefix(account, mailbox, reader)
    for entry, value in changed.items():
        row = _Row(version, value)
        plan.put(prefix + entry.encode("ascii"), _ENCODER.encode(row))
    after = {entry: value for entry, value in {**held, **changed}.items() if value is not None}
    if len(after) > ENTRIES_MAX:
        raise TooManyAnnotations(f"a mailbox may have {ENTRIES_MAX} annotations")
    if reader not in (SHARED, account) and _octets(after) > GUEST_BYTES_MAX:
        raise TooManyAnnotations(f"a guest may keep {GUEST_BYTES_MAX} octets of annotations")
    _forget_removed(plan, prefix, keep=changed)
    _count(plan, account, _octets(after) - _octets(held), version)
    _raise_modseq(plan, account, mailbox, Version(version))


def _raise_modseq(plan: Plan, account: AccountId, mailbox: MailboxId, version: Version) -> None:
    """RFC 7162 3.2: annotations count in their mailbox's mod-sequence."""
    counts = read_counts(plan, account, mailbox)
    if counts is not None:  # the account as a whole has none
        raised = msgspec.structs.replace(counts, modseq=version)
        plan.put(mailbox_counts_key(account, mailbox), pack(raised))


def _octets(values: Mapping[str, bytes]) -> int:
    return sum(len(entry) + len(value) for entry, value in values.items())


def _count(plan: Plan, account: AccountId, octets: int, version: int) -> None:
    total = _total(plan, account).octets + octets
    assert total >= 0, total
    if octets > 0 and total > ACCOUNT_BYTES_MAX:
        raise TooManyAnnotations(f"an account may have {ACCOUNT_BYTES_MAX} octets of annotations")
    plan.put(_total_key(account), _ENCODER.encode(_Total(total, version)))


def _forget_removed(plan: Plan, prefix: bytes, *, keep: Mapping[str, bytes | None]) -> None:
    removed = [
        key
        for key, octets in plan.scan(prefix, prefix_end(prefix))
        if _ROW.decode(octets).value is None and key[len(prefix) :].decode("ascii") not in keep
    ]
    if len(removed) > _REMOVED_MAX:
        for key in removed:
            plan.delete(key)


def plan_copy_annotations(
    plan: Plan, account: AccountId, source: MailboxId, target: MailboxId
) -> None:
    """The target, a new mailbox, gets all that is on the source, of every reader."""
    by_reader: dict[AccountId, dict[str, bytes | None]] = {}
    start = _total_key(account) + _MAILBOX.pack(source)
    for key, octets in plan.scan(start, prefix_end(start)):
        _, reader = _HEAD.unpack_from(key, len(_total_key(account)))
        entry = key[len(_total_key(account)) + _HEAD.size :].decode("ascii")
        by_reader.setdefault(AccountId(reader), {})[entry] = _ROW.decode(octets).value
    for reader, values in by_reader.items():
        plan_annotate(plan, account, target, reader, values)


def plan_drop_annotations(plan: Plan, account: AccountId, mailbox: MailboxId) -> None:
    """The mailbox goes, and they with it (RFC 5464 4.1)."""
    start = _total_key(account) + _MAILBOX.pack(mailbox)
    octets = 0
    for key, packed in plan.scan(start, prefix_end(start)):
        value = _ROW.decode(packed).value
        if value is not None:
            octets += len(key) - len(_total_key(account)) - _HEAD.size + len(value)
        plan.delete(key)
    if octets:
        total = _total(plan, account)
        _count(plan, account, -octets, total.version)
