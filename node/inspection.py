"""One node verifies all it has, while it serves (trio).

    digest      all replicated rows hashed, account by account, as they were at one index of the log
    rows        every row, ours alone too, read for its checksum past all caches
    accounts    what is derived made anew from what is primary (storage/audit.py), in slices
    blobs       the bytes of every blob hashed: they must give its name

An account that changes while it is recounted is begun again; one that never rests is at last
read as it was at one moment. Damaged blobs are handed to the mender as ever; with `repair` their
mending is waited for. Damaged rows end the process (node/damage.py).
"""

from functools import partial
from typing import Final

import msgspec
import trio

from node.env import RunBlocking
from node.machine import Machine
from node.mender import Mender
from node.rpc.errors import CallRefused
from protocols.ports import Clock
from storage.audit import audit_account, blobs_page, next_account
from storage.dump import StateDigest
from storage.engine import EngineRefused, Rows
from storage.ids import AccountId, BlobId
from storage.mail.state import version
from storage.opening import State
from storage.scrub import Part, has_its_name, parts_of
from storage.segments import SegmentFiles
from storage.slices import Steps, Wrong

MIB: Final = 1024 * 1024

# The index to digest at must come within this time; the asker then names another.
INDEX_S: Final = 3.0
# The loop is given back after this long, or so many steps, and rests as long as it worked.
SLICE_S: Final = 0.005
SLICE_STEPS: Final = 64
# An account that changed so often while it was read is read from a snapshot of the engine.
ATTEMPTS_MAX: Final = 3
ROWS_A_STEP: Final = 2_048
# Blob bytes hashed in one go of a thread.
HASHED_BYTES: Final = 4 * MIB
# Differences told by one node; after these one knows enough.
TOLD_MAX: Final = 200
# Accounts whose digests are told one by one, so that nodes which differ can say where.
ACCOUNTS_TOLD_MAX: Final = 5_000
# With repair, damaged blobs have this long to come from another node.
MEND_S: Final = 60.0
MEND_LOOK_S: Final = 0.2

RUNNING, DONE, FAILED = "running", "done", "failed"


class Report(msgspec.Struct, kw_only=True):
    """How far it is and what was found."""

    state: str = RUNNING
    phase: str = "digest"
    index: int = 0
    chain: str = ""
    digest: str = ""
    rows: int = 0
    done: int = 0
    total: int = 0
    """Accounts and blobs, verified and in all."""
    accounts: int = 0
    blobs: int = 0
    octets: int = 0
    mended: int = 0
    differences: list[str] = []
    account_digests: dict[str, str] = {}
    error: str = ""

    def tell(self, what: str) -> None:
        """A difference, within bounds."""
        if len(self.differences) < TOLD_MAX:
            self.differences.append(what)


class _GivenUp(Exception):
    """It cannot go on; the text says why."""


class _Job:
    """One inspection under way."""

    def __init__(self, state: State, index: int, *, repair: bool) -> None:
        self.state = state
        self.repair = repair
        self.digest = StateDigest(state.engine)
        self.report = Report(index=index, chain=state.applier.chain.hex())
        self.scope = trio.CancelScope()
        self.is_begun = False


