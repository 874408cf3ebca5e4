"""SORT and THREAD, their UID forms, and ESEARCH answers to SORT (RFC 5256, RFC 5957, RFC 5267 3).

Found as SEARCH finds; then what the criteria compare is read of what was found (headlines.py).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import trio

from protocols.imap.contexts import Ranked, Watched, place_of
from protocols.imap.ops.context import Context
from protocols.imap.ops.esearch import (
    UNSCORED,
    UNTOLD,
    is_unscored,
    modseq_told,
    render_esearch,
    to_save,
)
from protocols.imap.ops.finding import Scores, filled, find, highest_of
from protocols.imap.ops.headlines import headline_of, sortables, with_views
from protocols.imap.ops.updates import TAG_REUSED, is_tag_watched, watch
from protocols.imap.responses import Ending, ok
from protocols.imap.search_commands import (
    SearchReturn,
    Sort,
    SortKey,
    Thread,
    ThreadAlgorithm,
    is_fuzzy,
)
from protocols.imap.sets import runs
from protocols.imap.sorting import (
    folded_subject,
    in_order,
    sent_or_received,
)
from protocols.imap.threads import (
    Node,
    Threadable,
    by_references,
    by_references_alone,
    by_subject,
    render_threads,
)
from protocols.mime.envelope import is_reply_or_forward
from storage.mail.records import LIST_PROPERTIES, EmailView

# More messages than this are threaded by another thread: it takes some 10 us for each.
THREADED_HERE_MAX: Final = 1_000

_PLACES: Final = {name: place for place, name in enumerate(LIST_PROPERTIES)}
_strings: Final = msgspec.json.Decoder(list[str] | None).decode

_WEAVES: Final[Mapping[ThreadAlgorithm, Callable[[Sequence[Threadable]], list[Node]]]] = {
    ThreadAlgorithm.ORDEREDSUBJECT: by_subject,
    ThreadAlgorithm.REFERENCES: by_references,
    ThreadAlgorithm.REFS: by_references_alone,
}

_QUOTED_LEFT: Final = re.compile(r'"((?:[^"\\]|\\.)*)"(?=@)')
_ESCAPED: Final = re.compile(r"\\(.)")


async def sort(context: Context, command: Sort) -> Ending:
    """RFC 5256 3 BASE.6.4.SORT."""
    selected = context.mailbox
    returns = command.returns or frozenset()
    if is_tag_watched(context, returns):
        return TAG_REUSED
    seen = selected.seen
    key = await filled(context, command.key, saves=SearchReturn.SAVE in returns)
    by_relevancy = any(one.key is SortKey.RELEVANCY for one in command.criteria)
    if is_unscored(key, returns | ({SearchReturn.RELEVANCY} if by_relevancy else set())):
        return UNSCORED
    scores: Scores | None = {} if is_fuzzy(key) else None
    saves = SearchReturn.SAVE in returns
    found = await find(context, key, saves=saves, scores=scores, whole=True)
    messages = await sortables(context, found, command.criteria, scores)
    ordered = in_order(messages, command.criteria)
    kept = to_save(returns, ordered, command.partial)
    highest = await highest_of(context, key, kept)
    told = scores if SearchReturn.RELEVANCY in returns else None
    _tell(context, command, ordered, highest, told)
    if SearchReturn.UPDATE in returns:
        by = command.criteria
        results = Ranked(place_of(one, selected.uids[one.position], by) for one in messages)
        watched = Watched(context.tag, command.uid, key, by, results, command.fetch)
        watch(context, watched, seen)
    if SearchReturn.SAVE in returns:
        selected.save(runs(selected.uids[at] for at in kept))
    verb = "UID SORT completed" if command.uid else "SORT completed"
    return ok(verb, b"EXPUNGEISSUED" if selected.hides_expunges else None)


def _tell(
    context: Context,
    command: Sort,
    ordered: Sequence[int],
    highest: int,
    scores: Scores | None,
) -> None:
    uids = context.mailbox.uids
    numbers = [uids[at] if command.uid else at + 1 for at in ordered]
    if command.returns is None:
        listed = b"".join(b" %d" % number for number in numbers)
        context.out.add(b"* SORT%b%b\r\n" % (listed, modseq_told(b" (MODSEQ %d)", highest)))
    elif command.returns - UNTOLD != {SearchReturn.SAVE}:
        relevancy = None if scores is None else [scores[at] for at in ordered]
        told = render_esearch(
            context.tag, command.uid, command.returns, numbers, command.partial, scores=relevancy
        )
        context.out.add(told + modseq_told(b" MODSEQ %d", highest) + b"\r\n")


async def thread(context: Context, command: Thread) -> Ending:
    """RFC 5256 3 BASE.6.4.THREAD."""
    found = await find(context, await filled(context, command.key), whole=True)
    messages: list[Threadable] = []
    async for sequence, uid, row, view in with_views(context, found, reads=True):
        number = uid if command.uid else sequence
        messages.append(_threadable(number, row.received_ms, view))
    weave = _WEAVES[command.algorithm]

    def woven() -> bytes:
        return render_threads(weave(messages))

    many = len(messages) > THREADED_HERE_MAX
    threads = await trio.to_thread.run_sync(woven) if many else woven()
    context.out.add(b"* THREAD%b%b\r\n" % (b" " if threads else b"", threads))
    verb = "UID THREAD completed" if command.uid else "THREAD completed"
    return ok(verb, b"EXPUNGEISSUED" if context.mailbox.hides_expunges else None)


def _unquoted(message_id: str) -> str:
    """RFC 5256 3: ids that differ in their quotes alone are one."""
    quoted = _QUOTED_LEFT.match(message_id)
    if quoted is None:
        return message_id
    return _ESCAPED.sub(r"\1", quoted[1]) + message_id[quoted.end() :]


def _threadable(number: int, received_ms: int, view: EmailView | None) -> Threadable:
    if view is None:
        return Threadable(number, received_ms, "", received_ms=received_ms)
    json = view.json
    headline = headline_of(view)
    own = _strings(json[_PLACES["messageId"]])
    references = _strings(json[_PLACES["references"]])
    if not references:
        references = (_strings(json[_PLACES["inReplyTo"]]) or [])[:1]
    return Threadable(
        number,
        sent_or_received(received_ms, headline),
        folded_subject(headline.subject),
        is_reply_or_forward(headline.subject),
        _unquoted(own[0]) if own else None,
        tuple(map(_unquoted, references)),
        received_ms,
    )
