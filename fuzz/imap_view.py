"""What one IMAP client believes of its mailbox, from what it was told alone, by the RFCs' rules.

Sans-IO and strict: whatever a server may not say raises `Violation`. EXISTS never falls, EXPUNGE
and VANISHED take away what is there and only when they may, UIDs ascend and stay, a MODSEQ never
falls and stands for one set of flags (RFC 9051 5.5, 7.4, 7.5; RFC 7162 3.2, 6).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

_COUNT: Final = re.compile(rb"\* ([0-9]+) (EXISTS|EXPUNGE|RECENT)\Z")
_FETCH: Final = re.compile(rb"\* ([0-9]+) FETCH \((.*)\)\Z", re.DOTALL)
_VANISHED: Final = re.compile(rb"\* VANISHED (\(EARLIER\) )?([0-9:,]+)\Z")
_UID: Final = re.compile(rb"(?:\A| )UID ([0-9]+)")
_FLAGS: Final = re.compile(rb"(?:\A| )FLAGS \(([^)]*)\)")
_MODSEQ: Final = re.compile(rb"(?:\A| )MODSEQ \(([0-9]+)\)")
_CODE: Final = re.compile(rb"\S+ (?:OK|NO) \[([A-Z]+)(?: ([^\]]*))?\]")
_SEARCH: Final = re.compile(rb"\* SEARCH((?: [0-9]+)*)(?: \(MODSEQ [0-9]+\))?\Z")
_ESEARCH: Final = re.compile(rb"\* ESEARCH \(TAG \"([^\"]+)\"\)( UID)?(.*)\Z")
_ALL: Final = re.compile(rb" ALL ([0-9:,]+)")
# What says nothing of messages.
_ASIDE: Final = re.compile(rb"\* (OK|FLAGS|LIST|ENABLED|CAPABILITY|BYE|STATUS)\b")

_RECENT: Final = b"\\recent"

Flags = frozenset[bytes]


class Violation(Exception):
    """The server broke a rule of the protocol, or a promise."""


@dataclass(slots=True)
class Message:
    """What the client knows of one message."""

    uid: int | None = None
    flags: Flags | None = None
    modseq: int = 0
    recent: bool | None = None
    """RFC 3501 2.3.2: it stays what it was as long as the mailbox is selected."""

    @property
    def known(self) -> bool:
        """Its client need not ask."""
        return self.uid is not None and self.flags is not None


@dataclass(frozen=True, slots=True)
class Fetched:
    """One FETCH, as far as it is about flags."""

    uid: int | None
    flags: Flags | None
    modseq: int | None


def numbers(listed: bytes) -> Iterator[int]:
    """A set without stars, number by number."""
    for part in listed.split(b","):
        low, _, high = part.partition(b":")
        yield from range(int(low), int(high or low) + 1)


def render(wanted: Iterable[int]) -> str:
    """A set of numbers; runs as ranges."""
    parts: list[list[int]] = []
    for number in sorted(wanted):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(f"{low}:{high}" if low < high else str(low) for low, high in parts)


def code_of(text: bytes) -> tuple[bytes, bytes]:
    """A response's code and what stands behind it; empty when there is none."""
    found = _CODE.match(text)
    return (found[1], found[2] or b"") if found is not None else (b"", b"")


