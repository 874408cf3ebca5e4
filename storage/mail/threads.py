"""Which thread an email joins (RFC 8621 3), found by point reads.

Two emails belong together when they name one message id among Message-ID, In-Reply-To and
References, and their base subjects agree. For each (message id, base subject) that an account's
emails name there is one row, the hint:

    h | hash 16 of (message id, base subject)  -> thread u64 | emails u32

`thread` is where the next such email goes: the first thread that named the pair, until it is full
or gone, then the one that took its place. `emails` counts the emails that name the pair; the row
goes with the last. An email keeps the hashes of its pairs in its EmailView.

Email and thread ids are immutable, so threads are never merged: when an email's ids lead to
several threads it joins the first by the order of its ids, most telling first.
"""

import hashlib
import struct
from collections.abc import Sequence
from typing import Final

from storage import keys
from storage.ids import AccountId, ThreadId
from storage.keys import HINT_BYTES
from storage.mail.ledger import Ledger
from storage.plan import Plan

# A thread's record is read and written whole with each of its emails: at this size some 5 KiB.
# Later emails of the conversation begin a thread of their own.
THREAD_EMAILS_MAX: Final = 500
# RFC 5322 bounds no References; what matters comes first in `NewEmail.message_ids`.
REFERENCE_IDS_MAX: Final = 50

_HINT: Final = struct.Struct(">QI")


def hints_of(message_ids: Sequence[str], thread_subject: str) -> tuple[bytes, ...]:
    """The hashes of an email's (message id, base subject) pairs, without repeats."""
    subject = hashlib.blake2b(
        thread_subject.encode("utf-8", "surrogatepass"), digest_size=HINT_BYTES
    ).digest()
    found: dict[bytes, None] = {}
    for message_id in message_ids[:REFERENCE_IDS_MAX]:
        name = message_id.encode("utf-8", "surrogatepass")
        found[hashlib.blake2b(subject + name, digest_size=HINT_BYTES).digest()] = None
    return tuple(found)


def pack_hints(hints: Sequence[bytes]) -> bytes:
    """As EmailView keeps them."""
    return b"".join(hints)


def unpack_hints(packed: bytes) -> tuple[bytes, ...]:
    """The hashes an EmailView keeps."""
    return tuple(packed[at : at + HINT_BYTES] for at in range(0, len(packed), HINT_BYTES))


def unpack_hint(value: bytes) -> tuple[ThreadId, int]:
    """Thread and number of emails in a hint row."""
    thread, emails = _HINT.unpack(value)
    return ThreadId(thread), emails


def has_room(ledger: Ledger, thread: ThreadId) -> bool:
    """Whether the thread is there and may take another email."""
    return 0 < ledger.thread_size(thread) < THREAD_EMAILS_MAX


def join_thread(
    ledger: Ledger, hints: Sequence[bytes], *, beside: ThreadId | None = None
) -> ThreadId:
    """The thread of an email with these hints, which from now on lead to it.

    `beside` is the thread of the email that it is a copy of.
    """
    held = {hint: _read(ledger.plan, ledger.account, hint) for hint in hints}
    known = [] if beside is None else [beside]
    known += [hint[0] for hint in held.values() if hint is not None]
    thread = next((thread for thread in known if has_room(ledger, thread)), None)
    if thread is None:
        thread = ledger.next_thread()
    for hint, leads in held.items():
        to, emails = leads or (thread, 0)
        to = to if to == thread or has_room(ledger, to) else thread
        ledger.plan.put(keys.thread_hint_key(ledger.account, hint), _HINT.pack(to, emails + 1))
    return thread


def leave_thread(ledger: Ledger, hints: Sequence[bytes]) -> None:
    """An email with these hints is destroyed."""
    for hint in hints:
        held = _read(ledger.plan, ledger.account, hint)
        assert held is not None, (ledger.account, hint)
        key = keys.thread_hint_key(ledger.account, hint)
        thread, emails = held
        if emails > 1:
            ledger.plan.put(key, _HINT.pack(thread, emails - 1))
        else:
            ledger.plan.delete(key)


def _read(plan: Plan, account: AccountId, hint: bytes) -> tuple[ThreadId, int] | None:
    held = plan.get(keys.thread_hint_key(account, hint))
    return None if held is None else unpack_hint(held)
