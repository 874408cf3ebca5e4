"""A house for doors in tests: real storage in memory behind protocols.ports, no cluster.

Writes take the true path: planned, encoded, decoded and applied by storage.apply to a
MemoryEngine. What a cluster may do to a door is switched by hand: `unavailable` makes barriers
and writes fail, `conflicts` lets rivals change an account under the next plans, `stalled` holds
writes back until it is released. Time stands still until a test moves it.

    house = make_house({"alice@example.org": "secret"})
    door(house.ports); house.clock.pass_s(60); house.unavailable = True
"""

import io
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final, TypeVar

import trio

from node.directory import AccountDirectory
from node.news import Bells
from protocols.bearer import MAIL_SCOPE
from protocols.ports import (
    AuthBusy,
    AuthFailed,
    Command,
    NotForOthers,
    Ports,
    Principal,
    ReadOctets,
    ScopeMissing,
    Unavailable,
)
from protocols.scram import ScramKeys, derive_keys
from protocols.submitting import LocalSubmitter
from storage import accounts, grants, keys
from storage.apply import Applied, Applier, Outcome
from storage.batch import (
    BLOB_PART_BYTES_MAX,
    BlobPart,
    ProposalId,
    Registration,
    encode_batch,
    encode_registration,
)
from storage.blobs import BlobStore, cut_blob
from storage.ids import AccountId, BlobId, blob_id
from storage.mail.mailboxes import plan_defaults
from storage.memory import MemoryEngine
from storage.plan import Plan
from storage.segments import MemoryFiles
from storage.view import View

R = TypeVar("R")

REPLICA: Final = 1
RIVAL: Final = 2
# Sunday, 1 November 2026, 12:00 UTC.
NOON_MS: Final = 1_793_534_400_000
# More blob bytes than this go ahead in batches of their own, as the proposer does it.
INLINE_BYTES_MAX: Final = 512 * 1024
PLAN_ATTEMPTS_MAX: Final = 20


@dataclass
class FakeClock:
    """A clock that a test moves. Implements ports.Clock."""

    ms: int = NOON_MS
    passed_s: float = 1_000.0

    def now_ms(self) -> int:
        return self.ms

    def monotonic_s(self) -> float:
        return self.passed_s

    def pass_s(self, seconds: float) -> None:
        """Let time go by on both clocks."""
        self.ms += int(seconds * 1000)
        self.passed_s += seconds


@dataclass
class FakeAuth:
    """Passwords in a dict by address. Implements ports.Auth."""

    house: "FakeHouse"
    passwords: dict[str, str] = field(default_factory=dict)
    busy: bool = False
    attempts: list[tuple[str, str]] = field(default_factory=list)
    lent: dict[str, tuple[AccountId, ...]] = field(default_factory=dict)

    async def password(self, username: str, password: str, *, remote: str) -> Principal:
        await trio.lowlevel.checkpoint()
        self.attempts.append((username, remote))
        if self.house.unavailable:
            raise Unavailable("the test says so")
        if self.busy:
            raise AuthBusy
        address = username.lower()
        account = accounts.by_address(self.house.engine, username)
        if account is None or self.passwords.get(address) != password:
            raise AuthFailed
        return Principal(account, address, lent=self.lent.get(address, ()))

    async def bearer(self, token: str, *, authzid: str = "", remote: str) -> Principal:
        await trio.lowlevel.checkpoint()
        self.attempts.append((authzid, remote))
        if self.house.unavailable:
            raise Unavailable("the test says so")
        if self.busy:
            raise AuthBusy
        access = grants.prove_access(self.house.engine, token, self.house.clock.now_ms())
        if access is None:
            raise AuthFailed
        if MAIL_SCOPE not in access.scopes:
            raise ScopeMissing
        record = accounts.get_account(self.house.engine, access.account)
        assert record is not None
        address = record.address
        if authzid.lower() not in ("", address):
            raise NotForOthers
        return Principal(access.account, address, access=access)

    async def scram(self, username: str, *, remote: str) -> "FakeScram":
        await trio.lowlevel.checkpoint()
        self.attempts.append((username, remote))
        if self.house.unavailable:
            raise Unavailable("the test says so")
        if self.busy:
            raise AuthBusy
        address = username.lower()
        password = self.passwords.get(address, "nobody knows this")
        keys = derive_keys(password.encode(), b"salt", 4096)
        account = accounts.by_address(self.house.engine, username) or AccountId(0)
        return FakeScram(keys, b"server nonce", Principal(account, address))

    async def certificate(
        self, addresses: Sequence[str], *, authzid: str, remote: str
    ) -> Principal:
        await trio.lowlevel.checkpoint()
        self.attempts.append((" ".join(addresses), remote))
        if self.house.unavailable:
            raise Unavailable("the test says so")
        if self.busy:
            raise AuthBusy
        engine = self.house.engine
        found = {accounts.by_address(engine, address) for address in addresses} - {None}
        if len(found) != 1:
            raise AuthFailed
        (account,) = found
        assert account is not None
        if authzid and accounts.by_address(engine, authzid) != account:
            raise NotForOthers
        address = next(a for a in addresses if accounts.by_address(engine, a) == account)
        return Principal(account, address, lent=self.lent.get(address, ()))


