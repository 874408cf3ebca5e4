"""What an op is given: the house's ports, the door's shared parts, this connection's state.

Ops change `principal`, `selected` and what is enabled here and nowhere else; the session
moves the core's phase after them. Responses go into `out`, which is sent in large pieces (a
response is never a send of its own) and whenever it grows over OUT_BYTES, so that a client that
does not read holds up its own command and not our memory.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from weakref import WeakValueDictionary

import trio

from protocols.errors import RemoteProtocolError
from protocols.imap.contexts import Contexts
from protocols.imap.core import LITERALS_BYTES_MAX, LiteralRoom
from protocols.imap.kept import KeptAnswers
from protocols.imap.limits import APPEND_BYTES_MAX
from protocols.imap.notified import Lent, Notified, Panorama
from protocols.imap.responses import Ending, Status, no, render_ending, untagged_ok
from protocols.imap.selected import Heed, Positions, Selected, newest
from protocols.ports import Ports, Principal
from protocols.render.strings import render_string
from protocols.scram import OFFERED_BINDING
from protocols.stream import DoorStream
from storage.grants import stands
from storage.ids import AccountId, MailboxId
from storage.mail import errors, sharing
from storage.mail.mailbox_index import MailboxIndex, MailboxIndexes
from storage.view import View

# What is gathered before it is sent: one send costs as much as rendering a hundred messages.
OUT_BYTES: Final = 64 * 1024
# One send: with the stream's time limit for each, this sets the least rate a reader must keep.
SEND_BYTES_MAX: Final = 256 * 1024
# A client hears of a command that takes longer than this (RFC 9585 3), before it gives us up.
PROGRESS_S: Final = 10.0
# Messages an op handles between two looks at the rest of the world.
SLICE_MESSAGES: Final = 256
# What all connections' mailbox indexes together may take.
INDEXES_BYTES_MAX: Final = 64 * 1024 * 1024

# What the answers to FETCH that are kept may take: about 25,000 messages as a client first asks.
KEPT_OCTETS_MAX: Final = 16 * 1024 * 1024


class Outbox:
    """Responses on their way."""

    __slots__ = ("_send", "_sent", "_size", "lines")

    def __init__(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        self._send = send
        self._size = 0
        self._sent = 0
        self.lines: list[bytes] = []
        """Where functions that only render append; `count` takes them into account."""

    def add(self, *pieces: bytes) -> None:
        """Say this, some time before the command ends."""
        self.lines += pieces
        for octets in pieces:
            self._size += len(octets)

    def mark(self) -> tuple[int, int]:
        """This moment, for `take_back`."""
        return self._sent, len(self.lines)

    def take_back(self, mark: tuple[int, int]) -> bool:
        """Leave unsaid what was added since; False: some of it is sent."""
        if mark[0] != self._sent:
            return False
        del self.lines[mark[1] :]
        self.count()
        return True

    @property
    def full(self) -> bool:
        """Time to send: `flush`."""
        return self._size >= OUT_BYTES

    def count(self) -> None:
        """Weigh what was appended to `lines` directly."""
        self._size = sum(map(len, self.lines))

    async def flush(self) -> None:
        """Send all that has been said."""
        if self.lines:
            octets = b"".join(self.lines)
            self.lines.clear()
            self._size = 0
            self._sent += 1
            await self._send(octets)


class OverLimit(Exception):
    """A command that is done whole or not at all names more messages than one may (RFC 9738)."""

    def __init__(self, code: bytes) -> None:
        super().__init__("too many messages")
        self.code = code


class Door:
    """What all connections of the IMAP door share."""

    def __init__(
        self,
        *,
        indexes_bytes_max: int = INDEXES_BYTES_MAX,
        room: LiteralRoom | None = None,
        jmap_url: str | None = None,
        metadata_url: str | None = None,
        url_applications: Mapping[str, Collection[str]] | None = None,
        message_limit: int = 0,
        save_limit: int = 0,
        append_bytes_max: int = APPEND_BYTES_MAX,
    ) -> None:
        self.append_bytes_max = append_bytes_max
        """The largest message that is taken (RFC 7889); of all of one command together too."""
        self.message_limit = message_limit
        """How many messages one command works on (RFC 9738); 0: as many as there are."""
        self.save_limit = message_limit or save_limit
        """How many messages one COPY or APPEND adds."""
        self.indexes = MailboxIndexes(indexes_bytes_max)
        self.kept = KeptAnswers(KEPT_OCTETS_MAX)
        self.room = room or LiteralRoom(max(LITERALS_BYTES_MAX, 2 * append_bytes_max))
        self.jmap_url = jmap_url
        self.metadata_url = metadata_url
        """Of the OAuth server whose tokens are good here (RFC 8414)."""
        self.url_applications: Mapping[str, Collection[str]] = url_applications or {}
        """Addresses of the accounts that fetch URLs for an application (RFC 5593 3.3), `submit`
        among them, by its name in lower case."""
        self.panoramas: WeakValueDictionary[AccountId, Panorama] = WeakValueDictionary()
        """The newest of each account, while somebody holds it."""
        self.lent: WeakValueDictionary[tuple[AccountId, AccountId], Lent] = WeakValueDictionary()
        """The newest of what each owner shares with each reader (reader, owner), likewise."""


@dataclass(slots=True)
class Context:
    """One connection, as ops see it."""

    ports: Ports
    door: Door
    out: Outbox
    peer_ip: str
    may_send_secrets: bool
    """Passwords may cross the connection: it is under TLS, or does not leave the machine."""
    channel: DoorStream
    """What the connection is bound to, and whose certificate it has shown."""
    offers_tls: bool
    """STARTTLS is possible now."""
    compressed: bool = False
    """COMPRESS is active (RFC 4978)."""
    principal: Principal | None = None
    selected: Selected | None = None
    contexts: Contexts | None = None
    """Results of searches in the mailbox that was selected then, kept up to date (RFC 5267)."""
    condstore: bool = False
    """The client knows of MODSEQs (RFC 7162 3.1)."""
    qresync: bool = False
    """QRESYNC is enabled (RFC 7162 3.2.3)."""
    rev2: bool = False
    """IMAP4rev2 is enabled."""
    accepts_utf8: bool = False
    """UTF8=ACCEPT is enabled (RFC 6855 3)."""
    uid_only: bool = False
    """UIDONLY is enabled (RFC 9586)."""
    metadata_seen: int | None = None
    """METADATA is enabled (RFC 5464 4.1): annotations changed up to here are told."""
    notified: Notified | None = None
    """What NOTIFY has asked for (RFC 5465); None: it was never used."""
    own: set[tuple[AccountId, int]] = field(default_factory=set)
    """Versions that this connection's commands gave the account since news was last told."""
    logged_out: bool = False
    """LOGOUT was said: the connection ends after its ending."""
    tag: bytes = b""
    """The command's tag, which ESEARCH repeats."""
    limited: bytes | None = None
    """MESSAGELIMIT, when the command has not looked at all that it named (RFC 9738)."""
    heard_s: float = 0.0
    """When the command began, or its progress was told last; by the monotonic clock."""

    @property
    def binds(self) -> bool:
        """SCRAM can be bound to the connection."""
        return self.channel.binding(OFFERED_BINDING) is not None

    @property
    def account(self) -> AccountId:
        """Whose mail this is about; only for commands of the authenticated phase."""
        assert self.principal is not None, "the phase table lets no stranger in"
        return self.principal.account

    def check_access(self) -> None:
        """Raises RemoteProtocolError when the token that opened the connection was taken back."""
        access = None if self.principal is None else self.principal.access
        if access is not None and not stands(self.local(), access, self.ports.clock.now_ms()):
            raise RemoteProtocolError("The access that opened this connection was taken back")

    @property
    def mailbox(self) -> Selected:
        """The selected mailbox; only for commands of the selected phase."""
        assert self.selected is not None, "the phase table lets these in with a mailbox only"
        return self.selected

    @property
    def heeds(self) -> Heed:
        """Which news of messages is told of the selected mailbox."""
        return Heed.ALL if self.notified is None else self.notified.heeds

    @property
    def listens(self) -> bool:
        """There is more to tell than the selected mailbox's news."""
        return self.notified is not None or self.metadata_seen is not None

    @property
    def watched(self) -> set[AccountId]:
        """The accounts in which something may happen that is to be told."""
        found = {self.account}
        if self.selected is not None:
            found.add(self.selected.account)
        if self.notified is not None and self.notified.reaches_others:
            found |= {sharing.ANYONE, *self.notified.others}
        return found

    def own_of(self, account: AccountId) -> set[int]:
        """The versions of an account among them."""
        return {version for holder, version in self.own if holder == account}

    def notify(self, notified: Notified | None) -> None:
        """News is told as `notified` says from now on; None: none any more (RFC 5465 5.8)."""
        self.notified = notified or Notified(())
        if self.selected is not None:
            self.selected.heeds = self.heeds

    @property
    def utf8(self) -> bool:
        """Names are UTF-8, here and there, and so may be the header of a message that comes."""
        return self.rev2 or self.accepts_utf8

    @property
    def updating(self) -> Contexts | None:
        """The contexts of the selected mailbox; they end with its selection (RFC 5267 4.3)."""
        if self.contexts is not None and self.contexts.selected is not self.selected:
            self.contexts = None
        return self.contexts

    def count_no_more(self) -> None:
        """Messages are told of by UIDs alone from now on, those of updates too (RFC 9586 3)."""
        self.uid_only = True
        if self.selected is not None:
            self.selected.by_uid = True
        for watched in self.updating or ():
            watched.uid = True

    def know_modseqs(self) -> None:
        """A CONDSTORE-enabling command (RFC 7162 3.1); the first one tells HIGHESTMODSEQ."""
        if self.condstore:
            return
        self.condstore = True
        if self.selected is not None:
            self.selected.shows_modseq = True
            self.out.add(self.selected.highest_modseq())

    def check_readable(self) -> None:
        """RFC 4314 5.1.1: raise NoPermission when the selected mailbox is another's and may be
        read no more; until it is left nothing more is done in it."""
        if self.selected is not None and self.selected.reader is not None:
            self.selected.check(self.local(), "r")

    async def barrier(self) -> View:
        """A view that shows every write acknowledged before now; raises Unavailable."""
        return await self.ports.reader.view()

    async def reading(self) -> View:
        """As `barrier`, for what reads the selected mailbox: the right to may go while it waits."""
        view = await self.barrier()
        self.check_readable()
        return view

    def began(self, tag: bytes) -> None:
        """A command begins."""
        self.tag = tag
        self.limited = None
        self.heard_s = self.ports.clock.monotonic_s()

    def newest(self, positions: list[Positions]) -> list[Positions]:
        """As many of these messages as one command may work on: those with the highest UIDs. The
        ending will tell which is the last of them (RFC 9738 3)."""
        kept, lowest = newest(positions, self.door.message_limit)
        if lowest is not None:
            self.limited = self._limit_code(self.mailbox.uids[lowest])
        return kept

    def check_whole(self, positions: list[Positions]) -> None:
        """Raises OverLimit when one command may not work on all of these messages."""
        if sum(end - first for first, end in positions) > (most := self.door.message_limit) > 0:
            raise OverLimit(b"MESSAGELIMIT %d" % most)

    def check_saved(self, positions: list[Positions]) -> None:
        """Raises OverLimit when one command may not copy all of these messages."""
        _, lowest = newest(positions, self.door.save_limit)
        if lowest is not None:
            code = b"MESSAGELIMIT %d %d"
            raise OverLimit(code % (self.door.save_limit, self.mailbox.uids[lowest]))

    def _limit_code(self, uid: int) -> bytes:
        return b"MESSAGELIMIT %d %d" % (self.door.message_limit, uid)

    def newest_uids(self, uids: list[int]) -> list[int]:
        """The same of ascending UIDs."""
        most = self.door.message_limit
        if not most or len(uids) <= most:
            return uids
        self.limited = self._limit_code(uids[-most])
        return uids[-most:]

    def with_limit(self, ending: Ending) -> Ending:
        """The ending with MESSAGELIMIT, which stands by itself where the ending has a code of its
        own or is no OK."""
        if self.limited is None:
            return ending
        if ending.code is None and ending.status is Status.OK:
            return replace(ending, code=self.limited)
        self.out.add(render_ending(b"*", no("Not all messages at once", self.limited)))
        return ending

    async def progress(self, done: int, goal: int) -> None:
        """RFC 9585 3: `done` of `goal` messages are; said when the client has waited a while."""
        now_s = self.ports.clock.monotonic_s()
        if now_s - self.heard_s < PROGRESS_S:
            return
        self.heard_s = now_s
        code = b"INPROGRESS (%b %d %d)" % (render_string(self.tag), done, goal)
        self.out.add(untagged_ok(f"Done with {done} of {goal} messages", code))
        await self.out.flush()

    def local(self) -> View:
        """What this node has applied."""
        return self.ports.reader.local()

    async def warm(self, account: AccountId, mailbox: MailboxId) -> bool:
        """Read the order of a large mailbox that nobody has asked for lately; True: others ran
        between two pages of it."""
        paused = False
        for _ in self.door.indexes.warm(self.local(), account, mailbox):
            await trio.lowlevel.checkpoint()
            paused = True
        return paused

    async def index(self, account: AccountId, mailbox: MailboxId) -> MailboxIndex:
        """The order of a mailbox as this node has applied it; raises MailboxNotFound."""
        await self.warm(account, mailbox)
        return self.door.indexes.get(self.local(), account, mailbox)


