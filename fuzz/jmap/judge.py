"""Whether an answer is right, as far as that can be said of any request.

Errors are JMAP's own, what was asked for is accounted for once, nothing was slow or large, nothing
was logged as a mistake of ours, the rows are as a recount has them, and states tell what changed.
"""

import logging
import resource
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

import msgspec
import trio

from fuzz.jmap.states import Look, faults_since, look
from fuzz.jmap.world import open_world
from protocols.jmap.errors import PROBLEM
from storage.audit import audit_account
from storage.ids import SYSTEM_ACCOUNT
from storage.slices import at_once
from tests.protocols.jmap.desk import Desk

# A request may take so long, and so much memory at its peak; generous, for machines differ.
REQUEST_CPU_S_MAX: Final = 5.0
REQUEST_MIB_MAX: Final = 256
ANSWER_OCTETS_MAX: Final = 64 * 1024 * 1024

# RFC 8620 3.6.2, 5.1-5.6 and what the methods' own documents add; faults of ours are not in it.
METHOD_ERRORS: Final = frozenset(
    (
        *("unknownMethod", "invalidArguments", "invalidResultReference", "forbidden"),
        *("accountNotFound", "accountNotSupportedByMethod", "accountReadOnly", "requestTooLarge"),
        *("cannotCalculateChanges", "stateMismatch", "fromAccountNotFound", "anchorNotFound"),
        *("fromAccountNotSupportedByMethod", "unsupportedSort", "unsupportedFilter"),
        *("tooManyChanges", "unknownDataType"),
    )
)
SET_ERRORS: Final = frozenset(
    (
        *("forbidden", "overQuota", "tooLarge", "rateLimit", "notFound", "invalidPatch"),
        *("willDestroy", "invalidProperties", "singleton", "alreadyExists", "mailboxHasChild"),
        *("mailboxHasEmail", "blobNotFound", "tooManyKeywords", "tooManyMailboxes"),
        *("invalidEmail", "tooManyRecipients", "noRecipients", "invalidRecipients"),
        *("forbiddenMailFrom", "forbiddenFrom", "forbiddenToSend", "cannotUnsend"),
        *("mdnAlreadySent",),
    )
)
REQUEST_ERRORS: Final = frozenset(
    PROBLEM + name for name in ("notJSON", "notRequest", "limit", "unknownCapability")
)