@dataclass
class FakeScram:
    """Implements ports.ScramAttempt."""

    keys: ScramKeys
    nonce: bytes
    principal: Principal

    def prove(self, final: Callable[[], bytes | None]) -> tuple[Principal, bytes]:
        said = final()
        if said is None:
            raise AuthFailed
        return self.principal, said


@dataclass
class FakeReader:
    """Views of the one engine there is. Implements ports.Reader."""

    house: "FakeHouse"
    barriers: int = 0

    async def view(self) -> View:
        await trio.lowlevel.checkpoint()
        self.barriers += 1
        if self.house.unavailable:
            raise Unavailable("the test says so")
        return self.local()

    def local(self) -> View:
        return View(self.house.engine, self.house.applier.index)


@dataclass
class FakeWriter:
    """Plans and applies at once. Implements ports.Writer."""

    house: "FakeHouse"
    writes: int = 0

    async def write(
        self, account: AccountId, command: Command[R], *, blobs: Sequence[bytes] = ()
    ) -> R:
        await trio.lowlevel.checkpoint()
        house = self.house
        await house.gate.wait()
        if house.unavailable:
            raise Unavailable("the test says so")
        self.writes += 1
        parts = house.stage(blobs)
        for _ in range(PLAN_ATTEMPTS_MAX):
            plan = house.plan()
            with plan.command() as planned:
                result = command(plan)
            if not planned.wrote:
                return result
            if house.conflicts:
                house.conflicts -= 1
                house.interfere(account)
            if house.propose(plan, parts).outcome is Outcome.APPLIED:
                return result
        raise Unavailable("conflicts without end")

    async def carry(self, blob: BlobId, octets: int, read: ReadOctets) -> None:
        await trio.lowlevel.checkpoint()
        house = self.house
        if house.unavailable:
            raise Unavailable("the test says so")
        for offset in range(0, max(octets, 1), BLOB_PART_BYTES_MAX):
            data = read(offset, min(BLOB_PART_BYTES_MAX, octets - offset))
            house.propose(house.plan(), (BlobPart(blob, offset, octets, data),))


class _Spool(io.BytesIO):
    """A spool in memory."""

    def __init__(self, house: "FakeHouse") -> None:
        super().__init__()
        self._house = house

    def close(self) -> None:
        """Closed once."""
        self._house.spooled -= not self.closed
        super().close()


