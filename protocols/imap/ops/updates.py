"""UPDATE and CANCELUPDATE: telling what has changed in the results of searches (RFC 5267 4.3).

What is gone is told before its EXPUNGE, with the number it still has; what has changed or come is
told after its FETCH or EXISTS, once the search was asked of it again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import trio

from protocols.imap.contexts import (
    Contexts,
    Parts,
    Unwatchable,
    Watched,
    bound,
    place_of,
    render_update,
)
from protocols.imap.fetch_commands import FetchItem
from protocols.imap.matching import compile_key
from protocols.imap.ops.context import SLICE_MESSAGES, Context
from protocols.imap.ops.fetch import read_rows, windows
from protocols.imap.ops.finding import Scores, matching, naming_of
from protocols.imap.ops.headlines import sortables
from protocols.imap.responses import Ending, bad, no, ok, render_ending
from protocols.imap.search_commands import CancelUpdate, SearchReturn, is_fuzzy
from protocols.imap.selected import Selected
from protocols.imap.sets import runs
from protocols.ports import Damaged
from protocols.render.strings import render_string
from storage.ids import Version
from storage.mail import uids as mail_uids
from storage.mail.counts import read_counts

TAG_REUSED: Final = bad("The tag is that of a search whose updates are told; take another")


def is_tag_watched(context: Context, returns: frozenset[SearchReturn]) -> bool:
    """RFC 5267 4.3: a second UPDATE under the tag of a first is refused."""
    updating = context.updating
    return SearchReturn.UPDATE in returns and updating is not None and context.tag in updating


def watch(context: Context, watched: Watched, seen: Version) -> None:
    """Tell updates of a search from now on, or say that they are not told (RFC 5267 4.3.1).

    `seen` is the MODSEQ up to which its results are sure to be up to date.
    """
    contexts = context.updating
    if contexts is None:
        contexts = Contexts(context.mailbox, seen)
    try:
        watched.key = bound(watched.key, context.mailbox)
        if not contexts.has_room(watched.results.octets):
            raise Unwatchable("Too many contexts")
    except Unwatchable as why:
        refuse_update(context, watched.tag, str(why))
        return
    if watched.fetch is not None and FetchItem.MODSEQ in watched.fetch.items:
        context.know_modseqs()
    contexts.keep(watched)
    context.contexts = contexts


def refuse_update(context: Context, tag: bytes, why: str) -> None:
    """RFC 5267 4.3.1: no updates of this search are told; the rest of its answer is."""
    context.out.add(render_ending(b"*", no(why, b"NOUPDATE " + render_string(tag))))


async def cancel_update(context: Context, command: CancelUpdate) -> Ending:
    """RFC 5267 4.3.5."""
    updating = context.updating
    if updating is None or any(tag not in updating for tag in command.tags):
        return bad("There is no search with this tag whose updates are told")
    for tag in command.tags:
        updating.cancel(tag)
    return ok("CANCELUPDATE completed")


@dataclass(frozen=True, slots=True)
class Update:
    """What has changed in the results of a search."""

    watched: Watched
    removed: Parts
    added: Parts

    @property
    def came(self) -> frozenset[int]:
        """The UIDs put in."""
        return frozenset(uid for _, uids in self.added for uid in uids)


async def find_updates(context: Context) -> list[Update]:
    """What changed messages have changed in results, of those the client was told of."""
    contexts, selected = context.updating, context.selected
    if contexts is None or selected is None or selected.deleted:
        return []
    due = _due(context, contexts, selected)
    if not due:
        return []
    found: list[Update] = []
    for watched in list(contexts):
        try:
            removed, added = await _changes(context, watched, due)
        except Damaged:
            contexts.cancel(watched.tag)
            refuse_update(context, watched.tag, "A message is damaged here")
            continue
        if removed or added:
            found.append(Update(watched, removed, added))
    contexts.pending.difference_update(due)
    return found


async def tell_updates(context: Context, updates: Sequence[Update]) -> None:
    """Say them, after the client was told of the messages."""
    for one in updates:
        line = render_update(one.watched, context.mailbox, one.removed, one.added)
        context.out.add(line)
        if context.out.full:
            await context.out.flush()


def _due(context: Context, contexts: Contexts, selected: Selected) -> list[int]:
    """UIDs of changed messages that the client knows of; the others stay pending."""
    rows = context.local()
    counts = read_counts(rows, selected.account, selected.mailbox)
    if counts is not None and counts.modseq > contexts.seen:
        changed = mail_uids.changed(rows, selected.account, selected.mailbox, contexts.seen)
        contexts.pending.update(uid for uid, _ in changed)
        contexts.seen = counts.modseq
    return sorted(uid for uid in contexts.pending if selected.position_of(uid) is not None)


async def _changes(context: Context, watched: Watched, due: Sequence[int]) -> tuple[Parts, Parts]:
    """What the search says of these messages now, put into its results."""
    selected, results = context.mailbox, watched.results
    test = compile_key(watched.key, naming_of(context))
    positions = [at for uid in due if (at := selected.position_of(uid)) is not None]
    scores: Scores | None = {} if is_fuzzy(watched.key) else None
    out: list[int] = []
    new: list[int] = []
    for window in windows([(low, high + 1) for low, high in runs(positions)], SLICE_MESSAGES):
        rows = read_rows(context.local(), selected, window)
        matched = frozenset(await matching(context, test, rows, scores))
        for sequence, uid, _ in rows:
            if sequence - 1 not in matched:
                out.append(uid)
            elif uid not in results:
                new.append(sequence - 1)
        await trio.lowlevel.checkpoint()
    added = await sortables(context, new, watched.criteria, scores)
    places = [place_of(one, selected.uids[one.position], watched.criteria) for one in added]
    return results.remove(out), results.add(places)
