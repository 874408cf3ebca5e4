"""SORT and THREAD, their UID forms, and ESEARCH answers to SORT (RFC 5256, RFC 5957, RFC 5267 3).

Found as SEARCH finds; then the views of what was found are read in slices, and only what is
compared is kept of them.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
import trio

from protocols.imap.ops.context import Context
from protocols.imap.ops.esearch import modseq_told, render_esearch, to_save
from protocols.imap.ops.facts import people, string
from protocols.imap.ops.fetch import VIEW_SLICE_MESSAGES, Row, read_rows, windows
from protocols.imap.ops.search import filled, find, highest_of
from protocols.imap.ops.views import read_views
from protocols.imap.responses import Ending, ok
from protocols.imap.search_commands import SearchReturn, Sort, Thread, ThreadAlgorithm
from protocols.imap.sets import runs
from protocols.imap.sorting import (
    Correspondent,
    Headline,
    Sortable,
    folded_subject,
    in_order,
    needs_headline,
    sent_or_received,
    values_of,
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
from storage.mail.records import LIST_PROPERTIES, EmailView, unpack_view

# More messages than this are threaded by another thread: it takes some 10 us for each.
THREADED_HERE_MAX: Final = 1_000

_PLACES: Final = {name: place for place, name in enumerate(LIST_PROPERTIES)}
_strings: Final = msgspec.json.Decoder(list[str] | None).decode
_NOTHING: Final = Headline()


_WEAVES: Final[Mapping[ThreadAlgorithm, Callable[[Sequence[Threadable]], list[Node]]]] = {
    ThreadAlgorithm.ORDEREDSUBJECT: by_subject,
    ThreadAlgorithm.REFERENCES: by_references,
    ThreadAlgorithm.REFS: by_references_alone,
}


async def sort(context: Context, command: Sort) -> Ending:
    """RFC 5256 3 BASE.6.4.SORT."""
    selected = context.mailbox
    returns = command.returns or frozenset()
    key = await filled(context, command.key, saves=SearchReturn.SAVE in returns)
    found = await find(context, key, saves=SearchReturn.SAVE in returns)
    criteria, reads = command.criteria, needs_headline(command.criteria)
    messages: list[Sortable] = []
    async for sequence, _, row, view in _with_views(context, found, reads=reads):
        headline = _NOTHING if view is None else _headline(view)
        values = values_of(criteria, row.received_ms, row.size, headline)
        messages.append(Sortable(sequence - 1, values))
    ordered = in_order(messages, criteria)
    kept = to_save(returns, ordered, command.partial)
    if SearchReturn.SAVE in returns:
        selected.save(runs(selected.uids[at] for at in kept))
    highest = await highest_of(context, key, kept)
    _tell(context, command, ordered, highest)
    verb = "UID SORT completed" if command.uid else "SORT completed"
    return ok(verb, b"EXPUNGEISSUED" if selected.hides_expunges else None)


def _tell(context: Context, command: Sort, ordered: Sequence[int], highest: int) -> None:
    uids = context.mailbox.uids
    numbers = [uids[at] if command.uid else at + 1 for at in ordered]
    if command.returns is None:
        listed = b"".join(b" %d" % number for number in numbers)
        context.out.add(b"* SORT%b%b\r\n" % (listed, modseq_told(b" (MODSEQ %d)", highest)))
    elif command.returns != {SearchReturn.SAVE}:
        told = render_esearch(context.tag, command.uid, command.returns, numbers, command.partial)
        context.out.add(told + modseq_told(b" MODSEQ %d", highest) + b"\r\n")


async def thread(context: Context, command: Thread) -> Ending:
    """RFC 5256 3 BASE.6.4.THREAD."""
    found = await find(context, await filled(context, command.key))
    messages: list[Threadable] = []
    async for sequence, uid, row, view in _with_views(context, found, reads=True):
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


async def _with_views(
    context: Context, found: Sequence[int], *, reads: bool
) -> AsyncIterator[tuple[*Row, EmailView | None]]:
    """The messages at these ascending positions that are still there, with their stored views."""
    positions = [(low, high + 1) for low, high in runs(found)]
    for window in windows(positions, VIEW_SLICE_MESSAGES):
        rows = read_rows(context.local(), context.mailbox, window)
        emails = [row.email for _, _, row in rows] if reads else []
        views = read_views(context.local(), context.account, emails, unpack_view)
        for sequence, uid, row in rows:
            yield sequence, uid, row, views.get(row.email)
        await trio.lowlevel.checkpoint()


def _headline(view: EmailView) -> Headline:
    json = view.json
    return Headline(
        sender=_first(json[_PLACES["from"]]),
        to=_first(json[_PLACES["to"]]),
        cc=_first(json[_PLACES["cc"]]),
        subject=string(json[_PLACES["subject"]]) or "",
        sent_ms=_sent_ms(view),
    )


def _first(json: bytes) -> Correspondent | None:
    found = people(json)
    return Correspondent(found[0].email, found[0].name) if found else None


def _sent_ms(view: EmailView) -> int | None:
    sent_at = string(view.json[_PLACES["sentAt"]])
    if sent_at is None:
        return None
    try:
        return int(datetime.fromisoformat(sent_at).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None  # a year that no calendar of ours has


def _threadable(number: int, received_ms: int, view: EmailView | None) -> Threadable:
    if view is None:
        return Threadable(number, received_ms, "", received_ms=received_ms)
    json = view.json
    headline = _headline(view)
    own = _strings(json[_PLACES["messageId"]])
    references = _strings(json[_PLACES["references"]])
    if not references:
        references = (_strings(json[_PLACES["inReplyTo"]]) or [])[:1]
    return Threadable(
        number,
        sent_or_received(received_ms, headline),
        folded_subject(headline.subject),
        is_reply_or_forward(headline.subject),
        own[0] if own else None,
        tuple(references),
        received_ms,
    )