class _Records(logging.Handler):
    """What was logged as a mistake of ours."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(logging.Formatter().format(record))


@contextmanager
def _listening() -> Iterator[list[str]]:
    records, log = _Records(), logging.getLogger("trireme")
    log.addHandler(records)
    was, log.propagate = log.propagate, False
    try:
        yield records.texts
    finally:
        log.removeHandler(records)
        log.propagate = was


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def faults_of(request: Any) -> list[str]:
    """What is wrong with how a request is answered, in words; empty when all is well."""
    return trio.run(_ask, open_world(), request, _at_first())


@lru_cache(maxsize=1)
def _at_first() -> Look:
    return trio.run(look, open_world())


async def _ask(desk: Desk, request: Any, before: Look) -> list[str]:
    body = msgspec.json.encode(request)
    before_s, before_mib = time.process_time(), _peak_mib()
    with _listening() as logged:
        answer = await desk.post(body)
    took_s, grown_mib = time.process_time() - before_s, _peak_mib() - before_mib
    faults = list(logged)
    if took_s > REQUEST_CPU_S_MAX:
        faults.append(f"{took_s:.1f} s of CPU for {len(body)} octets")
    if grown_mib > REQUEST_MIB_MAX or len(answer.body) > ANSWER_OCTETS_MAX:
        faults.append(f"{grown_mib} MiB for {len(body)} octets, {len(answer.body)} in the answer")
    if answer.status == 200:
        faults += _of_responses(request, answer.json)
    elif answer.status not in (400, 413) or answer.json.get("type") not in REQUEST_ERRORS:
        faults.append(f"status {answer.status}: {answer.body[:200]!r}")
    return faults + _of_rows(desk) + await faults_since(desk, before)


def _of_rows(desk: Desk) -> list[str]:
    accounts = (SYSTEM_ACCOUNT, *desk.house.accounts.values())
    return [
        f"account {account}: {wrong}"
        for account in accounts
        for wrong in at_once(audit_account(desk.house.view(), account))
    ]


def _of_responses(request: Any, told: Any) -> list[str]:
    faults: list[str] = []
    responses: dict[str, Any] = {}
    for name, result, call_id in told["methodResponses"]:
        if name == "error" and result["type"] not in METHOD_ERRORS:
            faults.append(f"{call_id}: error {result}")
        responses.setdefault(call_id, (name, result))
    for name, arguments, call_id in request["methodCalls"]:
        if call_id not in responses:
            faults.append(f"{call_id} {name} has no response")
            continue
        said, result = responses[call_id]
        if said not in (name, "error"):
            faults.append(f"{call_id} {name} is answered by {said}")
        elif said == name and name != "Core/echo":
            faults += [f"{call_id} {name}: {fault}" for fault in _of_answer(arguments, result)]
    return faults


def _of_answer(arguments: Mapping[str, Any], result: Mapping[str, Any]) -> Iterator[str]:
    """What every answer of the standard methods has to keep to."""
    for asked, done, refused in _DECIDED:
        if isinstance(arguments.get(asked), dict | list) and done in result:
            yield from _of_parts(set(arguments[asked]), result, done, refused)
    for refused in ("notCreated", "notUpdated", "notDestroyed", "notSent", "notCopied"):
        for key, error in (result.get(refused) or {}).items():
            if error["type"] not in SET_ERRORS:
                yield f"{refused} {key}: {error}"
    if isinstance(result.get("list"), list) and isinstance(arguments.get("ids"), list):
        yield from _of_list(arguments["ids"], result)
    for name in ("ids", "created", "updated", "destroyed", "removed", "notFound"):
        if isinstance(result.get(name), list) and _repeats(result[name]):
            yield f"{name} names one twice"
    if "ids" in result and len(result["ids"]) > arguments.get("limit", len(result["ids"])):
        yield "more ids than the limit"


# The argument that names objects, and where they are told of: done, or refused.
_DECIDED: Final = (
    ("create", "created", "notCreated"),
    ("emails", "created", "notCreated"),
    ("update", "updated", "notUpdated"),
    ("destroy", "destroyed", "notDestroyed"),
    ("send", "sent", "notSent"),
    ("blobIds", "copied", "notCopied"),
)


def _of_parts(asked: set[str], result: Mapping[str, Any], done: str, refused: str) -> Iterator[str]:
    did, did_not = set(result[done] or ()), set(result[refused] or ())
    if len(did) + len(did_not) > len(asked) or did & did_not:
        yield f"{done} and {refused} do not part what was asked for"
    if done in ("created", "sent", "copied") and (did | did_not) != asked:
        yield f"{done} and {refused} are not what was asked for"


def _of_list(ids: list[str], result: Mapping[str, Any]) -> Iterator[str]:
    told = [one["id"] for one in result["list"]]
    if _repeats(told):
        yield "list tells of one twice"
    missed = list(result.get("notFound") or ())
    if any("matchedIds" in one for one in result["list"]):
        # RFC 9404 4.3: an id that is none is in both, with an empty array for each type.
        missed = [text for text in missed if text not in told]
    if len(told) + len(missed) > len(set(ids)):
        yield "list and notFound are more than was asked for"
    plain = {text for text in ids if not text.startswith("#")}
    missing = plain.difference(told, result.get("notFound") or ())
    if missing:
        yield f"neither found nor not: {sorted(missing)[:3]}"


def _repeats(ids: Iterable[Any]) -> bool:
    listed = list(ids)
    return len(set(listed)) < len(listed)
