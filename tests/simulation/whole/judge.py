"""What must hold of whole nodes at rest, after healing; the numbers are the invariant table's."""

from collections.abc import Iterator, Sequence
from typing import Final

from gossip.model import Status
from storage.accounts import list_accounts
from storage.audit import audit_account
from storage.dump import state_hash
from storage.slices import at_once
from tests.simulation.mail.states import damaged_blobs
from tests.simulation.trace import Trace
from tests.simulation.whole.machine import Machine

# A log at rest: its trailing bytes and what it holds for a follower, in whole segments, and the
# segments of boots that came one after another.
LOG_BYTES_MAX: Final = 4 * 1024 * 1024


def states(machines: Sequence[Machine], trace: Trace) -> Iterator[str]:
    """12, 24-26: equal chains and rows; all that is derived is as a recount has it; and every
    blob that is held is there and has its bytes."""
    held = {m.name: m.state for m in machines if m.state is not None}
    seen = {
        name: (s.applier.index, s.applier.chain.hex(), state_hash(s.engine).hex())
        for name, s in held.items()
    }
    trace("states", sorted(seen.items()))
    if len(set(seen.values())) != 1:
        yield f"12: states differ: {seen}"
    for name, state in held.items():
        for account, _ in list_accounts(state.engine):
            audited = at_once(audit_account(state.engine, account))
            yield from (f"24-26: {name}: {wrong}" for wrong in audited)
        yield from (f"26: {name}: {wrong}" for wrong in damaged_blobs(state.engine, state.blobs))


def unseen(machines: Sequence[Machine]) -> list[str]:
    """33: whom gossip does not call alive somewhere, though it lives."""
    wrong = []
    for machine in machines:
        house = machine.house
        gossip = None if house is None else house._gossip
        members = [] if gossip is None else gossip.members()
        alive = {member.replica for member in members if member.status is Status.ALIVE}
        wrong += [
            f"33: {machine.name} does not see that {other.name} lives"
            for other in machines
            if other is not machine and other.replica not in alive
        ]
    return wrong


def logs(machines: Sequence[Machine]) -> Iterator[str]:
    """35: no log has grown without end."""
    for machine in machines:
        size = machine.disk.bytes_held
        if size > LOG_BYTES_MAX:
            yield f"35: the disk of {machine.name} holds {size} bytes beside rows and blobs"
