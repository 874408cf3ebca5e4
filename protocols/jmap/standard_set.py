"""RFC 8620 5.3, /set, written once: a type says how one object is created, updated, destroyed.

The whole call is one command on the account's newest state, so ifInState is exact and the change
from oldState to newState is this call's alone; each object in it is an attempt of its own, so a
refused one leaves its neighbours be. Building what a create needs (a message, say) is done before
the command, which must be short and may run twice.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from protocols.jmap.context import Context
from protocols.jmap.errors import MethodError, SetError
from protocols.jmap.refusals import set_error
from protocols.jmap.standard import Answer, Kind
from protocols.jmap.values import Arguments, parse_state, render_state
from storage.changes import changed_at
from storage.engine import Rows
from storage.ids import AccountId, Version
from storage.keys import TypeCode
from storage.mail.errors import MailError
from storage.mail.state import version
from storage.plan import Plan

N = TypeVar("N", bound=int)
P = TypeVar("P")

Resolve = Callable[[str], str]
"""A `#creation` reference to the id it stands for; other text stays."""


@dataclass(frozen=True, slots=True)
class Prepared(Generic[P]):
    """What a create brings into the command, and the blobs its rows refer to."""

    value: P
    blobs: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Rules(Generic[N, P]):
    """How objects of a type change; each raises SetError or MailError for the one object.

    `prepare` reads a create's object, before the command; `order` sorts creates that refer to
    each other, so that a reference is made before it is used. `create` returns the id and the
    properties to tell; `update` those the server changed beyond the patch, or None.
    """

    prepare: Callable[[Context, AccountId, dict[str, Any]], Awaitable[Prepared[P]]]
    create: Callable[[Plan, AccountId, P, Resolve], tuple[N, dict[str, Any]]]
    update: Callable[[Plan, AccountId, N, dict[str, Any], Resolve], dict[str, Any] | None]
    destroy: Callable[[Plan, AccountId, N], None]
    order: Callable[[Mapping[str, P]], list[str]] = list
    may_pass_later: Callable[[Mapping[str, Any]], bool] = lambda _: False
    """Whether what refused an object, a SetError, may be gone once its neighbours are done.

    RFC 8620 5.3: the state need only be valid when the whole /set is finished.
    """
    loosen: Callable[[Plan, AccountId, N, dict[str, Any]], None] | None = None
    """Take from an object what the update of another waits for: objects that stand in each
    other's way are loosened together, then updated together."""


# Rounds in which refused objects are tried again: more than any tree of mailboxes has levels.
ROUNDS_MAX: Final = 16


@dataclass(slots=True)
class SetCall:
    """A /set call's arguments, checked."""

    account: AccountId
    if_in_state: str | None
    create: dict[str, dict[str, Any]]
    update: dict[str, dict[str, Any]]
    destroy: list[str]


@dataclass(slots=True)
class Outcome:
    """What became of each object, by id or creation id."""

    old: Version
    new: Version
    created: dict[str, dict[str, Any]] = field(default_factory=dict)
    updated: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    destroyed: list[str] = field(default_factory=list)
    not_created: dict[str, dict[str, Any]] = field(default_factory=dict)
    not_updated: dict[str, dict[str, Any]] = field(default_factory=dict)
    not_destroyed: dict[str, dict[str, Any]] = field(default_factory=dict)

    def answer(self, account: AccountId) -> Answer:
        """The response's arguments; RFC 8620 5.3 has null where nothing is to tell."""
        return {
            "accountId": f"a{account}",
            "oldState": render_state(self.old),
            "newState": render_state(self.new),
            "created": self.created or None,
            "updated": self.updated or None,
            "destroyed": self.destroyed or None,
            "notCreated": self.not_created or None,
            "notUpdated": self.not_updated or None,
            "notDestroyed": self.not_destroyed or None,
        }


def read_set(context: Context, arguments: Arguments) -> SetCall:
    """RFC 8620 5.3: the arguments and their common limit."""
    account = context.account(arguments)
    call = SetCall(
        account,
        arguments.string("ifInState"),
        arguments.objects("create"),
        arguments.patches("update"),
        arguments.ids("destroy") or [],
    )
    total = len(call.create) + len(call.update) + len(call.destroy)
    if total > context.limits.set_objects_max:
        raise MethodError("requestTooLarge", f"{total} objects are too many")
    return call


def expect_state(
    rows: Rows, account: AccountId, code: TypeCode, if_in_state: str | None
) -> Version:
    """The type's state; raises MethodError stateMismatch unless it is this one.

    Every version of the account since the type last changed stands for the same state: clients
    hold such, for they were told as states before types had their own.
    """
    now = changed_at(rows, account, code)
    if if_in_state is None:
        return now
    place = parse_state(if_in_state)
    if place is None or place[1] or not now <= place[0] <= version(rows, account):
        raise MethodError("stateMismatch")
    return now


