"""What the house lends a door: reads, writes, blobs, identities, news, time and chance.

A door never opens a socket, reads the clock, draws randomness or knows of consensus; whole nodes
run in one process under virtual time because all of that comes through here. The house builds
one `Ports` and gives it to every door; tests build one over an in-memory engine (tests/fakes.py).
"""

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Protocol, TypeVar

from protocols.scram import ScramKeys
from storage.grants import Access
from storage.ids import AccountId, BlobId, Version
from storage.plan import Plan
from storage.view import View

R = TypeVar("R")
Command = Callable[[Plan], R]
ReadOctets = Callable[[int, int], bytes]
"""(start, length) -> just those octets of something large. Short: what it reads is at hand."""


class Unavailable(Exception):
    """No leader, no majority, damage here, or not in time: nothing wrong is said, try again.

    JMAP serverUnavailable, IMAP NO [UNAVAILABLE] (RFC 5530 3), LMTP 451 4.3.2.
    """


class Damaged(Unavailable):
    """This node has a blob damaged: another node's copy is on its way, if there is one.

    What a door has no words for is Unavailable. IMAP NO [CORRUPTION] (RFC 5530 3).
    """


class Reader(Protocol):
    """Linearizable reads, answered by this node."""

    async def view(self) -> View:
        """A view that shows every write acknowledged, anywhere, before this call.

        Raises Unavailable when no leader confirms that in time.
        """

    def local(self) -> View:
        """What this node has applied, with no promise but monotonicity on this node."""


class Writer(Protocol):
    """Writes: planned here, ordered by the leader, applied by all, acknowledged after our apply."""

    async def write(
        self, account: AccountId, command: Command[R], *, blobs: Sequence[bytes] = ()
    ) -> R:
        """Plan `command` on the account's newest state and make it durable on a majority.

        Commands of one account run one after the other, several to a batch; `command` is pure
        and short, may run again on newer state after a conflict, and its result is returned when
        this node has applied the batch. `blobs` are the bytes of every blob the command refers to
        and may not be stored yet: they are durable when the command's rows are. Whatever
        `command` raises is raised here, with nothing written; a refusal, like an answer without
        a write, knows every write acknowledged before this call. Raises Unavailable.
        """

    async def carry(self, blob: BlobId, octets: int, read: ReadOctets) -> None:
        """Bring a large blob to the nodes, ahead of the command that will hold it.

        It is read as it goes, a part at a time, each once. When this returns it is here; the
        command must expect its row (storage.keys.blob_key), for a blob that nothing holds may be
        collected. Raises Unavailable when nothing of it gets on, and what `read` raises.
        """


class Blobs(Protocol):
    """Content-addressed bytes on this node. Sync: short reads from the page cache."""

    def size(self, blob: BlobId) -> int | None:
        """How many octets the blob has, or None when it is not here."""

    def read(self, blob: BlobId, start: int, length: int) -> bytes:
        """Octets [start, start+length), fewer at the blob's end; KeyError when it is not here.

        Raises Damaged.
        Read large blobs in pieces of at most READ_BYTES_MAX with a checkpoint between.
        """


