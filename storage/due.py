"""What falls due: one row of the system account per thing to be done at a time, whoever leads then.

    D  due   when_ms u64 | type u8 | account u64 | what ...   -> a note for whoever does it

Rows are written and removed by the commands that bring about what they are about, so nothing is
done twice and nothing is forgotten with a node. The leader looks at them (node/jobs.py).
"""

import struct
from typing import Final, NamedTuple

from storage.engine import Rows
from storage.ids import SYSTEM_ACCOUNT, AccountId
from storage.keys import TypeCode, account_prefix
from storage.plan import Plan

_DUE: Final = account_prefix(SYSTEM_ACCOUNT) + b"D"
_WHEN: Final = struct.Struct(">Q")
_HEAD: Final = struct.Struct(">QBQ")


class Due(NamedTuple):
    """One thing to be done at `when_ms` (milliseconds since 1970): `what` names it by type."""

    when_ms: int
    kind: TypeCode
    account: AccountId
    what: bytes


def _key(due: Due) -> bytes:
    return _DUE + _HEAD.pack(due.when_ms, due.kind, due.account) + due.what


def plan_due(plan: Plan, due: Due, note: bytes = b"") -> None:
    """It is to be done."""
    plan.put(_key(due), note)


def plan_done(plan: Plan, due: Due) -> None:
    """It is done, or no longer to be."""
    plan.delete(_key(due))


def list_due(rows: Rows, now_ms: int, *, limit: int) -> list[tuple[Due, bytes]]:
    """What is to be done by now, with its note, the longest overdue first."""
    found: list[tuple[Due, bytes]] = []
    for key, note in rows.scan(_DUE, _DUE + _WHEN.pack(now_ms + 1), limit=limit):
        when_ms, kind, account = _HEAD.unpack_from(key, len(_DUE))
        what = key[len(_DUE) + _HEAD.size :]
        found.append((Due(when_ms, TypeCode(kind), AccountId(account), what), note))
    return found
