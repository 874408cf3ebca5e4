"""Whether states tell what changed (RFC 8620 5.1, 5.2), whatever was asked between two looks.

Objects that are others have another state, and /changes from the old one names exactly those that
came and went, and all that changed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.protocols.jmap.desk import Desk

# By type, the properties that are looked at (None: all). Of an email those that may change.
KINDS: Final[Mapping[str, list[str] | None]] = {
    "Mailbox": None,
    "Email": ["mailboxIds", "keywords", "threadId", "receivedAt"],
    "Thread": None,
    "Identity": None,
    "EmailSubmission": None,
    "Quota": None,
    "VacationResponse": None,
}
# RFC 8621 8: it has no /changes.
UNLOGGED: Final = frozenset(("VacationResponse",))


@dataclass(frozen=True, slots=True)
class Seen:
    """A type of an account, as /get told it."""

    state: str
    objects: Mapping[str, Any]


Look = Mapping[tuple[str, str], Seen]
"""By account and type; what was not told (too many objects for one answer) is not in it."""


async def look(desk: Desk) -> Look:
    """All that the user sees."""
    wanted = [(account, kind) for account in (desk.account, desk.bob) for kind in KINDS]
    told = await desk.request(
        *(
            [f"{kind}/get", {"accountId": account, "ids": None, "properties": KINDS[kind]}]
            for account, kind in wanted
        )
    )
    return {
        name: Seen(answer["state"], {each["id"]: each for each in answer["list"]})
        for name, (said, answer, _) in zip(wanted, told, strict=True)
        if said != "error" and "state" in answer
    }


async def faults_since(desk: Desk, before: Look) -> list[str]:
    """What states or changes do not tell rightly, in words."""
    now = await look(desk)
    both = [name for name in before if name in now]
    faults = [
        f"{name} changed and kept its state"
        for name in both
        if before[name].state == now[name].state and before[name].objects != now[name].objects
    ]
    logged = [name for name in both if name[1] not in UNLOGGED]
    told = await desk.request(
        *(
            [f"{kind}/changes", {"accountId": account, "sinceState": before[account, kind].state}]
            for account, kind in logged
        )
    )
    for name, (said, answer, _) in zip(logged, told, strict=True):
        if said == "error":
            faults.append(f"{name}: changes cannot be told: {answer}")
        elif not answer["hasMoreChanges"]:
            faults += [
                f"{name}: {fault}" for fault in faults_between(before[name], now[name], answer)
            ]
    return faults


def faults_between(before: Seen, now: Seen, told: Mapping[str, Any]) -> Iterator[str]:
    """What the answer of /changes from `before` has wrong."""
    created, updated, destroyed = (set(told[key]) for key in ("created", "updated", "destroyed"))
    if told["newState"] != now.state:
        yield f"changes lead to {told['newState']}, not to {now.state}"
    if bool(created or updated or destroyed) and before.state == now.state:
        yield "changes are told of a state that stayed"
    if created != now.objects.keys() - before.objects.keys():
        yield f"created {sorted(created)} are not those that came"
    if destroyed != before.objects.keys() - now.objects.keys():
        yield f"destroyed {sorted(destroyed)} are not those that went"
    if updated & (created | destroyed):
        yield "an id is in two lists"
    kept = before.objects.keys() & now.objects.keys()
    silent = {one for one in kept if before.objects[one] != now.objects[one]} - updated
    if silent:
        yield f"{sorted(silent)[:3]} changed and are not among the updated"