# The piece in which doors read and send blobs.
READ_BYTES_MAX = 256 * 1024


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a connection acts for, once it has proved it."""

    account: AccountId
    address: str
    lent: tuple[AccountId, ...] = ()
    """Other accounts that he may use as his own."""
    access: Access | None = None
    """By which token, if by one: what it has opened ends when it is taken back (grants.stands)."""


class AuthFailed(Exception):
    """Wrong name or secret; the text says no more than that."""


class NotForOthers(AuthFailed):
    """Who it is is proved; whom he wants to act for is somebody else."""


class ScopeMissing(AuthFailed):
    """The token is good, and for something else."""


class AuthBusy(Exception):
    """Too many attempts or too much hashing under way: refuse early and politely."""


class ScramAttempt(Protocol):
    """One exchange of SCRAM."""

    @property
    def keys(self) -> ScramKeys:
        """The account's; by nobody's, nothing can be proved."""

    @property
    def nonce(self) -> bytes:
        """Random octets."""

    def prove(self, final: Callable[[], bytes | None]) -> tuple[Principal, bytes]:
        """Whose it is and what `final` gives, unless that is None: then AuthFailed.

        Raises AuthBusy, and then `final` was not asked: failures are counted as for passwords.
        """


class Auth(Protocol):
    """Secrets to principals."""

    async def scram(self, username: str, *, remote: str) -> ScramAttempt:
        """Begin an exchange for a full address. Raises AuthBusy, Unavailable.

        A name that is nobody's looks like any other.
        """

    async def password(self, username: str, password: str, *, remote: str) -> Principal:
        """The principal of a full address and its password; `remote` is the peer's IP address.

        Raises AuthFailed, AuthBusy, Unavailable.
        """

    async def certificate(
        self, addresses: Sequence[str], *, authzid: str, remote: str
    ) -> Principal:
        """The principal of a verified certificate that names these addresses.

        Among them are addresses of exactly one account, and `authzid` is another of them or "".
        Raises AuthFailed, NotForOthers, AuthBusy, Unavailable.
        """

    async def bearer(self, token: str, *, authzid: str = "", remote: str) -> Principal:
        """The principal of an OAuth access token for mail; `authzid` is an address of his or "".

        Raises AuthFailed, NotForOthers, ScopeMissing, AuthBusy, Unavailable.
        """


@dataclass(frozen=True, slots=True)
class Route:
    """Where mail for an address goes: to these accounts, each once, and on to these addresses."""

    accounts: tuple[AccountId, ...]
    elsewhere: tuple[str, ...] = ()
    mailing_list: str = ""
    """The address of the list, if it is one: what goes elsewhere says that it came by it."""
    members: tuple[str, ...] = ()
    """Of the list, as it names them."""


class TooManyMembers(Exception):
    """A list and the lists in it have so many members that mail to it is not taken."""


class Directory(Protocol):
    """Addresses to accounts."""

    def resolve(self, view: View, address: str) -> AccountId | None:
        """The one account whose mail is addressed so, or None: nobody's, or a mailing list's.

        Case is folded; aliases, details and the domain's catch-all are resolved.
        """

    def is_known(self, view: View, address: str) -> bool:
        """Whether an account or a mailing list gets what is addressed so."""

    def route(self, view: View, address: str) -> Route | None:
        """Where mail for the address goes, mailing lists expanded; None: nobody has it.

        Raises TooManyMembers.
        """


Answers = Mapping[str, tuple[str, str]]
"""What became of recipients: (delivered, SMTP reply) by address (RFC 8621 7 DeliveryStatus)."""


class Submitter(Protocol):
    """How mail that the users write leaves: the one way out, as delivery is the one way in."""

    async def send(self, ports: "Ports", account: AccountId, number: int) -> Sequence[Version]:
        """Send a submission of the account to whoever has no answer yet.

        Returns the versions by which the account was told what became of it. May be called again,
        also at once on two nodes: nobody gets it twice. Raises Unavailable: what was not sent
        stays due (storage/submissions.py).
        """

    async def hand_over(
        self,
        ports: "Ports",
        account: AccountId,
        mail_from: str,
        recipients: Sequence[str],
        message: bytes,
    ) -> Answers:
        """Send a message that is no submission of the account, a receipt say.

        Raises Unavailable.
        """

    async def forward(
        self,
        ports: "Ports",
        mail_from: str,
        recipients: Sequence[str],
        message: bytes,
        *,
        key: bytes | None,
    ) -> Answers:
        """Send a message on, as it is, to addresses elsewhere: members of a list that it came to.

        With a key (see delivery.delivery_key) it may be asked again: nobody gets it twice.
        Raises Unavailable.
        """


class Watch(Protocol):
    """One listener's news, coalesced: however much happens between waits, it is told once."""

    async def wait(self) -> None:
        """Block until something watched has changed since the last `take`."""

    def take(self) -> dict[AccountId, tuple[Version, int]]:
        """What changed: newest version and mask of TypeCode bits per account; then forgets it."""


class News(Protocol):
    """Changes of accounts as this node applies them, whichever node they came in by."""

    def watch(self, accounts: Collection[AccountId]) -> AbstractContextManager[Watch]:
        """Listen to these accounts until the context closes."""

    def watch_all(self) -> AbstractContextManager[Watch]:
        """Listen to every account. Should anything at all have changed, in accounts not known,
        the system account is told to have changed in all types."""


class Clock(Protocol):
    """Time of day and time passed."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC."""

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes back."""


@dataclass(frozen=True, slots=True)
class Ports:
    """All that a door is given."""

    reader: Reader
    writer: Writer
    blobs: Blobs
    auth: Auth
    directory: Directory
    news: News
    clock: Clock
    chance: random.Random
    hostname: str
    node: str
    submitter: Submitter
    spool: Callable[[], BinaryIO]
    """A file for what is too large for memory while it comes in; gone when it is closed."""
