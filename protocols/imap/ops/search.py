"""SEARCH and UID SEARCH (RFC 9051 6.4.4): what was found is told, saved and watched."""

from collections.abc import Sequence

from protocols.imap.contexts import Found, Watched
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
from protocols.imap.ops.updates import TAG_REUSED, is_tag_watched, refuse_update, watch
from protocols.imap.responses import CHARSETS_CODE, Ending, no, ok
from protocols.imap.search_commands import NotSearched, Search, SearchReturn
from protocols.imap.sets import runs


async def search(context: Context, command: Search) -> Ending:
    """RFC 9051 6.4.4."""
    selected = context.mailbox
    returns = command.returns or frozenset()
    if is_tag_watched(context, returns):
        return TAG_REUSED
    seen = selected.seen
    key = await filled(context, command.key, saves=SearchReturn.SAVE in returns)
    if is_unscored(key, returns):
        return UNSCORED
    scores: Scores | None = {} if SearchReturn.RELEVANCY in returns else None
    found = await find(context, key, saves=SearchReturn.SAVE in returns, scores=scores)
    kept = to_save(returns, found, command.partial)
    _tell(context, command, found, await highest_of(context, key, kept), scores)
    if SearchReturn.UPDATE in returns and context.limited is not None:
        refuse_update(context, context.tag, "Not all messages are searched at once")
    elif SearchReturn.UPDATE in returns:
        results = Found(selected.uids[at] for at in found)
        watch(context, Watched(context.tag, command.uid, key, (), results, command.fetch), seen)
    if SearchReturn.SAVE in returns:
        selected.save(runs(selected.uids[at] for at in kept))
    verb = "UID SEARCH completed" if command.uid else "SEARCH completed"
    return ok(verb, b"EXPUNGEISSUED" if selected.hides_expunges else None)


async def not_searched(context: Context, command: NotSearched) -> Ending:
    """RFC 9051 6.4.4.1: a search that was to be saved and ends in NO saves the empty set."""
    context.mailbox.save([])
    return no("only US-ASCII and UTF-8 are searched", CHARSETS_CODE)


def _tell(
    context: Context,
    command: Search,
    found: Sequence[int],
    highest: int,
    scores: Scores | None,
) -> None:
    selected = context.mailbox
    numbers = [selected.uids[at] if command.uid else at + 1 for at in found]
    returns = command.returns
    if returns is None:
        if not context.rev2:
            listed = b"".join(b" %d" % number for number in numbers)
            context.out.add(b"* SEARCH%b%b\r\n" % (listed, modseq_told(b" (MODSEQ %d)", highest)))
            return
        returns = frozenset({SearchReturn.ALL})
    if returns - UNTOLD == {SearchReturn.SAVE}:
        return  # RFC 9051 6.4.4.1: then there is no ESEARCH response
    relevancy = None if scores is None else [scores[at] for at in found]
    told = render_esearch(
        context.tag, command.uid, returns, numbers, command.partial, scores=relevancy
    )
    context.out.add(told + modseq_told(b" MODSEQ %d", highest) + b"\r\n")