async def set_objects(
    context: Context, kind: Kind[N], rules: Rules[N, P], call: SetCall
) -> Outcome:
    """Carry out a /set call."""
    prepared: dict[str, P] = {}
    blobs: list[bytes] = []
    refused: dict[str, dict[str, Any]] = {}
    for creation, wanted in call.create.items():
        try:
            ready = await rules.prepare(context, call.account, wanted)
        except (SetError, MailError) as error:
            refused[creation] = set_error(error).document()
        else:
            prepared[creation] = ready.value
            blobs += ready.blobs

    def command(plan: Plan) -> Outcome:
        old = expect_state(plan, call.account, kind.code, call.if_in_state)
        outcome = Outcome(old, old, not_created=dict(refused))
        _Run(plan, kind, rules, call, outcome, dict(context.created_ids)).all(prepared)
        outcome.new = changed_at(plan, call.account, kind.code)
        return outcome

    outcome = await context.write(call.account, command, blobs=blobs)
    for creation, told in outcome.created.items():
        context.created_ids[creation] = told["id"]
    return outcome


class _Run(Generic[N, P]):
    """One planning of a /set call."""

    def __init__(
        self,
        plan: Plan,
        kind: Kind[N],
        rules: Rules[N, P],
        call: SetCall,
        outcome: Outcome,
        created_ids: dict[str, str],
    ) -> None:
        self._plan = plan
        self._kind = kind
        self._rules = rules
        self._call = call
        self._outcome = outcome
        self._created_ids = created_ids

    def all(self, prepared: Mapping[str, P]) -> None:
        """Creates, then updates, then destroys, in the order of RFC 8620 5.3's arguments."""
        for creation in self._rules.order(prepared):
            self._create(creation, prepared[creation])
        going = {self._resolve(text) for text in self._call.destroy}
        for text, patch in self._call.update.items():
            if self._resolve(text) in going:
                self._outcome.not_updated[text] = SetError("willDestroy").document()
            else:
                self._update(text, patch)
        for text in dict.fromkeys(self._call.destroy):
            self._destroy(text)
        for _ in range(ROUNDS_MAX):
            if not self._again(prepared):
                break
        self._together()

    def _waiting(self, refused: dict[str, dict[str, Any]]) -> list[str]:
        return [text for text, told in refused.items() if self._rules.may_pass_later(told)]

    def _again(self, prepared: Mapping[str, P]) -> bool:
        """Try those again that others may have been in the way of; whether that helped any."""
        outcome = self._outcome
        tables = (outcome.not_created, outcome.not_updated, outcome.not_destroyed)
        before = sum(map(len, tables))
        created, updated, destroyed = (self._waiting(refused) for refused in tables)
        for text in destroyed:
            del outcome.not_destroyed[text]
            self._destroy(text)
        for text in updated:
            del outcome.not_updated[text]
            self._update(text, self._call.update[text])
        for creation in created:
            if creation in prepared:
                del outcome.not_created[creation]
                self._create(creation, prepared[creation])
        return sum(map(len, tables)) < before

    def _together(self) -> None:
        """Update those that stand in each other's way (A becomes B, B becomes A), all or none."""
        waiting = self._waiting(self._outcome.not_updated)
        if self._rules.loosen is None or len(waiting) < 2:
            return
        told: dict[str, dict[str, Any] | None] = {}
        updates = [
            (self._resolve(text), self._number(self._resolve(text)), self._call.update[text])
            for text in waiting
        ]
        try:
            with self._plan.attempt():
                for _, number, patch in updates:
                    self._rules.loosen(self._plan, self._call.account, number, patch)
                for text, number, patch in updates:
                    told[text] = self._rules.update(
                        self._plan, self._call.account, number, patch, self._resolve
                    )
        except (SetError, MailError):
            return  # each was told why it cannot be
        for text in waiting:
            del self._outcome.not_updated[text]
        self._outcome.updated.update(told)

    def _resolve(self, text: str) -> str:
        return self._created_ids.get(text[1:], text) if text.startswith("#") else text

    def _create(self, creation: str, value: P) -> None:
        try:
            with self._plan.attempt():
                number, told = self._rules.create(
                    self._plan, self._call.account, value, self._resolve
                )
        except (SetError, MailError) as error:
            self._outcome.not_created[creation] = set_error(error).document()
        else:
            text = self._kind.render_id(number)
            self._created_ids[creation] = text
            self._outcome.created[creation] = {"id": text, **told}

    def _update(self, text: str, patch: dict[str, Any]) -> None:
        resolved = self._resolve(text)
        try:
            number = self._number(resolved)
            with self._plan.attempt():
                told = self._rules.update(
                    self._plan, self._call.account, number, patch, self._resolve
                )
        except (SetError, MailError) as error:
            self._outcome.not_updated[text] = set_error(error).document()
        else:
            self._outcome.updated[resolved] = told

    def _destroy(self, text: str) -> None:
        resolved = self._resolve(text)
        try:
            number = self._number(resolved)
            with self._plan.attempt():
                self._rules.destroy(self._plan, self._call.account, number)
        except (SetError, MailError) as error:
            self._outcome.not_destroyed[text] = set_error(error).document()
        else:
            self._outcome.destroyed.append(resolved)

    def _number(self, text: str) -> N:
        number = self._kind.parse_id(text)
        if number is None:
            raise SetError("notFound")
        return number