class FakeHouse:
    """One node's storage in memory and the switches of its fakes."""

    def __init__(self, *, seed: int, hostname: str, node: str) -> None:
        self.engine = MemoryEngine()
        self.blobs = BlobStore(self.engine, MemoryFiles())
        self.applier = Applier(self.engine, self.blobs)
        self.clock = FakeClock()
        self.chance = random.Random(seed)
        self.news = Bells()
        self.auth = FakeAuth(self)
        self.reader = FakeReader(self)
        self.writer = FakeWriter(self)
        self.accounts: dict[str, AccountId] = {}
        self.unavailable = False
        self.conflicts = 0
        """How many of the next plans find that a rival was faster."""
        self.gate = trio.Event()
        self.gate.set()
        self._sequence = {REPLICA: 0, RIVAL: 0}
        for replica in (REPLICA, RIVAL):
            self._apply(encode_registration(Registration(replica, 1, node, b"fake", b"n")))
        self.ports = Ports(
            reader=self.reader,
            writer=self.writer,
            blobs=self.blobs,
            auth=self.auth,
            directory=AccountDirectory(),
            news=self.news,
            clock=self.clock,
            chance=self.chance,
            hostname=hostname,
            node=node,
            submitter=LocalSubmitter(),
            spool=self._spool,
        )
        self.spooled = 0
        """Files that are open for what comes in."""

    def _spool(self) -> BinaryIO:
        self.spooled += 1
        return _Spool(self)

    def stall(self) -> None:
        """Hold back every write from now on, until `release`."""
        self.gate = trio.Event()

    def release(self) -> None:
        """Let the held writes go."""
        self.gate.set()

    def view(self) -> View:
        """What is applied now."""
        return self.reader.local()

    def plan(self) -> Plan:
        """A plan on what is applied now."""
        return Plan(self.view(), now_ms=self.clock.now_ms(), chance=self.chance)

    def run(self, command: Command[R], *, blobs: Sequence[bytes] = ()) -> R:
        """What `writer.write` does, without a task: for setting the scene."""
        parts = self.stage(blobs)
        plan = self.plan()
        with plan.command() as planned:
            result = command(plan)
        if planned.wrote:
            assert self.propose(plan, parts).outcome is Outcome.APPLIED
        return result

    def add_account(self, address: str, password: str) -> AccountId:
        """An account with the usual mailboxes; its domain is made when needed."""

        def make(plan: Plan) -> AccountId:
            account = accounts.plan_create_account(plan, address, "fake", make_domain=True)
            plan_defaults(plan, account)
            return account

        account = self.run(make)
        self.accounts[address] = account
        self.auth.passwords[address.lower()] = password
        return account

    def interfere(self, account: AccountId) -> None:
        """A rival node changes the account: plans made before are in conflict."""
        plan = self.plan()
        with plan.command():
            plan.touch(account, 0)
        assert self.propose(plan, (), replica=RIVAL).outcome is Outcome.APPLIED

    def stage(self, blobs: Sequence[bytes]) -> tuple[BlobPart, ...]:
        """The parts that go with the command; large blobs are applied ahead, here and now."""
        parts: dict[tuple[BlobId, int], BlobPart] = {}
        for data in blobs:
            name = blob_id(data)
            if self.blobs.size(name) is None:
                parts.update({(name, part.offset): part for part in cut_blob(name, data)})
        if sum(len(part.data) for part in parts.values()) <= INLINE_BYTES_MAX:
            return tuple(parts.values())
        for part in parts.values():
            self.propose(self.plan(), (part,))
        return ()

    def propose(self, plan: Plan, parts: Sequence[BlobPart], *, replica: int = REPLICA) -> Applied:
        """Encode, decode, apply and ring, as a cluster of one would."""
        self._sequence[replica] += 1
        sequence = self._sequence[replica]
        batch = plan.batch(ProposalId(replica, 1, sequence), sequence, parts)
        return self._apply(encode_batch(batch))

    def _apply(self, payload: bytes) -> Applied:
        (applied,) = self.applier.apply([(self.applier.index + 1, 1, payload)])
        self.news.ring(applied.announces)
        return applied

    def is_whole(self, blob: BlobId) -> bool:
        """Is the blob here."""
        return self.engine.get(keys.blob_key(blob)) is not None


def make_house(
    people: Mapping[str, str] | None = None,
    *,
    seed: int = 1,
    hostname: str = "mail.example.org",
    node: str = "n1",
) -> FakeHouse:
    """A house with an account per address, each with its password and usual mailboxes."""
    house = FakeHouse(seed=seed, hostname=hostname, node=node)
    for address, password in (people or {}).items():
        house.add_account(address, password)
    return house


def make_ports(people: Mapping[str, str] | None = None, *, seed: int = 1) -> Ports:
    """Only the ports of such a house, for tests that switch nothing."""
    return make_house(people, seed=seed).ports
