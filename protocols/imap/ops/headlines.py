"""What messages are sorted and threaded by, read from their rows and stored views in slices."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import trio

from protocols.imap.ops.context import Context
from protocols.imap.ops.facts import people, string
from protocols.imap.ops.fetch import VIEW_SLICE_MESSAGES, Row, read_rows, windows
from protocols.imap.ops.views import read_views
from protocols.imap.search_commands import Criterion
from protocols.imap.sets import runs
from protocols.imap.sorting import Correspondent, Headline, Sortable, needs_headline, values_of
from storage.mail.records import LIST_PROPERTIES, EmailView, unpack_view

_PLACES: Final = {name: place for place, name in enumerate(LIST_PROPERTIES)}
_NOTHING: Final = Headline()


async def sortables(
    context: Context,
    found: Sequence[int],
    criteria: Sequence[Criterion],
    scores: Mapping[int, int] | None = None,
) -> list[Sortable]:
    """What the criteria say of the messages at these ascending positions, but for those gone;
    `scores` are those of FUZZY, by position."""
    messages: list[Sortable] = []
    reads = needs_headline(criteria)
    async for sequence, _, row, view in with_views(context, found, reads=reads):
        headline = _NOTHING if view is None else headline_of(view)
        if scores is not None:
            headline = replace(headline, relevancy=scores[sequence - 1])
        values = values_of(criteria, row.received_ms, row.size, headline)
        messages.append(Sortable(sequence - 1, values))
    return messages


async def with_views(
    context: Context, found: Sequence[int], *, reads: bool
) -> AsyncIterator[tuple[*Row, EmailView | None]]:
    """The messages at these ascending positions that are still there, with their stored views."""
    positions = [(low, high + 1) for low, high in runs(found)]
    for window in windows(positions, VIEW_SLICE_MESSAGES):
        rows = read_rows(context.local(), context.mailbox, window)
        emails = [row.email for _, _, row in rows] if reads else []
        views = read_views(context.local(), context.mailbox.account, emails, unpack_view)
        for sequence, uid, row in rows:
            yield sequence, uid, row, views.get(row.email)
        await trio.lowlevel.checkpoint()


def headline_of(view: EmailView) -> Headline:
    """What the stored view tells of a message."""
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
