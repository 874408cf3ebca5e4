"""The vocabulary of these stories: one account over the engine in memory.

`with house.command() as plan` runs one command and applies it; `house.deliver(...)` and the like
are commands of one line. After each, `recount` has nothing to say.
"""

import random
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from storage import changes
from storage.batch import ProposalId
from storage.changes import Changes
from storage.ids import AccountId, MailboxId, Version, blob_id
from storage.keys import TypeCode
from storage.mail import mailboxes
from storage.mail.ingest import plan_ingest
from storage.mail.records import EmailView, IngestedEmail, Mailbox, MailboxCounts, NewEmail
from storage.mail.recount import recount
from storage.mail.state import version
from storage.memory import MemoryEngine
from storage.plan import Plan

ALICE = AccountId(7)
PID = ProposalId(1, 1, 1)
NOON_MS = 1_790_000_000_000


def new_email(
    *,
    ids: Sequence[str] = (),
    subject: str = "",
    size: int = 1_000,
    received_ms: int = NOON_MS,
    body: bytes = b"hello",
    view_json: bytes = b"null",
) -> NewEmail:
    """A parsed and rendered message."""
    return NewEmail(
        blob=blob_id(body),
        size=size,
        received_ms=received_ms,
        message_ids=tuple(ids),
        thread_subject=subject,
        view=EmailView(renderer=1, json=(view_json,), envelope=b"()", bodystructure=b"()"),
        parts=b"\x90",
    )


class House:
    """An account, its rows, and the commands run on it."""

    def __init__(self, *, checked: bool = True) -> None:
        self.engine = MemoryEngine()
        self.now_ms = NOON_MS
        self.checked = checked

    @contextmanager
    def command(self) -> Iterator[Plan]:
        """Run one command and apply it, or leave no trace of it."""
        plan = self.plan()
        with plan.command():
            yield plan
        self.apply(plan)

    def plan(self) -> Plan:
        """A plan nobody has applied."""
        return Plan(self.engine, now_ms=self.now_ms, chance=random.Random(0))

    def apply(self, plan: Plan) -> None:
        """Write what a plan has, and recount."""
        batch = plan.batch(PID, 0)
        for expected in batch.expects:
            assert self.engine.get(expected.key) == expected.value
        self.engine.write(batch.puts, batch.deletes)
        if self.checked:
            assert recount(self.engine, ALICE) == []

    def open(self) -> "House":
        """Make the account's usual mailboxes."""
        with self.command() as plan:
            mailboxes.plan_defaults(plan, ALICE)
        return self

    def role(self, role: str) -> MailboxId:
        """The mailbox with this role."""
        found = mailboxes.by_role(self.engine, ALICE, role)
        assert found is not None, role
        return found.id

    def create(self, name: str, *, parent: int = 0, role: str | None = None) -> Mailbox:
        """Make a mailbox."""
        with self.command() as plan:
            return mailboxes.plan_create(plan, ALICE, name, parent=MailboxId(parent), role=role)

    def deliver(
        self,
        *boxes: MailboxId,
        keywords: Collection[str] = (),
        ids: Sequence[str] = (),
        subject: str = "",
        size: int = 1_000,
        received_ms: int | None = None,
        body: bytes = b"hello",
        view_json: bytes = b"null",
    ) -> IngestedEmail:
        """A message comes in; later ones a second later."""
        if received_ms is None:
            self.now_ms += 1_000
            received_ms = self.now_ms
        email = new_email(
            ids=ids,
            subject=subject,
            size=size,
            received_ms=received_ms,
            body=body,
            view_json=view_json,
        )
        with self.command() as plan:
            return plan_ingest(
                plan, ALICE, email, mailboxes=boxes or [self.role("inbox")], keywords=keywords
            )

    def counts(self, mailbox: MailboxId) -> MailboxCounts:
        """What a mailbox holds."""
        return mailboxes.counts(self.engine, ALICE, mailbox)

    @property
    def version(self) -> Version:
        """The account's version."""
        return version(self.engine, ALICE)

    def changes(self, kind: TypeCode, since: int) -> Changes:
        """What changed of a type."""
        return changes.since(self.engine, ALICE, kind, since)
