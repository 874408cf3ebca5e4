"""`trireme status`: this node's own row, and everybody's as their rows come in over RPC."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import trio

from node.rpc.errors import MALFORMED
from raft import Role

# A peer that does not answer in this time is shown as down.
ROW_TIMEOUT_S: Final = 1.5


_ROLES: Final = {
    Role.PRE_CANDIDATE: "candidate",
    Role.CANDIDATE: "candidate",
    Role.LEADER: "leader",
    Role.FOLLOWER: "follower",
}


def role_told(role: Role, standing: str) -> str:
    """leader, follower, candidate, or learner: whoever has no vote, yet or for good."""
    told = _ROLES[role]
    return "learner" if told == "follower" and standing != "voter" else told


class StatusRow(msgspec.Struct, frozen=True, kw_only=True):
    """One node, as `status --json` prints it; None is unknown."""

    name: str
    up: bool
    pid: int | None = None
    role: str | None = None
    term: int | None = None
    commit: int | None = None
    applied: int | None = None
    lag: int | None = None
    leader: str | None = None
    seen: str | None = None
    doors: str | None = None
    chain: str | None = None
    version: str | None = None
    standing: str | None = None
    """What the log has it for: voter, learner (on its way to be one), replica (a learner for
    good), or joining (nothing yet)."""
    rtt_ms: dict[str, float] = {}
    """The smoothed round trip to each peer, by name."""
    sync_ms: int | None = None
    """How long the last checkpoint took to reach the disk."""
    free_bytes: int | None = None
    space: str | None = None
    """Whether that is enough to take writes: ample, or low."""
    blob_bytes: int | None = None
    """Of blob segments on its disk, when it last looked whether any can be emptied ..."""
    dead_blob_bytes: int | None = None
    """... and those of them that no record holds any more."""
    scrub: str | None = None
    """How far the search for damage is, what it has found, or clean."""
    verified: str | None = None
    """What the last verification that began at this node came to."""
    agrees: str | None = None
    """Whether its state is the others', by the chain hashes."""


Ask = Callable[[str], Awaitable[bytes | None]]
"""A peer's own row as JSON, by its name; None when it does not answer."""


async def gather(own: StatusRow, names: Sequence[str], ask: Ask) -> dict[str, Any]:
    """All rows, in the order of `names`; the lag is against the highest commit that is known."""
    rows: dict[str, StatusRow] = {own.name: own}

    async def one(name: str) -> None:
        with trio.move_on_after(ROW_TIMEOUT_S):
            answer = await ask(name)
            if answer is not None:
                rows[name] = _read_row(name, answer)

    async with trio.open_nursery() as nursery:
        for name in names:
            if name != own.name:
                nursery.start_soon(one, name)
    return {"nodes": [msgspec.to_builtins(row) for row in _with_lag(names, rows)]}


def _read_row(name: str, answer: bytes) -> StatusRow:
    """A row written by another version may be beyond us: that node is up, and no more is told."""
    try:
        return msgspec.json.decode(answer, type=StatusRow)
    except MALFORMED:
        return StatusRow(name=name, up=True)


def _with_lag(names: Sequence[str], rows: Mapping[str, StatusRow]) -> list[StatusRow]:
    newest = max((row.commit for row in rows.values() if row.commit is not None), default=0)
    result = []
    for name in names:
        row = rows.get(name) or StatusRow(name=name, up=False)
        if row.applied is not None:
            row = msgspec.structs.replace(row, lag=max(0, newest - row.applied))
        result.append(row)
    return result