class View:
    """One client's mailbox: its messages in their order."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.uidvalidity = 0
        self.uidnext = 1
        self.synced = 0
        """What a client that comes back may say it has seen (RFC 7162 6)."""
        self.vanishes = False
        """QRESYNC is enabled: VANISHED stands for EXPUNGE."""
        self.gone: list[int] = []
        """UIDs that were told to be gone, for whoever empties this."""
        self.fetched: list[Fetched] = []
        """What was said of messages, for whoever empties this."""
        self._kept: list[Message] | None = None
        self._opened_with = 0
        self._opening = False
        self._highest = 0
        self._code: int | None = None

    # --- opening

    def open(self, *, resync: bool) -> None:
        """A SELECT is sent; `resync`: with what `keep` has left."""
        self._kept = self.messages if resync else None
        for message in self._kept or ():
            message.recent = None
        self.messages = []
        self.uidnext = 1
        self._opening, self._highest, self._code = True, 0, None
        if not resync:
            self.synced = 0

    def keep(self) -> bool:
        """The connection is gone: what a client can come back with; False: nothing."""
        end = next((at for at, m in enumerate(self.messages) if not m.known), len(self.messages))
        del self.messages[end:]
        return self.synced > 0 and end > 0

    def opened(self) -> None:
        """The SELECT is over."""
        self._merge_kept()
        self._opening = False
        self._opened_with = len(self.messages)

    def _merge_kept(self) -> None:
        """RFC 7162 3.2.5: what was not said to be gone is still there, before all that is new."""
        kept, self._kept = self._kept, None
        if kept is None:
            return
        if len(kept) > len(self.messages):
            more = len(kept) - len(self.messages)
            raise Violation(f"{more} more are gone than the resynchronisation has told")
        self.messages[: len(kept)] = kept

    # --- hearing

    def hear(self, text: bytes, *, may_lose: bool, tag: bytes = b"") -> None:
        """An untagged response; `may_lose`: messages may be told to be gone now; the `tag` of the
        command that is answered."""
        if counted := _COUNT.match(text):
            self._hear_count(int(counted[1]), counted[2], may_lose=may_lose)
        elif fetched := _FETCH.match(text):
            self._hear_fetch(int(fetched[1]), fetched[2])
        elif gone := _VANISHED.match(text):
            self._hear_vanished(gone[2], earlier=gone[1] is not None, may_lose=may_lose)
        elif found := _SEARCH.match(text):
            self._hear_found(map(int, found[1].split()), uid=may_lose)
        elif found := _ESEARCH.match(text):
            if found[1] != tag:
                raise Violation("ESEARCH with the tag of another command")
            listed = _ALL.search(found[3])
            self._hear_found(numbers(listed[1]) if listed else (), uid=found[2] is not None)
        elif _ASIDE.match(text):
            self._hear_code(text)
        else:
            raise Violation("no response that was asked for")

    def ended(self, text: bytes) -> None:
        """The tagged ending of a command: RFC 7162 6 on what is synchronised now."""
        self._hear_code(text)
        if self._code is not None:
            self.synced = self._code
        elif not self._opening:
            self.synced = max(self.synced, self._highest)
        self._highest, self._code = 0, None

    def _hear_code(self, text: bytes) -> None:
        code, value = code_of(text)
        if code == b"CLOSED":
            self.messages = []
        elif code == b"HIGHESTMODSEQ":
            self._code = int(value)
        elif code == b"UIDVALIDITY":
            if self.uidvalidity not in (0, int(value)):
                raise Violation("UIDVALIDITY is another")
            self.uidvalidity = int(value)
        elif code == b"UIDNEXT":
            self.uidnext = int(value)

    def _hear_count(self, number: int, what: bytes, *, may_lose: bool) -> None:
        if what == b"EXISTS":
            if number < len(self.messages):
                raise Violation(f"EXISTS fell from {len(self.messages)}")
            self.messages += [Message() for _ in range(number - len(self.messages))]
        elif what == b"EXPUNGE":
            if self.vanishes:
                raise Violation("EXPUNGE to a client that has enabled QRESYNC")
            if not may_lose:
                raise Violation("EXPUNGE where none may be")
            self._lose(self._at(number))

    def _hear_vanished(self, listed: bytes, *, earlier: bool, may_lose: bool) -> None:
        if not self.vanishes:
            raise Violation("VANISHED to a client that has not enabled QRESYNC")
        if earlier:
            gone = set(numbers(listed))
            place = self.messages if self._kept is None else self._kept
            if self._kept is None and any(m.uid in gone for m in place):
                raise Violation("VANISHED (EARLIER) of a message that is still counted")
            self.gone += [m.uid for m in place if m.uid is not None and m.uid in gone]
            place[:] = [m for m in place if m.uid not in gone]
            return
        if not may_lose:
            raise Violation("VANISHED where none may be")
        for uid in numbers(listed):
            self._lose(self._place_of(uid))

    def _lose(self, at: int) -> None:
        message = self.messages.pop(at)
        if at < self._opened_with:
            self._opened_with -= 1
        if message.uid is not None:
            self.gone.append(message.uid)

    def _place_of(self, uid: int) -> int:
        """Where the message is that has this UID, or must have it."""
        unknown: int | None = None
        for at, message in enumerate(self.messages):
            if message.uid == uid:
                return at
            if message.uid is None:
                unknown = at if unknown is None else unknown
            elif message.uid > uid:
                break
            else:
                unknown = None
        if unknown is None:
            raise Violation(f"VANISHED of {uid}, which is not there")
        self.messages[unknown].uid = uid
        return unknown

    def _at(self, number: int) -> int:
        if not 1 <= number <= len(self.messages):
            raise Violation(f"there are {len(self.messages)} messages")
        return number - 1

    def _hear_fetch(self, number: int, data: bytes) -> None:
        self._merge_kept()
        at = self._at(number)
        message = self.messages[at]
        uid, flags, modseq = _UID.search(data), _FLAGS.search(data), _MODSEQ.search(data)
        if uid:
            self._name(at, int(uid[1]))
        shown = None if flags is None else self._hear_flags(at, flags[1])
        if modseq:
            self._hear_modseq(message, int(modseq[1]), shown)
        if shown is not None:
            message.flags = shown
        self.fetched.append(Fetched(message.uid, shown, int(modseq[1]) if modseq else None))

    def _hear_flags(self, at: int, listed: bytes) -> Flags:
        """The flags that stay; \\Recent is of this session alone."""
        message, shown = self.messages[at], frozenset(listed.lower().split())
        recent = _RECENT in shown
        if message.recent is not None and message.recent is not recent:
            raise Violation(f"message {at + 1} was {'old' if recent else 'recent'}")
        message.recent = recent
        return shown - {_RECENT}

    def _name(self, at: int, uid: int) -> None:
        message = self.messages[at]
        if message.uid == uid:
            return
        if message.uid is not None:
            raise Violation(f"message {at + 1} was UID {message.uid}")
        if not self._opening and at >= self._opened_with and uid < self.uidnext:
            raise Violation(f"a message that came later has a UID below {self.uidnext}")
        for step in (-1, 1):
            other = at + step
            while 0 <= other < len(self.messages):
                near = self.messages[other].uid
                if near is not None:
                    if (near - uid) * step < (other - at) * step:
                        raise Violation(f"UIDs do not ascend: message {other + 1} is UID {near}")
                    break
                other += step
        message.uid = uid

    def _hear_modseq(self, message: Message, modseq: int, shown: Flags | None) -> None:
        if modseq < message.modseq:
            raise Violation(f"MODSEQ fell from {message.modseq}")
        if shown is not None and message.flags is not None and message.flags != shown:
            if modseq == message.modseq:
                raise Violation(f"one MODSEQ, two sets of flags: {sorted(message.flags)}")
            if not self._opening and modseq <= self.synced:
                raise Violation(f"a change below {self.synced} was not told")
        message.modseq = modseq
        self._highest = max(self._highest, modseq)

    def _hear_found(self, found: Iterable[int], *, uid: bool) -> None:
        """Where messages may be told to be gone it was UID SEARCH; else these are numbers."""
        if not uid:
            for number in found:
                self._at(number)