class Inspector:
    """Inspects this node when it is asked to, once at a time; the newest asker wins."""

    def __init__(
        self, machine: Machine, mender: Mender, run_blocking: RunBlocking, clock: Clock
    ) -> None:
        self._machine = machine
        self._mender = mender
        self._run_blocking = run_blocking
        self._clock = clock
        self._job: _Job | None = None
        self._bell = trio.Event()

    @property
    def report(self) -> Report | None:
        """Of the newest inspection."""
        return None if self._job is None else self._job.report

    async def begin(self, index: int, *, repair: bool) -> None:
        """Begin when exactly `index` is applied; raises CallRefused when that does not come."""
        machine, taken = self._machine, trio.Event()

        def take() -> None:
            if self._job is not None:
                self._job.scope.cancel()
                if not self._job.is_begun:
                    self._job.digest.close()
            self._job = _Job(machine.state, index, repair=repair)
            taken.set()
            self._bell.set()

        if not machine.at_index(index, take):
            raise CallRefused(f"passed: {machine.applied_index} is applied")
        with trio.move_on_after(INDEX_S):
            await taken.wait()
        if not taken.is_set():
            machine.at_no_index()
            raise CallRefused(f"not reached: {machine.applied_index} is applied")

    async def run(self) -> None:
        """Until cancelled. Raises EngineRefused."""
        while True:
            await self._bell.wait()
            self._bell = trio.Event()
            job = self._job
            assert job is not None
            job.is_begun = True
            try:
                with job.scope:
                    await self._inspect(job)
                    job.report.state = DONE
            except _GivenUp as error:
                job.report.error = str(error)
            finally:
                job.digest.close()
            if job.report.state != DONE:
                job.report.state = FAILED
                job.report.error = job.report.error or "another verification took its place"

    async def _inspect(self, job: _Job) -> None:
        await self._digest(job)
        await self._rows(job)
        await self._accounts(job)
        await self._blobs(job)

    def _check(self, job: _Job) -> None:
        if self._machine.state is not job.state:
            raise _GivenUp("its state was replaced meanwhile: verify again")

    async def _digest(self, job: _Job) -> None:
        digest, report = job.digest, job.report
        goes_on = True
        while goes_on:
            async with self._machine.at_rest:
                self._check(job)
                goes_on = await self._run_blocking(digest.step)
            report.rows = digest.rows
        digest.close()
        report.digest = digest.total.hex()
        if len(digest.accounts) <= ACCOUNTS_TOLD_MAX:
            report.account_digests = {
                str(account): found.hex() for account, found in digest.accounts.items()
            }
        report.total = len(digest.accounts) + digest.blobs

    async def _rows(self, job: _Job) -> None:
        job.report.phase = "rows"
        start: bytes | None = b""
        while start is not None:
            async with self._machine.at_rest:
                self._check(job)
                engine = job.state.engine
                start = await self._run_blocking(partial(engine.scrub, start, ROWS_A_STEP))

    # --- accounts

    async def _accounts(self, job: _Job) -> None:
        report = job.report
        report.phase = "accounts"
        account = next_account(job.state.engine, None)
        while account is not None:
            try:
                wrong = await self._audit(job, account)
            except (EngineRefused, _GivenUp):
                raise
            except Exception as error:
                # Rows with good checksums that make no sense: a mistake of ours, which is what a
                # verification is for. It is told like any other.
                wrong = [f"its rows cannot be understood: {error!r}"]
            for what in wrong:
                report.tell(f"account {account}: {what}")
            report.accounts += 1
            report.done += 1
            await trio.lowlevel.checkpoint()
            self._check(job)
            account = next_account(job.state.engine, account)

    async def _audit(self, job: _Job, account: AccountId) -> Wrong:
        rows = job.state.engine
        for _ in range(ATTEMPTS_MAX):
            before = version(rows, account)
            wrong = await self._slowly(job, audit_account(rows, account), rows, account, before)
            if wrong is not None:
                return wrong
        frozen: Rows = (held := rows.freeze())
        try:
            wrong = await self._slowly(job, audit_account(frozen, account), frozen, account, None)
        finally:
            held.close()
        assert wrong is not None
        return wrong

    async def _slowly(
        self,
        job: _Job,
        steps: Steps[Wrong],
        rows: Rows,
        account: AccountId,
        before: int | None,
    ) -> Wrong | None:
        """Drive `steps` in slices; None when the account's version moved on (unless it may)."""
        began_s, count = self._clock.monotonic_s(), 0
        while True:
            try:
                next(steps)
            except StopIteration as end:
                wrong: Wrong = end.value
                return wrong if before in (None, version(rows, account)) else None
            count += 1
            worked_s = self._clock.monotonic_s() - began_s
            if worked_s >= SLICE_S or count >= SLICE_STEPS:
                await trio.sleep(worked_s)
                self._check(job)
                if before is not None and version(rows, account) != before:
                    return None
                began_s, count = self._clock.monotonic_s(), 0

    # --- blobs

    async def _blobs(self, job: _Job) -> None:
        job.report.phase = "blobs"
        after: BlobId | None = None
        while page := blobs_page(job.state.engine, after):
            group: list[list[Part]] = []
            octets = 0
            for blob, size in page:
                group.append(parts_of(job.state.engine, blob))
                octets += size
                if octets >= HASHED_BYTES:
                    await self._hash(job, group)
                    group, octets = [], 0
            await self._hash(job, group)
            job.report.octets += sum(size for _, size in page)
            after = page[-1][0]

    async def _hash(self, job: _Job, group: list[list[Part]]) -> None:
        report = job.report
        wrong = await self._misnamed(job, group)
        # A part that was mended in between lies elsewhere by now: those are looked at again.
        again = [parts_of(job.state.engine, parts[0].blob) for parts in wrong]
        for parts in await self._misnamed(job, again) if again else []:
            blob = parts[0].blob
            self._mender.note(blob)
            if job.repair and await self._mended(blob):
                report.mended += 1
            else:
                report.tell(f"blob {blob.hex()}: its bytes are damaged, and asked for elsewhere")
        report.blobs += len(group)
        report.done += len(group)
        await trio.lowlevel.checkpoint()
        self._check(job)

    async def _misnamed(self, job: _Job, group: list[list[Part]]) -> list[list[Part]]:
        files: SegmentFiles = job.state.blobs.files_apart()
        try:
            return await self._run_blocking(
                lambda: [parts for parts in group if parts and not has_its_name(files, parts)]
            )
        finally:
            files.close()

    async def _mended(self, blob: BlobId) -> bool:
        with trio.move_on_after(MEND_S):
            while self._mender.is_waiting(blob):  # noqa: ASYNC110  rare, and others note it too
                await trio.sleep(MEND_LOOK_S)
        return not self._mender.is_waiting(blob)