# RFC 5530 3, RFC 9051 7.1: what a refusal of the store is called in IMAP.
_REFUSALS: Final[dict[type[errors.MailError], bytes | None]] = {
    errors.MailboxNotFound: b"NONEXISTENT",
    errors.MailboxExists: b"ALREADYEXISTS",
    errors.MailboxHasChild: b"HASCHILDREN",
    errors.MailboxNameInvalid: b"CANNOT",
    errors.MailboxProtected: b"CANNOT",
    errors.MailboxDepth: b"LIMIT",
    errors.MailboxLimit: b"LIMIT",
    errors.MailboxTooLarge: b"LIMIT",
    errors.TooManyMailboxes: b"LIMIT",
    errors.TooManyEmails: b"LIMIT",
    errors.TooManyKeywords: b"LIMIT",
    errors.KeywordInvalid: b"CANNOT",
    errors.OverQuota: b"OVERQUOTA",
    errors.NoPermission: b"NOPERM",
    errors.TooManyReaders: b"LIMIT",
    errors.TooManyFollowed: b"LIMIT",
    errors.TooManyUrlKeys: b"LIMIT",
}


def refusal(error: errors.MailError) -> Ending:
    """What the store refused, as the command's ending."""
    return no(str(error) or "Refused", _REFUSALS.get(type(error)))
