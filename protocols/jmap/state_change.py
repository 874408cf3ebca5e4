"""RFC 8620 7.1: what a StateChange says, and the token that names all of a user's state.

A token is account and version of each account the user sees: `7.123`, more of them joined by `-`.
It is EventSource's event id and WebSocket's pushState. From it and the change log a client that
was away is told which types changed meanwhile, on whichever node it comes back.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from protocols.jmap.values import render_state
from storage.changes import changed_at
from storage.engine import Rows
from storage.ids import AccountId, Version, render_account
from storage.keys import TypeCode
from storage.mail.state import version

# The types clients are told of, by the names of their methods (RFC 8620 7.1). PushSubscription has
# no state (7.2.1).
PUSHED_TYPES: Final[Mapping[TypeCode, str]] = {
    TypeCode.MAILBOX: "Mailbox",
    TypeCode.EMAIL: "Email",
    TypeCode.THREAD: "Thread",
    TypeCode.EMAIL_DELIVERY: "EmailDelivery",
    TypeCode.IDENTITY: "Identity",
    TypeCode.SUBMISSION: "EmailSubmission",
    TypeCode.VACATION: "VacationResponse",
    TypeCode.QUOTA: "Quota",
}
PUSHED_BITS: Final = sum(code.bit for code in PUSHED_TYPES)
# A token of more octets is none of ours: a user sees at most a thousand accounts.
TOKEN_OCTETS_MAX: Final = 40_000

_PAIR: Final = re.compile(r"(0|[1-9][0-9]{0,18})\.(0|[1-9][0-9]{0,18})\Z", re.ASCII)

Changed = Mapping[AccountId, tuple[Version, int]]
"""Per account its version, and a mask of the types that changed."""
Told = dict[AccountId, Version]
"""Up to which version of each account a listener has been told."""


def type_bits(names: Iterable[str] | None) -> int:
    """The mask of these types; None is all. Names of what is not pushed count for nothing."""
    if names is None:
        return PUSHED_BITS
    wanted = set(names)
    return sum(code.bit for code, name in PUSHED_TYPES.items() if name in wanted)


def render_token(told: Mapping[AccountId, Version]) -> str:
    """The token of a state."""
    return "-".join(f"{account}.{told[account]}" for account in sorted(told))


def parse_token(text: str) -> Told | None:
    """The state of a token; None for what is none."""
    if len(text) > TOKEN_OCTETS_MAX:
        return None
    told: Told = {}
    for pair in text.split("-"):
        found = _PAIR.match(pair)
        if found is None:
            return None
        told[AccountId(int(found[1]))] = Version(int(found[2]))
    return told


def told_now(rows: Rows, accounts: Collection[AccountId]) -> Told:
    """The state of these accounts as the rows have it."""
    return {account: version(rows, account) for account in accounts}


def changed_since(rows: Rows, now: Told, before: Told | None) -> Changed:
    """What changed between two states of the accounts in `now`.

    Of an account that `before` does not name all types may have changed; from further back than
    the change log goes, those of which it has nothing any more.
    """
    changed: dict[AccountId, tuple[Version, int]] = {}
    for account, newest in now.items():
        old = None if before is None else before.get(account)
        if old is None or old > newest:
            types = PUSHED_BITS
        else:
            types = _types_between(rows, account, old, newest)
        if types:
            changed[account] = (newest, types)
    return changed


def _types_between(rows: Rows, account: AccountId, old: Version, newest: Version) -> int:
    return sum(
        code.bit
        for code in PUSHED_TYPES
        if newest > old and changed_at(rows, account, code, newest) > old
    )


def state_change(rows: Rows, changed: Changed, wanted: int) -> dict[str, Any] | None:
    """The StateChange object; None when nothing of the wanted types has changed.

    `rows` know the versions that are told.
    """
    told: dict[str, dict[str, str]] = {}
    for account, (newest, types) in changed.items():
        states = {
            name: render_state(changed_at(rows, account, code, newest))
            for code, name in PUSHED_TYPES.items()
            if types & wanted & code.bit
        }
        if states:
            told[render_account(account)] = states
    return {"@type": "StateChange", "changed": told} if told else None
