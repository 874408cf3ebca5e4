"""The selected mailbox as its client sees it: numbering, and what it has not been told yet.

A client counts messages from 1 in the order of their UIDs, and its count changes only when we say
so. `uids` is that count: position n-1 holds the UID of message n, also of one that is gone from
the store but whose EXPUNGE could not be sent yet (RFC 9051 7.5.1: not during FETCH, STORE or
SEARCH, nor while no command is in progress). So client and server never differ on what n means.

`notice` takes in what changed in the store since the last time; `tell` says it. Changes of this
connection's own commands come the same way, except flags that the command itself has answered
or was asked to keep silent about (`answered`).
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum, auto
from typing import Final

from protocols.errors import RemoteProtocolError
from protocols.imap import responses
from protocols.imap.flag_lists import FlagLists
from protocols.imap.flags import RECENT, SYSTEM_KEYWORDS, allowed, render_flag
from protocols.imap.recent import Recents
from protocols.imap.responses import untagged_ok
from protocols.imap.sets import NumberSet, Range, merge, runs
from storage.changes import TooOld
from storage.engine import Rows
from storage.ids import AccountId, MailboxId, Version, render_account
from storage.mail import sharing
from storage.mail import uids as mail_uids
from storage.mail.counts import read_counts
from storage.mail.errors import NoPermission
from storage.mail.records import UidRow

Positions = tuple[int, int]
"""Messages uids[first:end], counted from 0."""


def shown_modseq(version: int) -> int:
    """RFC 7162 7: a mod-sequence is positive; where nothing has happened yet it is 1."""
    return max(1, version)


def newest(positions: list[Positions], most: int) -> tuple[list[Positions], int | None]:
    """The last `most` of these messages, and the first of them; all of them and None where that is
    not less. 0 is no limit."""
    left = most
    for at in range(len(positions) - 1 if most else -1, -1, -1):
        first, end = positions[at]
        if end - first > left or (end - first == left and at):
            lowest = end - left
            return [(lowest, end), *positions[at + 1 :]], lowest
        left -= end - first
    return positions, None


def shown_id(owner: AccountId | None, text: str) -> str:
    """RFC 8474 3: no two objects that one sees have one id; those of others tell whose they are."""
    return text if owner is None else f"{render_account(owner)}-{text}"


class Heed(Enum):
    """Which news of its messages the client wants to hear (RFC 5465 5): by itself all of it."""

    NOTHING = auto()
    COUNTS = auto()
    """What came and went, but no flags."""
    ALL = auto()


class Selected:
    """One selected mailbox of one connection."""

    __slots__ = (
        "_answered",
        "_flags_from",
        "_gone",
        "_gone_seen",
        "_told_count",
        "_untold",
        "account",
        "by_uid",
        "deleted",
        "fresh_after",
        "heeds",
        "keys_seen",
        "lists",
        "mailbox",
        "name",
        "read_only",
        "reader",
        "recents",
        "rights",
        "saved",
        "seen",
        "shows_modseq",
        "synced",
        "uids",
        "vanishes",
    )

    def __init__(
        self,
        account: AccountId,
        mailbox: MailboxId,
        name: str,
        uids: "array[int]",
        seen: Version,
        *,
        read_only: bool,
        reader: AccountId | None = None,
        rights: str = sharing.ALL,
    ) -> None:
        self.account: Final = account
        self.mailbox: Final = mailbox
        self.name: Final = name
        self.read_only: Final = read_only
        self.reader: Final = reader
        """Who has selected a mailbox that is another's; None: it is his own."""
        self.rights = rights
        """What he may do with it (RFC 4314), as of the last `notice`."""
        self.uids = uids
        """Never changed in place: it is shared with the mailbox's index, so a thousand who idle in
        one mailbox hold it once."""
        self.seen = seen
        """The MODSEQ up to which the store's changes are in here."""
        self.deleted = False
        """The mailbox itself is gone."""
        self.synced = seen
        """The MODSEQ up to which the client has been told everything (RFC 7162 3.2)."""
        self.shows_modseq = False
        """The client is CONDSTORE-aware: news of flags carries MODSEQ (RFC 7162 3.1)."""
        self.vanishes = False
        """QRESYNC is enabled: VANISHED stands for EXPUNGE (RFC 7162 3.2.10)."""
        self.by_uid = False
        """UIDONLY is enabled: VANISHED stands for EXPUNGE, UIDFETCH for FETCH (RFC 9586 3)."""
        self.heeds = Heed.ALL
        self.keys_seen = Version(0)
        """Its reader's keys of URLs that were reset up to here, the client knows of (RFC 4467)."""
        self.fresh_after: int | None = None
        """Messages with higher UIDs came since `take_fresh`, and the client has been told so."""
        self.recents: Recents | None = None
        """What is \\Recent here; None: nothing is (IMAP4rev2)."""
        self.lists: Final = FlagLists()
        self.saved: list[Range] = []
        """UIDs of the last search with SAVE (RFC 9051 6.4.4.1)."""
        self._told_count = len(uids)
        self._gone: set[int] = set()
        self._gone_seen = seen  # where nothing else is heeded, `seen` stays and this goes on
        self._flags_from: Version | None = None  # flags changed after it were not told
        self._untold: dict[int, UidRow] = {}
        self._answered: dict[int, Version] = {}

    # --- numbers to messages

    def positions(self, numbers: NumberSet, *, uid: bool, strict: bool = True) -> list[Positions]:
        """The messages a set names, ascending and apart.

        UIDs that name nothing are passed over. `strict`: a sequence number over the number of
        messages is BAD (RFC 9051 9 seq-number), else it is passed over too.
        """
        if numbers.saved:
            return self._of_uids(self.saved)
        count = len(self.uids)
        if uid:
            return self._of_uids(numbers.resolve(self.uids[-1] if count else 1))
        ranges = numbers.resolve(count)
        if not strict:
            clipped = ((max(low, 1) - 1, min(high, count)) for low, high in ranges)
            return [(first, end) for first, end in clipped if first < end]
        # A star in an empty mailbox resolves to 0, which is no message either.
        if ranges and (ranges[-1][1] > count or ranges[0][0] < 1):
            raise RemoteProtocolError("no such message")
        return [(low - 1, high) for low, high in ranges]

    def _of_uids(self, ranges: Iterable[Range]) -> list[Positions]:
        found: list[Positions] = []
        for low, high in ranges:
            first, end = bisect_left(self.uids, low), bisect_right(self.uids, high)
            if first == end:
                continue
            if found and found[-1][1] == first:
                found[-1] = (found[-1][0], end)
            else:
                found.append((first, end))
        return found

    def uids_at(self, positions: Iterable[Positions]) -> list[int]:
        """The UIDs of messages, ascending."""
        return [uid for first, end in positions for uid in self.uids[first:end]]

    def position_of(self, uid: int) -> int | None:
        """Where a UID is in the client's count, from 0."""
        at = bisect_left(self.uids, uid)
        return at if at < len(self.uids) and self.uids[at] == uid else None

    def save(self, uids: Sequence[Range]) -> None:
        """RFC 9051 6.4.4.1: what `$` means from now on."""
        self.saved = merge(uids)

    # --- what changed

    def notice(self, rows: Rows) -> None:
        """Take in what the store has of the mailbox and this does not; costs what changed."""
        if self.deleted:
            return
        counts = read_counts(rows, self.account, self.mailbox)
        if self.reader is not None:
            self.rights = sharing.rights(rows, self.account, self.mailbox, self.reader)
        if counts is None or "r" not in self.rights:
            # RFC 2180 3: a mailbox deleted under its client is one that has lost all its messages;
            # one that he may read no more, too (RFC 4314 5.1.1).
            self.deleted = True
            self._lose(self.uids)
            return
        if counts.modseq > self._gone_seen:
            self._lose(self._vanished(rows))
            self._gone_seen = counts.modseq
        if self.heeds is Heed.NOTHING:
            return
        wants_flags, since = self.heeds is Heed.ALL, self.seen
        if wants_flags and self._flags_from is not None:
            since, self._flags_from = self._flags_from, None
        elif counts.modseq <= self.seen:
            return
        last = self.uids[-1] if self.uids else 0
        new = array("I")
        for uid, row in mail_uids.changed(rows, self.account, self.mailbox, since):
            if uid > last:
                new.append(uid)
            elif self._answered.get(uid) == row.modseq:
                continue
            elif wants_flags:
                self._untold[uid] = row
            elif self._flags_from is None:
                self._flags_from = self.seen
        if new:
            self.uids = self.uids + new
        self.seen = counts.modseq

    def _vanished(self, rows: Rows) -> list[int]:
        try:
            return mail_uids.vanished(rows, self.account, self.mailbox, self._gone_seen)
        except TooOld:
            return self._missing(rows)

    def _lose(self, gone: Iterable[int]) -> None:
        """These are gone: to be told, or to be forgotten if the client never heard of them."""
        unheard: set[int] = set()
        for uid in gone:
            position = self.position_of(uid)
            if position is None:
                continue
            (self._gone if position < self._told_count else unheard).add(uid)
            self._untold.pop(uid, None)
        if unheard:
            self.uids = array("I", [uid for uid in self.uids if uid not in unheard])

    def _missing(self, rows: Rows) -> list[int]:
        """What left, by comparing: the change log no longer goes back far enough."""
        here: set[int] = set()
        first = 1
        while page := mail_uids.uid_rows(
            rows, self.account, self.mailbox, first, limit=mail_uids.SCAN_ROWS
        ):
            here.update(uid for uid, _ in page)
            first = page[-1][0] + 1
            if first > mail_uids.UID_MAX:
                break
        return [uid for uid in self.uids if uid not in here]

    def answered(self, uid: int, modseq: Version) -> None:
        """The flags a message got by the change `modseq` need not be told."""
        self._answered[uid] = modseq

    # --- telling

    def tell(self, out: list[bytes], *, expunges: bool, waiting: bool = False) -> None:
        """Append the responses that are due (RFC 9051 5.2, 7.4, 7.5). `waiting`: not at the end of
        a command, whose answer may have told MODSEQs."""
        if expunges and self._gone:
            self._tell_gone(out)
        if not self._gone and self._flags_from is None:
            self.synced = self.seen
        if self.vanishes and self.synced < self._gone_seen and (self._untold or not waiting):
            # RFC 7162 3.2: MODSEQs above those of what waits to be told may have been told
            out.append(self.highest_modseq())
        if len(self.uids) != self._told_count and self.heeds is not Heed.NOTHING:
            if self.fresh_after is None:
                self.fresh_after = self.uids[self._told_count - 1] if self._told_count else 0
            self._told_count = len(self.uids)
            out.append(responses.exists(self._told_count))
        if self.recents is not None and (line := self.recents.news(self.uids, self._told_count)):
            out.append(line)
        if self._untold:
            self._tell_flags(out)
        self._answered.clear()

    def take_fresh(self) -> list[Positions]:
        """The messages that came since the last time, as far as the client knows of them."""
        after, self.fresh_after = self.fresh_after, None
        if after is None:
            return []
        first = bisect_right(self.uids, after)
        return [(first, self._told_count)] if first < self._told_count else []

    def _tell_gone(self, out: list[bytes]) -> None:
        """Each number is as the client counts after the EXPUNGE before it."""
        gone = sorted(self._gone)
        if self.vanishes or self.by_uid:
            out.append(responses.vanished(runs(gone)))
        else:
            for removed, uid in enumerate(gone):
                position = self.position_of(uid)
                assert position is not None, uid
                out.append(responses.expunge(position + 1 - removed))
        self._told_count -= len(self._gone)
        self.uids = array("I", [uid for uid in self.uids if uid not in self._gone])
        self._gone.clear()

    def _tell_flags(self, out: list[bytes]) -> None:
        for uid, row in self._untold.items():
            position = self.position_of(uid)
            if position is not None:
                out.append(self.flags_line(position, uid, row.keywords, row.modseq, out))
        self._untold.clear()

    def flags_line(
        self,
        position: int,
        uid: int,
        keywords: tuple[str, ...],
        modseq: Version,
        out: list[bytes],
    ) -> bytes:
        """A FETCH that nobody asked for, with the MODSEQ if the client knows what that is."""
        told = b"FLAGS (%b)" % self.flags(uid, keywords, out)
        if self.shows_modseq:
            told += b" MODSEQ (%d)" % modseq
        return self.fetch_line(position, uid, told)

    def fetch_line(self, position: int, uid: int, told: bytes, *, tells_uid: bool = True) -> bytes:
        """RFC 9051 7.5.2 FETCH, with the UID if `tells_uid`; RFC 9586 3: UIDFETCH, which begins
        with it."""
        if self.by_uid:
            return b"* %d UIDFETCH (%b)\r\n" % (uid, told)
        if tells_uid:
            return b"* %d FETCH (UID %d %b)\r\n" % (position + 1, uid, told)
        return b"* %d FETCH (%b)\r\n" % (position + 1, told)

    def highest_modseq(self) -> bytes:
        """RFC 7162 3.1.2.1, with what a client that is cut off now should come back with."""
        return untagged_ok("Highest", self.modseq_code())

    def modseq_code(self) -> bytes:
        """The HIGHESTMODSEQ response code."""
        return b"HIGHESTMODSEQ %d" % shown_modseq(self.synced)

    @property
    def exact_at(self) -> Version | None:
        """The MODSEQ of which `uids` is the mailbox; None: something came or went untold."""
        return self.seen if not self._gone and self.seen == self._gone_seen else None

    @property
    def hides_expunges(self) -> bool:
        """Messages are gone that the client still counts: [EXPUNGEISSUED] (RFC 5530 3)."""
        return bool(self._gone)

    @property
    def gone(self) -> AbstractSet[int]:
        """UIDs of messages that the client counts and the store has no more."""
        return self._gone

    def any_gone(self, uids: Iterable[int]) -> bool:
        """Some of these messages are gone, whatever the client counts."""
        return bool(self._gone) and not self._gone.isdisjoint(uids)

    # --- what may be done

    @property
    def owner(self) -> AccountId | None:
        """Whose it is, when it is another's."""
        return None if self.reader is None else self.account

    def check(self, rows: Rows, rights: str) -> str:
        """All the rights that there are now, these among them; raises NoPermission."""
        if self.reader is None:
            return sharing.ALL
        held = sharing.rights(rows, self.account, self.mailbox, self.reader)
        if not set(rights) <= set(held):
            raise NoPermission("Permission denied")
        return held

    def may_read(self, rows: Rows) -> bool:
        """Whether its messages are there for who has selected it."""
        if self.reader is None:
            return True
        return "r" in sharing.rights(rows, self.account, self.mailbox, self.reader)

    def permanent_flags(self) -> bytes:
        """RFC 9051 7.1 PERMANENTFLAGS: all that FLAGS lists stay (what it lists and this does not
        would not), RFC 4314 5.1.1: as far as the client may change them."""
        flags = (
            []
            if self.read_only
            else [*allowed((*SYSTEM_KEYWORDS, *self.lists.keywords), self.rights)]
        )
        shown = [*map(render_flag, flags)]
        if flags and "w" in self.rights:
            shown.append(b"\\*")  # clients may make up keywords
        return b"PERMANENTFLAGS (%b)" % b" ".join(shown)

    # --- flags

    def flags(self, uid: int, keywords: tuple[str, ...], out: list[bytes]) -> bytes:
        """A message's flag list; a keyword not listed before is listed first (RFC 9051 7.3.5)."""
        shown = self.lists.render(keywords, out)
        return _recent(shown) if self.recents is not None and uid in self.recents else shown

    def flag_column(
        self, uids: Sequence[int], held: Sequence[tuple[str, ...]], out: list[bytes]
    ) -> list[bytes]:
        """The flag lists of messages with ascending UIDs and these keywords, as `flags` of each."""
        shown = {keywords: self.lists.render(keywords, out) for keywords in dict.fromkeys(held)}
        column = [shown[keywords] for keywords in held]
        if self.recents is not None:
            for first, end in self.recents.places(uids):
                column[first:end] = map(_recent, column[first:end])
        return column


def _recent(shown: bytes) -> bytes:
    return b" ".join([RECENT, shown]) if shown else RECENT
